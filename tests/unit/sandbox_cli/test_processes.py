"""Starting, finding and ending processes by the mark in their environment."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.errors import ProcessError
from sandbox.processes import Process

Make = Callable[..., Process]


def test_processes_start_in_order_and_are_found(owner: Path, make: Make) -> None:
    ready: list[str] = []

    def report(process: Process, pid: int, seconds: float) -> None:
        ready.append(process.name)
        assert os.getsid(pid) == pid
        assert seconds >= 0

    wanted = [make("first"), make("second"), make("third", after=("first",))]
    processes.bring_up(wanted, owner, report=report)
    assert ready[0] == "first"
    assert sorted(ready) == ["first", "second", "third"]
    assert sorted(found.name or "" for found in processes.find(owner)) == ["first", "second", "third"]
    assert processes.stop(owner, ["third", "first"]) == 3
    assert processes.find(owner) == []


def test_only_the_very_owner_is_found(owner: Path, make: Make) -> None:
    processes.bring_up([make("one")], owner)
    for other in (owner.parent, owner / "below", Path(f"{owner}2"), Path(str(owner)[:-1])):
        assert processes.find(other) == []
        assert processes.stop(other, ["one"]) == 0
    assert len(processes.find(owner)) == 1


def test_a_process_without_a_name_is_ended_too(owner: Path) -> None:
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
    with subprocess.Popen(command, env={"SANDBOX_OWNER": str(owner)}, stdout=subprocess.PIPE) as pod:
        assert pod.stdout is not None
        pod.stdout.readline()
        assert [found.name for found in processes.find(owner)] == [None]
        assert processes.stop(owner, []) == 1
        assert pod.wait() == -signal.SIGTERM


def test_a_stubborn_process_is_killed(owner: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_TERM_S", 0.2)
    processes.bring_up([make("deaf", "stubborn")], owner)
    assert processes.stop(owner, ["deaf"]) == 1
    assert processes.find(owner) == []


def test_what_ends_early_is_told_with_its_last_words(owner: Path, make: Make) -> None:
    program = "import sys; print('first'); sys.exit('no port left\\n')"
    broken = dataclasses.replace(make("broken"), argv=(sys.executable, "-c", program))
    with pytest.raises(ProcessError, match=r"broken ended before it was ready: no port left \(log: .*broken.log\)"):
        processes.bring_up([broken], owner)


def test_what_never_is_ready_misses_its_deadline(owner: Path, make: Make) -> None:
    late = dataclasses.replace(make("late"), ready=lambda: False, deadline_s=0.3)
    with pytest.raises(ProcessError, match=r"late was not ready after 0.3 s: "):
        processes.bring_up([late], owner)


def test_a_missing_program_is_told(owner: Path, make: Make) -> None:
    with pytest.raises(ProcessError, match=r"gone cannot be started: .*No such file"):
        processes.bring_up([dataclasses.replace(make("gone"), argv=("/nowhere/program",))], owner)


def test_a_url_that_nobody_serves_is_not_healthy(make: Make) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        assert processes.healthy(dataclasses.replace(make("x"), ready=url)) is False


def test_settings_of_real_clouds_and_proxies_stay_outside(
    owner: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "KUBECONFIG", "HTTPS_PROXY", "no_proxy", "SANDBOX_CHARTS"):
        monkeypatch.setenv(name, "real")
    monkeypatch.setenv("LANG", "C.UTF-8")
    process = dataclasses.replace(make("x"), env={"OWN": "1"})
    found = processes.environment(process, owner)
    assert "real" not in found.values()
    assert (found["LANG"], found["OWN"]) == ("C.UTF-8", "1")
    assert (found["SANDBOX_OWNER"], found["SANDBOX_PROCESS"]) == (str(owner), "x")
