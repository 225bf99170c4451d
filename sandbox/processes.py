"""Processes of the sandbox: started detached, known by a mark in their environment, ended with a deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import ProcessError

__all__ = ["OWNER", "Found", "Process", "bring_up", "find", "healthy", "start", "stop"]

OWNER = "SANDBOX_OWNER"
NAME = "SANDBOX_PROCESS"

_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_POLL_S = 0.05
_TERM_S = 15.0
_KILL_S = 10.0
# What must not reach a process of the sandbox from the shell that started it: credentials and endpoints of real clouds,
# and proxies, since whatever it talks to is on this machine.
_FOREIGN = ("AWS_", "KUBE", "SANDBOX_", "MINISTACK_", "MOTO_")


@dataclass(frozen=True)
class Process:
    """One process to run.

    Attributes:
        name: unique in the sandbox; names the log file too.
        argv: program and arguments.
        env: entries added to the environment.
        ready: a URL that answers 200 when the process serves, or a function that says so (an OSError means not yet).
        log: file that gets standard output and error.
        port: the port shown by `sandbox status`.
        deadline_s: seconds from its start within which it must be ready.
        after: names of the processes that must be ready before this one starts; None means all that stand before it.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool] | str
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    deadline_s: float = 60.0
    after: Sequence[str] | None = None


@dataclass(frozen=True)
class Found:
    """A living process of a sandbox; `started` (clock ticks since boot) tells it from a later one with its pid."""

    pid: int
    started: int
    name: str | None


def environment(process: Process, owner: Path) -> dict[str, str]:
    """The caller's environment without what points at other clouds, the process's own entries, and the owner's mark."""
    kept = {key: value for key, value in os.environ.items() if not _is_foreign(key)}
    return {**kept, **process.env, OWNER: str(owner), NAME: process.name}


def _is_foreign(key: str) -> bool:
    return key.startswith(_FOREIGN) or key.lower().endswith("_proxy")


def start(process: Process, owner: Path, pass_fds: Collection[int] = ()) -> int:
    """Start a process in a session of its own, so that Ctrl-C at the terminal does not reach it; returns its pid.

    Raises:
        ProcessError: the program cannot be run.
    """
    process.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with process.log.open("ab") as log:
            child = subprocess.Popen(
                list(process.argv),
                env=environment(process, owner),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=owner,
                pass_fds=tuple(pass_fds),
            )
    except OSError as error:
        raise ProcessError(f"{process.name} cannot be started: {error}.") from error
    # The child outlives this command on purpose; without this mark Python warns about it at exit.
    child.returncode = 0
    return child.pid


def healthy(process: Process) -> bool:
    """Whether the process serves right now."""
    try:
        if isinstance(process.ready, str):
            with _NO_PROXY.open(process.ready, timeout=2) as answer:
                return bool(answer.status == 200)
        return process.ready()
    except (OSError, urllib.error.URLError):
        return False


def bring_up(
    processes: Sequence[Process],
    owner: Path,
    *,
    pass_fds: Collection[int] = (),
    report: Callable[[Process, int, float], None] = lambda process, pid, seconds: None,
) -> None:
    """Start processes, each as soon as those it comes after are ready, and return when all are.

    Args:
        report: called with each process, its pid and its seconds from start to ready.

    Raises:
        ProcessError: one cannot be started, ended, or missed its deadline; the message ends with its last words.
    """
    waiting = {process.name: process for process in processes}
    needed = {
        process.name: set(process.after)
        if process.after is not None
        else {before.name for before in processes[:number]}
        for number, process in enumerate(processes)
    }
    started: dict[str, tuple[int, float]] = {}
    ready: set[str] = set()
    while waiting:
        for name, process in waiting.items():
            if name not in started and needed[name] <= ready:
                started[name] = (start(process, owner, pass_fds), time.monotonic())
        for name in [name for name in waiting if name in started]:
            pid, begun = started[name]
            if _is_ready(waiting[name], pid, begun):
                report(waiting.pop(name), pid, time.monotonic() - begun)
                ready.add(name)
        time.sleep(_POLL_S)


def _is_ready(process: Process, pid: int, begun: float) -> bool:
    if healthy(process):
        return True
    last_words = f"{_last_line(process.log)} (log: {process.log})"
    if not _alive(pid):
        raise ProcessError(f"{process.name} ended before it was ready: {last_words}")
    if time.monotonic() - begun > process.deadline_s:
        raise ProcessError(f"{process.name} was not ready after {process.deadline_s:g} s: {last_words}")
    return False


def find(owner: Path) -> list[Found]:
    """Every living process whose environment holds exactly SANDBOX_OWNER=<owner>, oldest first, this one excepted."""
    mark = f"{OWNER}={owner}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            if mark in variables:
                found.append(Found(int(entry.name), _started(int(entry.name)), _name(variables)))
        except OSError:
            continue  # ended meanwhile, or another user's
    return sorted(found, key=lambda process: process.started)


def stop(owner: Path, order: Sequence[str]) -> int:
    """End every process of the sandbox and wait until they are gone; returns how many there were.

    Named processes get SIGTERM in the given order, each waited for before the next; whatever else is left (pods whose
    kubelet died) follows. What does not end within its time gets SIGKILL.

    Raises:
        ProcessError: something survived SIGKILL.
    """
    ended = 0
    for name in order:
        ended += _end([process for process in find(owner) if process.name == name])
    # A process may have started another while it ended: look until nothing is found.
    while rest := find(owner):
        ended += _end(rest)
    return ended


def _end(processes: Sequence[Found]) -> int:
    for number, patience_s in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, _KILL_S)):
        for process in processes:
            _send(process, number)
        deadline = time.monotonic() + patience_s
        while any(_same(process) for process in processes) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if not any(_same(process) for process in processes):
            return len(processes)
    stuck = ", ".join(str(process.pid) for process in processes if _same(process))
    raise ProcessError(f"These processes of the sandbox do not end even on SIGKILL: {stuck}.")


def _send(process: Found, number: signal.Signals) -> None:
    if not _same(process):
        return
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return


def _same(process: Found) -> bool:
    """Whether the pid still is that process and no zombie."""
    try:
        return _started(process.pid) == process.started and _alive(process.pid)
    except OSError:
        return False


def _stat(pid: int) -> list[str]:
    # The second field, the command, may hold spaces and parentheses; what follows its last ")" starts with field 3.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _started(pid: int) -> int:
    return int(_stat(pid)[22 - 3])


def _alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in "ZX"
    except OSError:
        return False


def _name(variables: Sequence[bytes]) -> str | None:
    prefix = f"{NAME}=".encode()
    return next((entry[len(prefix) :].decode() for entry in variables if entry.startswith(prefix)), None)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return "it left no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no log")
