"""What the sweep needs from the outside. Methods raise intake.ports.Unavailable where the other side fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sd_agent.contract.rows import Row, Status

__all__ = ["Contents", "Dead", "DeadLetters", "Table"]


@dataclass(frozen=True, kw_only=True)
class Dead:
    """A message on a runtime's dead-letter queue that nobody has given a reason."""

    queue: str
    receipt: str = field(repr=False)
    body: str = field(repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict)


class Table(Protocol):
    """The task table, as the sweep uses it."""

    def take_turn(self, now: float, until: float) -> bool:
        """Whether no other run is under way; if so, none begins before `until`, or before `end_turn`."""

    def end_turn(self) -> None:
        """Let the next run begin."""

    def due(self, now: float, limit: int) -> Iterable[tuple[str, str]]:
        """(tenant, id) of up to `limit` rows of each shard whose time has come, the oldest first."""

    def get(self, tenant: str, task_id: str) -> Row | None:
        """The row, if there is one."""

    def claim(self, row: Row) -> Row:
        """Store `row` if its key is free (or expired); return the row that is then there."""

    def conclude(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        """Store an answer; None where the row changed since it was read, or an agent holds it."""

    def mark_published(self, tenant: str, task_id: str, now: float) -> None:
        """Note that the task's message is out, unless the task has ended meanwhile."""

    def mark_answered(self, row: Row, now: float) -> None:
        """Note that the row's answer is out."""

    def look_again(self, row: Row, at: float) -> None:
        """Come back to the row then (0: not at all), unless its status changed meanwhile."""


class DeadLetters(Protocol):
    """The dead-letter queues of runtimes."""

    def unexplained(self, runtime: str) -> Iterable[Dead]:
        """Messages without a reason; those with one stay as they are."""

    def explain(self, message: Dead, reason: str) -> None:
        """Put the message back with a reason, in place of the one without."""


class Contents(Protocol):
    """Contents of requests that travel by S3."""

    def get(self, bucket: str, key: str) -> bytes | None:
        """The object, None where there is none."""
