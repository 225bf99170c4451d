"""The checkpoint files: which there are, under which names they answer, and what is wrong with them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["Checkpoint", "Checkpoints"]

_SUFFIXES = frozenset({".safetensors", ".ckpt"})
_CHUNK = 1 << 20


@dataclass
class Checkpoint:
    """One checkpoint file.

    Attributes:
        name: file name, relative to the checkpoint directory.
        filename: absolute path, as /sd-models shows it.
        path: the real file; None for a simulated one.
        content: what a simulated file's hash is made of.
        sha256: of the file; None until it was loaded for the first time.
    """

    name: str
    filename: str
    path: Path | None
    content: str
    sha256: str | None = None

    @property
    def model_name(self) -> str:
        """The name without directory and suffix."""
        return PurePosixPath(self.name).stem

    @property
    def shorthash(self) -> str | None:
        """The first ten digits of the hash."""
        return self.sha256[:10] if self.sha256 else None

    @property
    def title(self) -> str:
        """What /options calls it: it changes when the hash becomes known."""
        return f"{self.name} [{self.shorthash}]" if self.sha256 else self.name

    @property
    def unloadable(self) -> bool:
        """An empty file, or one whose name starts with `broken`."""
        empty = self.path is not None and self.path.is_file() and self.path.stat().st_size == 0
        return empty or self.model_name.startswith("broken")

    @property
    def gives_nan(self) -> bool:
        """A file called `nan`, or whose name starts with `nan-`."""
        return self.model_name == "nan" or self.model_name.startswith("nan-")

    def names(self) -> list[str]:
        """Everything that /options and override_settings take for it, case-sensitively."""
        names = [self.name, self.model_name, self.filename]
        if self.sha256 and self.shorthash:
            names += [self.shorthash, self.sha256, self.title, f"{self.model_name} [{self.shorthash}]"]
        return names

    def item(self) -> dict[str, str | None]:
        """The entry of GET /sd-models."""
        return {
            "title": self.title,
            "model_name": self.model_name,
            "hash": self.shorthash,
            "sha256": self.sha256,
            "filename": self.filename,
            "config": None,
        }

    async def read(self) -> str:
        """The file's sha256.

        Raises:
            FileNotFoundError: it has gone since it was listed.
        """
        if self.path is None:
            return hashlib.sha256(self.content.encode()).hexdigest()
        return await asyncio.to_thread(_sha256, self.path)


class Checkpoints:
    """The list behind /sd-models."""

    def __init__(self, directory: str, simulated: Iterable[str], *, real: bool) -> None:
        """List simulated files (`name` or `name=content's name`) and, if `real`, what the directory holds."""
        self.directory = directory
        self._simulated = tuple(simulated)
        self._real = real
        self._all: dict[str, Checkpoint] = {}
        self.refresh()

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self._all.values())

    def refresh(self) -> None:
        """List again; what is known of a file stays known while it is there."""
        found = [self._simulate(entry) for entry in self._simulated]
        if self._real:
            found += self._look()
        self._all = {checkpoint.name: self._all.get(checkpoint.name, checkpoint) for checkpoint in found}

    def first(self) -> Checkpoint | None:
        """What is loaded if nobody says otherwise."""
        return next(iter(self._all.values()), None)

    def named(self, name: object) -> Checkpoint | None:
        """The checkpoint that answers to a name; of several with one hash, the last listed.

        Raises:
            TypeError: the name is a list or an object.
        """
        aliases = {alias: checkpoint for checkpoint in self._all.values() for alias in checkpoint.names()}
        return aliases.get(name)  # type: ignore[call-overload, no-any-return]

    def closest(self, words: str) -> Checkpoint | None:
        """The checkpoint that a refiner's name means: an alias, else the shortest title that contains the words."""
        exact = self.named(words)
        if exact or not words:
            return exact
        holders = [checkpoint for checkpoint in self._all.values() if words in checkpoint.title]
        return min(holders, key=lambda checkpoint: len(checkpoint.title), default=None)

    def _simulate(self, entry: str) -> Checkpoint:
        name, _ignored, content = entry.partition("=")
        return Checkpoint(name, str(PurePosixPath(self.directory, name)), None, content or name)

    def _look(self) -> list[Checkpoint]:
        root = Path(self.directory).absolute()
        files = [path for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()]
        names = sorted((path.relative_to(root).as_posix() for path in files), key=str.lower)
        return [Checkpoint(name, str(root / name), root / name, "") for name in names]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
