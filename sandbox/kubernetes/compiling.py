"""Compiling: which programs side by side, how long it will take, and what a failure of the compiler means."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.kubernetes.binary_cache import Cache, guarded
from sandbox.kubernetes.binary_check import is_right
from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.go_toolchain import Go
from sandbox.kubernetes.machine import processors
from sandbox.kubernetes.patching import build_directory
from sandbox.kubernetes.versions import Binary

__all__ = ["Compilation", "explain", "garbage_collection", "lanes", "parallelism"]

# The hungriest program, keda-operator, takes 2.9 GB at two compilers; so a compiler more than four is not counted on.
_BYTES_PER_BUILD = 3 << 30
_COMPILERS_PER_BUILD = 4
_NETWORK_ATTEMPTS = 3
_TERM_S = 5.0
# Ten times what the longest takes on two processors; Go itself waits for ever on a proxy that stalls.
_DEADLINE_S = 3600.0
_TAIL_LINES = 12

# Always behind the address that was asked; the compiler has an "unexpected EOF" of its own.
_NETWORK = re.compile(
    r"https?://.*(dial tcp|no such host|i/o timeout|TLS handshake|connection (refused|reset)|network is unreachable"
    r"|server misbehaving|Client\.Timeout|unexpected EOF|proxyconnect|Could not resolve host|50[234] )"
)


def parallelism(cores: int, memory: int, folders: int) -> int:
    """How many builds to run at a time: one per two processors, which one build keeps busy (measured: two builds on two
    processors are no faster), as far as memory (free bytes) and the number of go.mod folders go.
    """
    return max(1, min(cores // 2, memory // _BYTES_PER_BUILD, folders))


def garbage_collection(memory: int, jobs: int) -> dict[str, str]:
    """Environment of the compilers: with memory to spare (free bytes) they collect garbage less often, which saves a
    fifth of the time (measured) and takes half a gigabyte more.
    """
    return {"GOGC": "400", "GOMEMLIMIT": "3GiB"} if memory // jobs >= 2 * _BYTES_PER_BUILD else {}


def lanes(missing: Sequence[Binary], jobs: int) -> list[list[Binary]]:
    """The programs by folder: lanes run side by side, a lane's programs one after the other; longest lane first."""
    folders: dict[str, list[Binary]] = {}
    for binary in missing:
        folders.setdefault(binary.folder, []).append(binary)
    if jobs == 1:
        return list(folders.values())
    return sorted(folders.values(), key=lambda lane: -sum(binary.seconds for binary in lane))


