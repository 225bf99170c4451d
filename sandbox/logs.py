"""`sandbox logs`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO

from sandbox.errors import SandboxError
from sandbox.processes import find

__all__ = ["names", "show"]

_POLL_S = 0.25


def names(directory: Path) -> list[str]:
    """The processes that have a log in a state directory, alive or not."""
    return sorted(path.stem for path in (directory.resolve() / "logs").glob("*.log"))


def show(directory: Path, name: str, *, follow: bool, out: IO[str] | None = None) -> None:
    """Copy a log to standard output; with `follow`, go on until the sandbox has ended.

    Raises:
        SandboxError: there is no log of that name.
    """
    directory = directory.resolve()
    known = names(directory)
    if name not in known:
        raise SandboxError(f"There is no log of {name!r}; there is: {', '.join(known) or 'none'}.")
    out = out or sys.stdout
    with (directory / "logs" / f"{name}.log").open(errors="replace") as log:
        _copy(log, out)
        while follow and find(directory):
            _copy(log, out)
            time.sleep(_POLL_S)


def _copy(log: IO[str], out: IO[str]) -> None:
    while chunk := log.read(1 << 16):
        out.write(chunk)
    out.flush()
