"""The kubelet as a process of the sandbox."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.kubernetes.kubelet import control
from sandbox.state import PORTS, State


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path.resolve(), "123456789012", "us-east-1", 0, dict.fromkeys(PORTS, 1))
    state.save()
    return state


def test_ready_when_its_socket_takes_connections(state: State) -> None:
    process = control.process(state)
    ready = process.ready
    assert callable(ready)
    with pytest.raises(OSError, match="No such file"):
        ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(state.connect_socket))
        with pytest.raises(OSError, match="refused"):
            ready()
        listener.listen()
        assert ready()


def test_boot_time_is_passed_on(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_BOOT_SECONDS", raising=False)
    assert control.process(state).env == {"SANDBOX_BOOT_SECONDS": "0"}
    monkeypatch.setenv("SANDBOX_BOOT_SECONDS", "55")
    assert control.process(state).env == {"SANDBOX_BOOT_SECONDS": "55"}


def run(state: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox.kubernetes.kubelet", "--state", str(state)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("seconds", ["soon", "nan"])
def test_bad_boot_time_is_told_in_a_sentence(state: State, seconds: str) -> None:
    done = run(state.directory, SANDBOX_BOOT_SECONDS=seconds)
    assert (done.returncode, done.stderr) == (
        1,
        f"kubelet: SANDBOX_BOOT_SECONDS={seconds!r} is no number of seconds.\n",
    )


def test_second_kubelet_is_refused(state: State) -> None:
    state.kubelet.mkdir()
    with (state.kubelet / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(state.directory)
    assert (done.returncode, done.stderr) == (1, f"kubelet: Another kubelet is at work in {state.directory}.\n")


def test_without_a_sandbox(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"kubelet: There is no sandbox in {tmp_path}")
