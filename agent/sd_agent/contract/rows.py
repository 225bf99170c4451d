"""Rows of the task table and their DynamoDB form.

Key: tenant + id. `published` says whether what the row's status calls for is out: the message while the task is
accepted or running, the answer afterwards. Times are seconds since the epoch.

Indexes: `by_uid` and `by_status` (hash `<tenant>/<uid>` or `<tenant>/<status>`, range `created_at`) for lists; `due`
(hash `due_shard`, range `due_at`) holds only rows that somebody has to come back to. Whoever changes a row's status
changes its `by_status`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

__all__ = [
    "BY_STATUS",
    "BY_UID",
    "DEFAULT_RETENTION_DAYS",
    "DEFAULT_TTL_S",
    "DUE",
    "DUE_SHARDS",
    "GRACE_S",
    "MAX_TTL_S",
    "ROUTES_ID",
    "SYSTEM_TENANT",
    "Row",
    "Status",
    "by_status",
    "by_uid",
    "decode",
    "due_shard",
    "encode",
    "key",
    "number",
    "string",
]

# The route table's own item: no request can reach it, as tenants' names begin with a letter or a digit.
SYSTEM_TENANT = "_system"
ROUTES_ID = "routes"
DEFAULT_RETENTION_DAYS = 30
# SQS forgets a message after 14 days at most: every task has to be answered before.
DEFAULT_TTL_S = 7 * 24 * 60 * 60
MAX_TTL_S = 13 * 24 * 60 * 60
# How long what comes next (publishing, noting it) may take before the sweep does it.
GRACE_S = 60.0
BY_UID = "by_uid"
BY_STATUS = "by_status"
DUE = "due"
# So that no single partition of the index takes every write.
DUE_SHARDS = tuple("01234567")
# DynamoDB's limit for a hash key is 2048 bytes.
_MAX_UID_BYTES = 1024

Item = dict[str, dict[str, Any]]
_TEXTS = ("uid", "answer", "worker", "context", "dialect", "message")
_TIMES = ("lease_until", "deadline", "due_at")


class Status(StrEnum):
    """Where a task stands."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the row holds the task's answer."""
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the task table."""

    tenant: str
    id: str
    status: Status
    runtime: str
    body_digest: str
    created_at: float
    updated_at: float
    expires_at: int
    published: bool = False
    uid: str | None = None
    answer: str | None = None
    attempt: int = 0
    run: int = 0
    worker: str | None = None
    lease_until: float = 0.0
    # What an answer needs where no agent gives it: the context as JSON text, and the dialect asked for.
    context: str | None = None
    dialect: str | None = None
    # What to publish (contract.outbox), until that is done.
    message: str | None = None
    # When an unanswered task is answered `expired`; 0 for never.
    deadline: float = 0.0
    # When the sweep has to look at the row; 0 for never.
    due_at: float = 0.0
    cancel: bool = False
    progress: float | None = None


def by_uid(tenant: str, uid: str) -> str:
    """The hash key under which a tenant's tasks of one uid are listed; a very long uid goes by its digest."""
    data = uid.encode()
    return f"{tenant}/{uid}" if len(data) <= _MAX_UID_BYTES else f"{tenant}/{hashlib.sha256(data).hexdigest()}"


def by_status(tenant: str, status: Status) -> dict[str, str]:
    """The hash key under which a tenant's tasks of one status are listed, as DynamoDB has it."""
    return string(f"{tenant}/{status.value}")


def due_shard(tenant: str, task_id: str) -> dict[str, str]:
    """The hash key of a row in the index of due rows, as DynamoDB has it."""
    first = hashlib.sha256(f"{tenant}/{task_id}".encode()).digest()[0]
    return string(DUE_SHARDS[first % len(DUE_SHARDS)])


def string(value: str) -> dict[str, str]:
    """A DynamoDB string."""
    return {"S": value}


def number(value: float) -> dict[str, str]:
    """A DynamoDB number, to the millisecond."""
    return {"N": str(value) if isinstance(value, int) else f"{value:.3f}"}


def key(tenant: str, task_id: str) -> Item:
    """The table's key."""
    return {"tenant": string(tenant), "id": string(task_id)}


def encode(row: Row) -> Item:
    """The row as a DynamoDB item; what is unset is left out."""
    item: Item = key(row.tenant, row.id) | {
        "status": string(row.status.value),
        "runtime": string(row.runtime),
        "body_digest": string(row.body_digest),
        "created_at": number(row.created_at),
        "updated_at": number(row.updated_at),
        "expires_at": number(row.expires_at),
        "published": {"BOOL": row.published},
        "attempt": number(row.attempt),
        "run": number(row.run),
        BY_STATUS: by_status(row.tenant, row.status),
    }
    if row.uid is not None:
        item[BY_UID] = string(by_uid(row.tenant, row.uid))
    for name in _TEXTS:
        if (text := getattr(row, name)) is not None:
            item[name] = string(text)
    for name in _TIMES:
        if moment := getattr(row, name):
            item[name] = number(moment)
    if row.due_at:
        item["due_shard"] = due_shard(row.tenant, row.id)
    if row.cancel:
        item["cancel"] = {"BOOL": True}
    if row.progress is not None:
        item["progress"] = number(row.progress)
    return item


def decode(item: Mapping[str, Mapping[str, Any]]) -> Row:
    """The row in a DynamoDB item. Raises ValueError where the item isn't a task's row."""
    try:
        return Row(
            tenant=item["tenant"]["S"],
            id=item["id"]["S"],
            status=Status(item["status"]["S"]),
            runtime=item["runtime"]["S"],
            body_digest=item["body_digest"]["S"],
            created_at=_float(item, "created_at"),
            updated_at=_float(item, "updated_at"),
            expires_at=int(_float(item, "expires_at")),
            published=bool(item.get("published", {}).get("BOOL", False)),
            attempt=int(_float(item, "attempt")),
            run=int(_float(item, "run")),
            cancel=bool(item.get("cancel", {}).get("BOOL", False)),
            progress=_float(item, "progress") if "progress" in item else None,
            uid=item.get("uid", {}).get("S"),
            answer=item.get("answer", {}).get("S"),
            worker=item.get("worker", {}).get("S"),
            context=item.get("context", {}).get("S"),
            dialect=item.get("dialect", {}).get("S"),
            message=item.get("message", {}).get("S"),
            lease_until=_float(item, "lease_until"),
            deadline=_float(item, "deadline"),
            due_at=_float(item, "due_at"),
        )
    except (KeyError, ValueError, ArithmeticError) as error:
        raise ValueError(f"not a task's row: {error}") from error


def _float(item: Mapping[str, Mapping[str, Any]], name: str) -> float:
    return float(Decimal(str(item.get(name, {}).get("N", "0"))))
