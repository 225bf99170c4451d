"""What intake needs from the outside. Every method raises Unavailable where the other side fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sd_agent.contract.errors import SdAgentError
from sd_agent.contract.routing import RouteTable
from sd_agent.contract.rows import Row, Status

__all__ = ["Page", "Place", "Query", "Routes", "Storage", "Table", "Topic", "Unavailable", "UploadForm"]


class Unavailable(SdAgentError):
    """A service that intake depends on failed; the same request can be sent again. `service` names it."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which tasks to list: a tenant's with this uid, or status, or both. after: where the last page ended."""

    tenant: str
    limit: int
    uid: str | None = None
    status: Status | None = None
    after: Place | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A row's place in a list."""

    id: str
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """Up to `limit` rows, and where the next page begins."""

    rows: tuple[Row, ...]
    next: Place | None = None


@dataclass(frozen=True, kw_only=True)
class UploadForm:
    """What to POST to S3: the form's fields come first, the file comes last. Pre-signed, so never logged."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


class Table(Protocol):
    """The task table."""

    def claim(self, row: Row) -> Row:
        """Store `row` if its key is free (or expired); return the row that is then there."""

    def get(self, tenant: str, task_id: str) -> Row | None:
        """The row, if there is one."""

    def mark_published(self, tenant: str, task_id: str, now: float) -> None:
        """Note that the task's message is out, unless the task has ended meanwhile."""

    def end(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        """Store the answer to a task that still waits; the row as it then is, None where it doesn't wait any more."""

    def ask_to_cancel(self, row: Row, now: float) -> Row | None:
        """Mark a running task for its agent; the row as it then is, None where it doesn't run any more."""

    def mark_answered(self, row: Row, now: float) -> None:
        """Note that the row's answer is out."""

    def page(self, query: Query) -> Page:
        """Some of a tenant's tasks, the newest first; their answers are left out."""


class Routes(Protocol):
    """The route table."""

    def current(self) -> RouteTable:
        """The route table, at most some seconds old."""


class Topic(Protocol):
    """The input topic, or one of the topics of answers."""

    def publish(self, message: str, *, attributes: Mapping[str, str], group: str) -> None:
        """Publish one message of a group (the tenant)."""


class Storage(Protocol):
    """Where bodies that are too large for the topic go, and input images."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store one object; storing it twice is the same as once."""

    def upload_form(self, key: str, *, content_type: str, max_bytes: int, seconds: int) -> UploadForm:
        """A form with which anybody may store that one object for so many seconds."""
