"""Rows of the task table and their DynamoDB form.

Key: tenant + id. `published` says whether what the row's status calls for is out: the message while the task is
accepted or running, the answer afterwards. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

__all__ = [
    "DEFAULT_RETENTION_DAYS",
    "ROUTES_ID",
    "SYSTEM_TENANT",
    "Row",
    "Status",
    "decode",
    "encode",
    "key",
    "number",
    "string",
]

# The route table's own item: no request can reach it, as tenants' names begin with a letter or a digit.
SYSTEM_TENANT = "_system"
ROUTES_ID = "routes"
DEFAULT_RETENTION_DAYS = 30

Item = dict[str, dict[str, Any]]


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
    }
    for name, value in (("uid", row.uid), ("answer", row.answer), ("worker", row.worker)):
        if value is not None:
            item[name] = string(value)
    if row.lease_until:
        item["lease_until"] = number(row.lease_until)
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
            uid=item.get("uid", {}).get("S"),
            answer=item.get("answer", {}).get("S"),
            attempt=int(_float(item, "attempt")),
            run=int(_float(item, "run")),
            worker=item.get("worker", {}).get("S"),
            lease_until=_float(item, "lease_until"),
        )
    except (KeyError, ValueError, ArithmeticError) as error:
        raise ValueError(f"not a task's row: {error}") from error


def _float(item: Mapping[str, Mapping[str, Any]], name: str) -> float:
    return float(Decimal(str(item.get(name, {}).get("N", "0"))))
