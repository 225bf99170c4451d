"""Answers to tasks that no agent worked on: cancelled, expired or given up. From the row alone."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from sd_agent.contract.answers import Answer, AnswerError, AnswerStatus, Details, answer_id, render
from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.routing import RouteTable
from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Dialect

__all__ = ["How", "answer_attributes", "cancelled", "dialect_of", "failed"]


class How(TypedDict):
    """How to tell it: the shape, the region that some shapes name, and when (seconds since the epoch)."""

    dialect: Dialect
    region: str
    now: float


def cancelled(row: Row, *, dialect: Dialect, region: str, now: float) -> str:
    """The text of the answer to a task that was taken back."""
    return _text(row, AnswerStatus.CANCELLED, None, dialect, region, now)


def failed(row: Row, code: ErrorCode, message: str, *, dialect: Dialect, region: str, now: float) -> str:
    """The text of the answer to a task that will not be done."""
    return _text(row, AnswerStatus.FAILED, AnswerError(code=code, message=message), dialect, region, now)


def dialect_of(row: Row, routes: RouteTable) -> Dialect:
    """The request's dialect, or else its runtime's."""
    runtime = routes.runtimes.get(row.runtime)
    name = row.dialect or (runtime.dialect if runtime is not None else None)
    return next((dialect for dialect in Dialect if dialect.value == name), Dialect.DEFAULT)


def answer_attributes(row: Row, status: Status) -> dict[str, str]:
    """The attributes that an answer is published with, which subscribers' filters match."""
    return {"id": row.id, "status": status.value, "runtime": row.runtime, "tenant": row.tenant}


def _text(row: Row, status: AnswerStatus, error: AnswerError | None, dialect: Dialect, region: str, now: float) -> str:
    answer = Answer(
        id=row.id,
        answer_id=answer_id(tenant=row.tenant, task_id=row.id, run=row.run),
        status=status,
        runtime=row.runtime,
        context=_context(row),
        error=error,
        usage={
            "gpu_seconds": 0.0,
            "model_switch_seconds": 0.0,
            "queue_seconds": round(max(0.0, now - row.created_at), 3),
            "attempts": row.attempt,
        },
    )
    return render(answer, dialect, Details(region=region, received_at=row.created_at, finished_at=now))


def _context(row: Row) -> Any:
    return None if row.context is None else json.loads(row.context)
