"""Where a container's mount paths lie on this machine, and their replacement in what the container is told.

A process has no mount namespace of its own without privileges. So a mount path is moved where it starts a word of an
argument or of a variable's value: at its start, or after a blank, a quote or one of `=:,<>(`. A path that is compiled
into a program, or stands in a file, cannot be moved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Mounts"]


class Mounts:
    """The mounts of one container.

    Args:
        paths: place on this machine by mount path.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = {(path.rstrip("/") or "/"): place for path, place in paths.items()}
        # The longest first: a mount can lie inside another one.
        words = "|".join(re.escape(path) for path in sorted(self._paths, key=len, reverse=True))
        self._word = re.compile(rf"(^|[\s\"'=:,<>(])({words})(?=$|[/\s\"':,;)<>&|])") if words else None

    def get(self, path: str) -> Path | None:
        """The place of a mount path; None if nothing is mounted at it."""
        return self._paths.get(path)

    def move(self, text: str) -> str:
        """A text with the mount paths in it replaced."""
        if self._word is None:
            return text
        return self._word.sub(lambda match: f"{match[1]}{self._paths[match[2]]}", text)
