"""Which version a compiled program is."""

from __future__ import annotations

import mmap
import re
import subprocess
from pathlib import Path

from sandbox.kubernetes.versions import Binary

__all__ = ["is_right"]

_VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
_TIMEOUT_S = 20


def is_right(binary: Binary, file: Path) -> bool:
    """Whether the file is a program that runs here and has exactly the pinned version (pre-releases do not)."""
    if binary.version_arguments is None:
        return _built_from(file, binary.module, f"v{binary.version}")
    return _printed(file, binary.version_arguments) == binary.version


def _printed(file: Path, arguments: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(
            [str(file), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    found = _VERSION.search(done.stdout)
    return found.group(1) if found and done.returncode == 0 else None


def _built_from(file: Path, module: str, version: str) -> bool:
    """Look for the line that the Go linker leaves about the main module (`go version -m` prints it)."""
    line = f"mod\t{module}\t{version}\t".encode()
    try:
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(line) >= 0
    except (OSError, ValueError):
        return False
