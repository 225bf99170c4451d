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
    """Whether the file is a program that has exactly the pinned version (pre-releases do not) and, if it is a patched
    one, this very patch.
    """
    if binary.version_arguments is None:
        return _has(file, _built_from(binary))
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


def _built_from(binary: Binary) -> list[str]:
    """What the Go linker leaves about the main module and about a replaced one (`go version -m` prints it)."""
    main, patch = f"mod\t{binary.module}\tv{binary.version}", binary.patch
    if patch is None:
        return [f"{main}\t"]
    replacement = f"\n=>\t./{patch.directory}\t"
    if patch.module == binary.module:
        return [f"{main}{replacement}"]
    return [f"{main}\t", f"dep\t{patch.module}\t{patch.version}{replacement}"]


def _has(file: Path, texts: list[str]) -> bool:
    try:
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return all(content.find(text.encode()) >= 0 for text in texts)
    except (OSError, ValueError):
        return False