@dataclass
class Compilation:
    """One run of the compiler over what is missing.

    Attributes:
        go: the toolchain.
        cache: where the programs go.
        missing: what to compile.
        jobs: builds at a time.
        environment: what is added to the environment of the go commands.
        report: gets one line as a program starts and one as it ends.
    """

    go: Go
    cache: Cache
    missing: Sequence[Binary]
    jobs: int
    environment: Mapping[str, str]
    report: Callable[[str], None]
    _done: list[Binary] = field(default_factory=list)
    _begun: int = 0
    _since: float = 0.0

    def run(self) -> None:
        """Compile everything; what is done is kept even if a later program fails or Ctrl-C ends it.

        Raises:
            BuildError: a program does not compile; the others at work are ended.
        """
        self._since = time.monotonic()
        try:
            asyncio.run(self._all())
        except BaseExceptionGroup as group:
            # Whatever failed first ended the others; its own words say enough.
            raise group.exceptions[0] from None

    async def _all(self) -> None:
        waiting = deque(lanes(self.missing, self.jobs))

        async def work() -> None:
            while waiting:
                for binary in waiting.popleft():
                    await self._one(binary)

        async with asyncio.TaskGroup() as group:
            for _ignored in range(self.jobs):
                group.create_task(work())

    async def _one(self, binary: Binary) -> None:
        self._begun += 1
        place = f"[{self._begun}/{len(self.missing)}] {binary.label}"
        self.report(f"  {place}: compiling ({_duration(binary.seconds)} on 2 cores with empty caches)")
        begun = time.monotonic()
        unfinished = self.cache.unfinished(binary)
        log = self.cache.logs / f"{binary.name}.log"
        directory = await asyncio.to_thread(build_directory, binary, self.go, self.cache)
        for attempt in range(1, _NETWORK_ATTEMPTS + 1):
            with guarded(self.cache.directory):
                unfinished.unlink(missing_ok=True)
            if await self._compiled(binary, directory, unfinished, log):
                break
            output = _read(log)
            if attempt == _NETWORK_ATTEMPTS or not _NETWORK.search(output):
                raise explain(binary, output, log)
            self.report(f"  {place}: a download failed, trying again")
        if not await asyncio.to_thread(is_right, binary, unfinished):
            raise BuildError(
                f"{binary.name} was compiled, but what came out is not version {binary.version}"
                f"{' with the change of the sandbox' if binary.patch else ''} (log: {log})."
            )
        self.cache.keep(binary)
        shutil.rmtree(self.cache.work(binary), ignore_errors=True)
        self._done.append(binary)
        self.report(f"  {place}: ready in {time.monotonic() - begun:.0f} s{self._left()}")

    async def _compiled(self, binary: Binary, directory: Path, output: Path, log: Path) -> bool:
        command = self.go.build_command(binary, output, min(processors(), _COMPILERS_PER_BUILD))
        with guarded(self.cache.directory):
            sink = log.open("wb")
        with sink:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    cwd=directory,
                    env={**self.environment, **self.go.environment()},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=sink,
                    stderr=asyncio.subprocess.STDOUT,
                    # A group of its own: its compilers are ended with it, and by us alone.
                    start_new_session=True,
                )
            except OSError as error:
                raise BuildError(f"{self.go.program} cannot be run: {error}.") from error
        try:
            return await asyncio.wait_for(process.wait(), _DEADLINE_S) == 0
        except TimeoutError:
            raise BuildError(
                f"{binary.label} was not compiled after {_DEADLINE_S / 60:.0f} min; what Go printed is in {log}."
            ) from None
        finally:
            if process.returncode is None:
                await _end(process)

    def _left(self) -> str:
        done = sum(binary.seconds for binary in self._done)
        rest = sum(binary.seconds for binary in self.missing) - done
        if not rest:
            return ""
        # This machine's pace so far, downloads, warm caches and parallel builds included.
        pace = (time.monotonic() - self._since) / done
        return f", {_duration(rest * pace)} left"


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _TERM_S)
            return


def explain(binary: Binary, output: str, log: Path) -> BuildError:
    """What the compiler's output means, in one sentence for the person at the terminal, and the output's end."""
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith("go: downloading ")]
    tail = "".join(f"\n    {line}" for line in lines[-_TAIL_LINES:])
    name = binary.label
    if "no space left on device" in output or "quota exceeded" in output:
        reason = (
            f"{name} cannot be compiled: no disk space left; compiling everything takes about 9 GB in the directories "
            "GOCACHE, GOMODCACHE and TMPDIR"
        )
    elif "signal: killed" in output:
        reason = (
            f"{name} cannot be compiled: the compiler was killed, probably for lack of memory (it needs up to 3 GB)"
        )
    elif "SECURITY ERROR" in output or "checksum mismatch" in output:
        reason = f"{name} cannot be compiled: a downloaded module differs from the one pinned in go.sum"
    elif "disabled by GOPROXY=off" in output or _NETWORK.search(output):
        reason = f"{name} cannot be compiled: the Go module proxy (GOPROXY) cannot be reached"
    else:
        reason = f"{name} does not compile"
    return BuildError(f"{reason}; the whole output is in {log}.{tail}")


def _read(log: Path) -> str:
    try:
        return log.read_text(errors="replace")
    except OSError:
        return ""


def _duration(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {max(seconds, 1):.0f} s"
