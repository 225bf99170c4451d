"""`sandbox up`, `down` and `status`."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox import parts, processes
from sandbox.errors import SandboxError
from sandbox.processes import Process
from sandbox.slots import choose_ports, hold_slot
from sandbox.state import ACCOUNT, REGION, State

__all__ = ["down", "status", "up"]

Say = Callable[[str], None]

_LOCK = "lock"


def up(
    directory: Path,
    say: Say,
    *,
    kubernetes: bool = True,
    hpa_sync: str = "15s",
    filter_delay_s: float = 1.0,
    port: int | None = None,
) -> None:
    """Start a sandbox; one that is up already and healthy is left alone, what is left of a dead one is cleared away.

    Args:
        directory: the state directory; emptied, so it must be new, empty or a sandbox's.
        kubernetes: False starts the embedded AWS alone.
        hpa_sync: how often Kubernetes' horizontal autoscaler looks (a Go duration).
        filter_delay_s: the longest time until SNS applies a subscription's filter.
        port: port of the embedded AWS; chosen if None.

    Raises:
        SandboxError: one sentence that says why it is not up; nothing of it is left running then.
    """
    directory = directory.resolve()
    with _locked(directory):
        before = _load(directory)
        if before and before.kubernetes >= kubernetes and port in (None, before.ports["aws"]) and _is_healthy(before):
            say(f"The sandbox in {directory} is up already ({before.aws_url}).")
            return
        _clear(directory, before, say)
        slot, hold = hold_slot(before.slot if before else None)
        with hold:
            ports = choose_ports(slot, aws=port)
            state = State(directory, ACCOUNT, REGION, slot, ports, kubernetes, hpa_sync, filter_delay_s)
            begun = time.monotonic()
            try:
                state.save()
                parts.prepare(state, say)
                every = parts.processes(state)
                processes.bring_up(every, directory, pass_fds=[hold.fileno()], report=_reporter(say))
            except BaseException:
                # Ctrl-C too: whatever was started goes, and the next `up` finds nothing of it.
                _end(directory, state)
                raise
            seconds = time.monotonic() - begun
            say(f"The sandbox is up after {seconds:.1f} s: {state.aws_url} (`sandbox env` prints the rest).")


def down(directory: Path, say: Say) -> None:
    """End every process of the sandbox; its directory keeps the logs.

    Raises:
        SandboxError: something does not end.
    """
    directory = directory.resolve()
    if not directory.exists() and not processes.find(directory):
        say(f"There is no sandbox in {directory}.")
        return
    with _locked(directory):
        ended = _end(directory, _load(directory))
        say(f"{ended} processes ended." if ended else f"Nothing of a sandbox in {directory} was running.")


def status(directory: Path, say: Say) -> bool:
    """Print each process with pid, port and health; whether all are healthy.

    Raises:
        NotUpError: there is no sandbox.
    """
    state = State.load(directory)
    found = processes.find(state.directory)
    pids = {process.name: process.pid for process in reversed(found) if process.name}
    sound = True
    for process in parts.processes(state):
        pid, healthy = pids.get(process.name), processes.healthy(process)
        sound = sound and healthy and pid is not None
        word = "ended" if pid is None else "healthy" if healthy else "not ready"
        say(f"{process.name:<26}{pid or '-':>8}  {process.port or '-':>5}  {word}")
    others = sum(process.name not in {known.name for known in parts.processes(state)} for process in found)
    if others:
        say(f"{others} processes of pods")
    return sound


def _reporter(say: Say) -> Callable[[Process, int, float], None]:
    def report(process: Process, pid: int, seconds: float) -> None:
        say(f"  {process.name:<26} {seconds:5.1f} s")

    return report


def _load(directory: Path) -> State | None:
    with contextlib.suppress(SandboxError):
        return State.load(directory)
    return None


def _is_healthy(state: State) -> bool:
    living = {process.name for process in processes.find(state.directory)}
    return all(process.name in living and processes.healthy(process) for process in parts.processes(state))


def _end(directory: Path, state: State | None) -> int:
    names = [process.name for process in parts.processes(state)] if state else []
    ended = processes.stop(directory, names[::-1])
    (directory / "state.json").unlink(missing_ok=True)
    if state and state.connect_socket.parent != directory:
        shutil.rmtree(state.connect_socket.parent, ignore_errors=True)
    return ended


def _clear(directory: Path, before: State | None, say: Say) -> None:
    """Leave an empty directory and no process: the embedded AWS forgets everything when it ends, so all else goes."""
    if ended := _end(directory, before):
        say(f"{ended} processes of an earlier sandbox ended.")
    for entry in directory.iterdir():
        if entry.name == _LOCK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the state directory against another `up` or `down`; make it if it is not there."""
    try:
        if directory.is_dir() and any(directory.iterdir()) and not (directory / _LOCK).exists():
            raise SandboxError(f"{directory} holds other things than a sandbox; name a new directory with --state.")
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("w")
    except OSError as error:
        raise SandboxError(f"The state directory {directory} cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError(f"Another `sandbox up` or `down` is at work in {directory}.") from None
        yield
