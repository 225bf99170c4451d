"""What the agent needs from the outside. Methods raise Unavailable where the other side fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Task

__all__ = ["Begun", "BegunState", "Fetcher", "Queue", "Received", "Storage", "Table", "Topic"]


@dataclass(frozen=True, kw_only=True)
class Received:
    """One message as the queue hands it out, for the `receives`-th time. sent_at: seconds since the epoch."""

    message_id: str
    receipt: str = field(repr=False)
    body: str = field(repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict)
    receives: int = 1
    sent_at: float = 0.0


class Queue(Protocol):
    """The runtime's queue and its dead-letter queue."""

    def receive(self) -> Received | None:
        """Wait for a message (long poll); None where none came."""

    def acknowledge(self, message: Received) -> None:
        """Remove the message for good."""

    def hide(self, message: Received, seconds: int) -> None:
        """Keep the message from others for `seconds` from now; 0 gives it back at once."""

    def dead_letter(self, message: Received, reason: str) -> None:
        """Put a copy of the message, with the attribute `reason`, on the dead-letter queue."""


class BegunState(Enum):
    """What came of the attempt to start work on a task."""

    MINE = "mine"
    ENDED = "ended"
    HELD = "held"
    OTHER_BODY = "other_body"


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The state and the row that decided it."""

    state: BegunState
    row: Row


class Table(Protocol):
    """The task table, as the agent uses it. A lease is an agent's right to a task, until a time."""

    def vouches(self, task: Task) -> bool:
        """Whether intake took in this very task for the tenant that its message claims."""

    def begin(
        self, task: Task, *, runtime: str, receives: int, now: float, lease_until: float, deadline: float
    ) -> Begun:
        """Count an attempt and take the lease, unless the task has ended, is held, or its id is another request's.

        deadline: of a task that intake gave none.
        """

    def extend(self, row: Row, lease_until: float) -> Row | None:
        """Prolong the lease; the row as it then is, None where the lease is lost."""

    def finish(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        """Store the answer, not yet published; return the row as it then is, None where another agent has the lease."""

    def mark_published(self, row: Row, now: float) -> None:
        """Note that the stored answer is out."""

    def give_back(self, row: Row, *, counted: bool, now: float) -> None:
        """Drop the lease; the attempt counts or doesn't."""


class Topic(Protocol):
    """The output topic."""

    def publish(self, text: str, *, attributes: Mapping[str, str], group: str) -> None:
        """Publish one answer of a group (the tenant)."""


class Storage(Protocol):
    """Objects in S3."""

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store one object in the outputs bucket."""

    def get(self, bucket: str, key: str, limit: int) -> bytes:
        """An object of up to `limit` bytes. Raises LookupError where there is none, ValueError where it is larger."""


class Fetcher(Protocol):
    """Input images by URL."""

    def fetch(self, url: str, tenant: str) -> bytes:
        """The bytes behind an http, https or s3 URL. Raises TaskError."""
