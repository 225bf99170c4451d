"""What has happened, a line each, with the seconds since the first request was sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Fact", "Timeline"]


@dataclass(frozen=True)
class Fact:
    """Something that is so.

    Attributes:
        key: what it is about; a later fact with this key and another text is news.
        stage: the part of the system, the first column.
        text: the news.
    """

    key: tuple[str, ...]
    stage: str
    text: str


class Timeline:
    """Prints each fact once."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._start: float | None = None
        self._known: dict[tuple[str, ...], str] = {}

    def start(self) -> None:
        """The first request is being sent."""
        self._start = self._clock()

    @property
    def seconds(self) -> float:
        """Since the first request; 0 before."""
        return 0.0 if self._start is None else self._clock() - self._start

    def know(self, facts: Iterable[Fact]) -> None:
        """Take in what was so before anything was sent, without a word."""
        self._known.update((fact.key, fact.text) for fact in facts)

    def tell(self, facts: Iterable[Fact]) -> None:
        """Print what is new among the facts."""
        for fact in facts:
            if self._known.get(fact.key) != fact.text:
                self._known[fact.key] = fact.text
                self.say(fact.stage, fact.text)

    def say(self, stage: str, text: str) -> None:
        """Print a line."""
        self._say(f"{self.seconds:7.2f} s  {stage:<7}{text}")
