"""From a task's end to the text of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sd_agent.contract.answers import Answer, AnswerError, AnswerStatus, Details, answer_id, render, without_echo
from sd_agent.contract.messages import TOPIC_LIMIT_BYTES
from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Dialect, Task
from sd_agent.worker.errors import TaskError

__all__ = ["Told", "Work", "cancelled", "completed", "failed"]

# Leaves room for attributes and for SNS's envelope.
_MAX_ANSWER_BYTES = TOPIC_LIMIT_BYTES - 8192


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the work on a task left in S3, and what it took (seconds)."""

    image_urls: tuple[str, ...] = ()
    output_url: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    gpu_seconds: float = 0.0
    switch_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """An answer as it is stored and published."""

    status: Status
    text: str


def completed(task: Task, row: Row, work: Work, *, dialect: Dialect, details: Details, queue_seconds: float) -> Told:
    """The answer to a task that gave its images."""
    answer = Answer(
        id=task.id,
        answer_id=answer_id(tenant=task.tenant, task_id=task.id, run=row.run),
        status=AnswerStatus.COMPLETED,
        runtime=row.runtime,
        image_url=work.image_urls,
        output_url=work.output_url,
        context=task.context,
        usage=_usage(row, queue_seconds, work),
    )
    return _told(answer, dialect, replace(details, parameters=work.parameters, seeds=work.seeds))


def failed(task: Task, row: Row, error: TaskError, *, dialect: Dialect, details: Details, queue_seconds: float) -> Told:
    """The answer to a task that will not give any."""
    answer = _without_images(task, row, AnswerStatus.FAILED, queue_seconds)
    return _told(replace(answer, error=AnswerError(code=error.code, message=error.message)), dialect, details)


def cancelled(task: Task, row: Row, *, dialect: Dialect, details: Details, queue_seconds: float) -> Told:
    """The answer to a task that was taken back."""
    return _told(_without_images(task, row, AnswerStatus.CANCELLED, queue_seconds), dialect, details)


def _without_images(task: Task, row: Row, status: AnswerStatus, queue_seconds: float) -> Answer:
    return Answer(
        id=task.id,
        answer_id=answer_id(tenant=task.tenant, task_id=task.id, run=row.run),
        status=status,
        runtime=row.runtime,
        context=task.context,
        usage=_usage(row, queue_seconds, Work()),
    )


def _usage(row: Row, queue_seconds: float, work: Work) -> dict[str, Any]:
    return {
        "gpu_seconds": round(work.gpu_seconds, 3),
        "model_switch_seconds": round(work.switch_seconds, 3),
        "queue_seconds": round(queue_seconds, 3),
        "attempts": row.attempt,
    }


def _told(answer: Answer, dialect: Dialect, details: Details) -> Told:
    text = render(answer, dialect, details)
    if len(text.encode()) > _MAX_ANSWER_BYTES:
        # Only the echo of the request can be that large, and it is in the .out object anyway.
        text = render(answer, dialect, without_echo(details))
    return Told(status=Status(answer.status.value), text=text)
