"""Where compiled programs and packaged charts are kept between sandboxes and between checkouts."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.versions import BINARIES, BUILD_FLAGS, KUBERNETES, LINKER_FLAGS, Binary

__all__ = ["Cache", "guarded", "root"]


@dataclass(frozen=True)
class Cache:
    """The entry of one set of versions: `bin/`, `logs/`, charts, and a stamp that says which programs are whole.

    A program is in the stamp only after it was checked and renamed into place, so whatever an interruption leaves
    behind is not in it. The stamp holds each file's size: a truncated or replaced file counts as missing.
    """

    directory: Path

    @classmethod
    def current(cls) -> Cache:
        """The entry for the pinned versions, compiled as they are now for this kind of machine."""
        return cls(root() / f"kubernetes-{KUBERNETES}-{_key()}")

    @property
    def bin(self) -> Path:
        """Directory of the programs."""
        return self.directory / "bin"

    @property
    def logs(self) -> Path:
        """Directory of what the compiler printed."""
        return self.directory / "logs"

    def work(self, binary: Binary) -> Path:
        """Directory that a patched program is compiled in."""
        return self.directory / "work" / binary.name

    def missing(self) -> list[Binary]:
        """The programs that are not there, whole."""
        stamp = self._stamp()
        return [binary for binary in BINARIES if _size(self.bin / binary.name) != stamp.get(binary.name, -1)]

    def prepare(self) -> None:
        """Make the directories.

        Raises:
            BuildError: they cannot be written.
        """
        with guarded(self.directory):
            for directory in (self.bin, self.logs):
                directory.mkdir(parents=True, exist_ok=True)

    def unfinished(self, binary: Binary) -> Path:
        """Where a program is put before it is known to be whole."""
        return self.bin / f".{binary.name}.part"

    def keep(self, binary: Binary) -> None:
        """Move a checked program from its unfinished name to its own and note it in the stamp.

        Raises:
            BuildError: the cache cannot be written.
        """
        unfinished = self.unfinished(binary)
        with guarded(self.directory):
            with unfinished.open("rb") as content:
                os.fsync(content.fileno())
            unfinished.replace(self.bin / binary.name)
            sizes = {**self._stamp(), binary.name: (self.bin / binary.name).stat().st_size}
            part = self._stamp_file.with_suffix(".part")
            part.write_text(json.dumps(sizes, indent=1) + "\n")
            part.replace(self._stamp_file)

    def link(self, binary: Binary, file: Path) -> None:
        """Use a program that is installed on this machine.

        Raises:
            BuildError: the cache cannot be written.
        """
        with guarded(self.directory):
            self.unfinished(binary).unlink(missing_ok=True)
            self.unfinished(binary).symlink_to(file)
        self.keep(binary)

    @contextlib.contextmanager
    def locked(self, report: Callable[[str], None]) -> Iterator[None]:
        """Hold the entry's lock: a second checkout waits here instead of compiling the same again.

        Raises:
            BuildError: the cache cannot be written.
        """
        with guarded(self.directory):
            handle = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with guarded(self.directory):
                _lock(handle, report)
            yield
        finally:
            os.close(handle)

    @property
    def _stamp_file(self) -> Path:
        return self.directory / "stamp.json"

    def _stamp(self) -> dict[str, int]:
        try:
            stamp = json.loads(self._stamp_file.read_text())
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}


def root() -> Path:
    """`stable_diffusion.eks` in the user's cache directory (XDG Base Directory Specification).

    Raises:
        BuildError: the user has no home directory and XDG_CACHE_HOME names no absolute path.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named / "stable_diffusion.eks"
    try:
        return Path.home() / ".cache" / "stable_diffusion.eks"
    except RuntimeError:
        raise BuildError("There is no home directory to keep compiled programs in; set XDG_CACHE_HOME.") from None


@contextlib.contextmanager
def guarded(directory: Path) -> Iterator[None]:
    """Turn an operating system's error about the cache into one sentence.

    Raises:
        BuildError: instead of OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"There is no disk space left for {directory}; free some, or set XDG_CACHE_HOME to another disk."
        else:
            reason = error.strerror or error
            message = f"The cache {directory} cannot be written ({reason}); set XDG_CACHE_HOME to a directory that can."
        raise BuildError(message) from error


def _key() -> str:
    """Changes with whatever could change a program: versions, patches, flags, dependencies' checksums, the machine."""
    digest = hashlib.sha256(repr((platform.system(), platform.machine(), *BUILD_FLAGS, LINKER_FLAGS)).encode())
    for binary in BINARIES:
        digest.update(f"{binary.label} {binary.package} {binary.stamp} {binary.patch}\n".encode())
    for directory in sorted({binary.directory for binary in BINARIES}):
        for name in ("go.mod", "go.sum"):
            digest.update((directory / name).read_bytes())
    return digest.hexdigest()[:12]


def _lock(handle: int, report: Callable[[str], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
        report(f"Another sandbox (pid {holder}) is compiling the Kubernetes programs; waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)
    os.truncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size if os.access(file, os.X_OK) else None
    except OSError:
        return None
