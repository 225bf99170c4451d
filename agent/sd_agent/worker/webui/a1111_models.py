"""Which of SD WebUI's checkpoints a name means, and whether it is the one in memory. Never the closest: exactly one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Checkpoint", "find", "is_loaded", "read_checkpoints"]

_TITLE = re.compile(r"(?P<file>.*\S)\s+\[(?P<hash>[0-9a-fA-F]{6,64})\]")
_HASH = re.compile(r"[0-9a-f]{10}|[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An entry of /sd-models. sha256 is None until the WebUI has loaded the file once."""

    title: str
    filename: str
    sha256: str | None

    @property
    def file(self) -> str:
        """The file's name without directories."""
        return posixpath.basename(self.filename.replace("\\", "/"))

    @property
    def name(self) -> str:
        """What replies call it (`info.sd_model_name`): the file's name without its extension."""
        return posixpath.splitext(self.file)[0]

    @property
    def path(self) -> str:
        """The title without its hash: the file, with the directories below the models' own."""
        match = _TITLE.fullmatch(self.title)
        return match["file"] if match else self.title


def read_checkpoints(value: Any) -> list[Checkpoint]:
    """The entries of /sd-models' reply that are whole."""
    entries = value if isinstance(value, list) else []
    return [
        Checkpoint(title=entry["title"], filename=entry["filename"], sha256=entry.get("sha256") or None)
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("title"), str) and isinstance(entry.get("filename"), str)
    ]


def find(checkpoints: Sequence[Checkpoint], asked: str) -> Checkpoint | None:
    """The checkpoint whose title, file name or hash is `asked`; a hash in the title must agree where it is known."""
    match = _TITLE.fullmatch(asked)
    file, digest = (match["file"], match["hash"].lower()) if match else (asked, None)
    by_title = [checkpoint for checkpoint in checkpoints if asked == checkpoint.title]
    by_file = [checkpoint for checkpoint in checkpoints if file in (checkpoint.path, checkpoint.file)]
    for checkpoint in by_title or by_file:
        if digest is None or checkpoint.sha256 is None or checkpoint.sha256.startswith(digest):
            return checkpoint
    if _HASH.fullmatch(asked.lower()):
        return next((entry for entry in checkpoints if (entry.sha256 or "").startswith(asked.lower())), None)
    return None


def is_loaded(checkpoint: Checkpoint, options: Mapping[str, Any]) -> bool:
    """Whether /options says that this checkpoint is in memory.

    The setting may be a title, a name or a hash and can lag behind; sd_checkpoint_hash is what is really loaded.
    """
    loaded_hash = options.get("sd_checkpoint_hash")
    if isinstance(loaded_hash, str) and loaded_hash:
        return checkpoint.sha256 is not None and loaded_hash == checkpoint.sha256
    return options.get("sd_model_checkpoint") in (checkpoint.title, checkpoint.path, checkpoint.file)
