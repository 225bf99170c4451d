"""A container's process: started in a group of its own, so that the whole group can go with its first process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import processes

__all__ = ["MARK", "Process", "end_leftovers"]

# Names of pods' processes (processes.NAME in their environment) start with this.
MARK = "pod:"
_GONE_S = 10.0
_POLL_S = 0.02


class Process:
    """A running container."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    @classmethod
    async def start(cls, argv: Sequence[str], env: Mapping[str, str], directory: Path, log: Path) -> Process:
        """Start a program with its output appended to a file.

        Raises:
            OSError: it cannot be run.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab", 0) as out:
            child = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(env),
                cwd=directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return cls(child)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, as far as is known."""
        return self._child.returncode is None

    async def wait(self) -> int:
        """Its exit code when it has ended; 128 + n after signal n, as a shell has it."""
        code = await self._child.wait()
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """SIGTERM to the container's first process, as a container runtime does."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._child.terminate()

    def kill(self) -> None:
        """SIGKILL to everything in the container; also after its first process has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def end_leftovers(owner: Path) -> int:
    """Kill what a killed kubelet left of its pods and wait until it is gone; how many there were.

    Raises:
        RuntimeError: something survives SIGKILL.
    """
    deadline = time.monotonic() + _GONE_S
    seen: set[int] = set()
    while found := [one for one in processes.find(owner) if (one.name or "").startswith(MARK)]:
        for one in found:
            seen.add(one.pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one.pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of an earlier kubelet do not end: {sorted(one.pid for one in found)}")
        time.sleep(_POLL_S)
    return len(seen)
