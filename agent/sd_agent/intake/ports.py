"""What intake needs from the outside. Every method raises Unavailable where the other side fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sd_agent.contract.errors import SdAgentError
from sd_agent.contract.routing import RouteTable
from sd_agent.contract.rows import Row

__all__ = ["Routes", "Storage", "Table", "Topic", "Unavailable"]


class Unavailable(SdAgentError):
    """A service that intake depends on failed; the same request can be sent again. `service` names it."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service


class Table(Protocol):
    """The task table."""

    def claim(self, row: Row) -> Row:
        """Store `row` if its key is free (or expired); return the row that is then there."""

    def get(self, tenant: str, task_id: str) -> Row | None:
        """The row, if there is one."""

    def mark_published(self, tenant: str, task_id: str, now: float) -> None:
        """Note that the task's message is out, unless the task has ended meanwhile."""


class Routes(Protocol):
    """The route table."""

    def current(self) -> RouteTable:
        """The route table, at most some seconds old."""


class Topic(Protocol):
    """The input topic."""

    def publish(self, message: str, *, attributes: Mapping[str, str], group: str) -> None:
        """Publish one message of a group (the tenant)."""


class Storage(Protocol):
    """Where bodies that are too large for the topic go."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store one object; storing it twice is the same as once."""
