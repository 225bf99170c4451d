"""Reading a container's log: its end only, and what is added to it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["MOST", "read_from", "start_of"]

# More than that is never sent: kubelet keeps no more of a log either (containerLogMaxSize).
MOST = 10 << 20
_BLOCK = 1 << 16


def start_of(path: Path, lines: int | None) -> int:
    """The offset at which the last so many lines begin (all that may be sent if None)."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        lowest = max(0, end - MOST)
        if lines is None:
            return lowest
        if lines <= 0:
            return end
        at, wanted = end, lines
        while at > lowest:
            size = min(_BLOCK, at - lowest)
            file.seek(at - size)
            block = file.read(size)
            if at == end and block.endswith(b"\n"):
                wanted += 1  # the last line's end is no line of its own
            position = size
            while (position := block.rfind(b"\n", 0, position)) >= 0:
                wanted -= 1
                if wanted == 0:
                    return at - size + position + 1
            at -= size
        return lowest


def read_from(path: Path, offset: int) -> bytes:
    """At most one block from an offset on; empty at the end."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_BLOCK)
