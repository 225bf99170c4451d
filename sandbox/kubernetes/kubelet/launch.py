"""From a container's spec to what is started: arguments, environment, directory. Pure: nothing is read or written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.kubernetes.kubelet.environment import expand
from sandbox.kubernetes.kubelet.images import Image
from sandbox.kubernetes.kubelet.mounts import Mounts
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Launch", "Place", "plan"]

_INTERPRETERS = ("python", "python3")


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a container finds where it runs.

    Attributes:
        directory: its own, fresh with each start: home, working directory and place of temporary files.
        words: the image table's own: POD_IP, BIN and so on; see `images`.
        base: variables under the spec's.
        mounts: where its mount paths lie.
        names: replaces in-cluster names.
    """

    directory: Path
    words: Mapping[str, str]
    base: Mapping[str, str]
    mounts: Mounts
    names: Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What is started."""

    argv: list[str]
    env: dict[str, str]
    directory: Path
    place: Place

    def words(self, command: Sequence[str]) -> list[str]:
        """A command of a probe or a hook as it is run in this container."""
        return _interpreter([_moved(word, self.place) for word in command])


def plan(container: Json, image: Image, variables: Mapping[str, str], place: Place) -> Launch:
    """How a container is started.

    Args:
        container: its spec.
        image: what stands for its image.
        variables: from its spec, see `environment`.
        place: where it runs.

    Raises:
        ValueError: neither the image nor the pod has a command.
    """
    env = {name: _moved(value, place) for name, value in variables.items()}
    special = {**variables, **place.words}

    def own(text: str) -> str:
        return expand(text, special.get)

    env.update({name: own(value) for name, value in image.environment.items() if name not in variables})
    command = [expand(word, variables.get) for word in container.get("command") or []]
    arguments = [expand(word, variables.get) for word in container.get("args") or []]
    entry = [own(word) for word in image.entrypoint]
    rest = _behind_own_command(command, image)
    if not command:
        words = entry + [_moved(word, place) for word in arguments]
    elif rest is not None:
        words = entry + [_moved(word, place) for word in [*rest, *arguments]]
    else:
        words = [_moved(word, place) for word in [*command, *arguments]]
    if not words:
        raise ValueError("no command specified")
    # The table's arguments belong to the image's program, not to another one that the pod starts in the image.
    if not command or rest is not None:
        words += [own(word) for word in image.arguments]
    base = {"HOME": str(place.directory), "TMPDIR": str(_temporary(place)), **place.base}
    return Launch(argv=_interpreter(words), env={**base, **env}, directory=_directory(container, place), place=place)


def _behind_own_command(command: Sequence[str], image: Image) -> list[str] | None:
    """What follows the image's own program in a command; None if the command is another program."""
    for own in image.own:
        if command and tuple(command[: len(own)]) == own:
            return list(command[len(own) :])
    return None


def _moved(text: str, place: Place) -> str:
    return place.names(place.mounts.move(text))


def _interpreter(words: list[str]) -> list[str]:
    # An image's Python is the sandbox's own: it has what the project's images have installed.
    return [sys.executable, *words[1:]] if words and words[0] in _INTERPRETERS else words


def _temporary(place: Place) -> Path:
    return place.mounts.get("/tmp") or place.directory / "tmp"


def _directory(container: Json, place: Place) -> Path:
    asked = container.get("workingDir")
    if not asked:
        return place.directory
    moved = Path(place.mounts.move(asked))
    # A directory of the image is not on this machine; one in a volume or of the machine is.
    return moved if str(moved) != asked or moved.is_dir() else place.directory
