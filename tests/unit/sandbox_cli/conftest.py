"""Sandboxes of light processes: what `up`, `down` and `status` do does not depend on what runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import parts, processes
from sandbox.processes import Process
from sandbox.state import State

# Ready once it has made its file; ends on SIGTERM unless told to be stubborn.
PROGRAM = """
import pathlib, signal, sys, threading
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
print("serving", flush=True)
threading.Event().wait()
"""

Make = Callable[..., Process]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a process that is ready in a moment: make("name", after=…)."""

    def process(name: str, *words: str, directory: Path = tmp_path, after: tuple[str, ...] | None = None) -> Process:
        return Process(
            name=name,
            argv=(sys.executable, "-c", PROGRAM, str(directory / f"{name}.ready"), *words),
            ready=(directory / f"{name}.ready").exists,
            log=directory / "logs" / f"{name}.log",
            deadline_s=10.0,
            after=after,
        )

    return process


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Path]:
    """A directory whose processes are ended after the test."""
    yield tmp_path
    processes.stop(tmp_path, [])


@pytest.fixture
def directory(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory whose sandboxes consist of two light processes, `aws` and `kubelet`."""
    where = tmp_path / "state"

    def both(state: State) -> list[Process]:
        names = ["aws", "kubelet"] if state.kubernetes else ["aws"]
        return [make(name, directory=state.directory) for name in names]

    monkeypatch.setattr(parts, "processes", both)
    monkeypatch.setattr(parts, "prepare", lambda state, say: state.logs.mkdir())
    yield where
    processes.stop(where, [])
