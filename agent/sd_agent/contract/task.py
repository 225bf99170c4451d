"""The one internal form of a request, whatever route or message shape it came by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from sd_agent.contract import jsonvalue, names
from sd_agent.contract.errors import InvalidRequest
from sd_agent.contract.rows import MAX_TTL_S

__all__ = [
    "IMAGE_TASKS",
    "Dialect",
    "Task",
    "TaskType",
    "check_context",
    "check_dialect",
    "check_tasktype",
    "check_ttl",
]

# An answer carries the context back and must fit the topic; this leaves room for every other field.
_MAX_CONTEXT_BYTES = 16 * 1024


class TaskType(StrEnum):
    """What is to be done (`tasktype` of the message)."""

    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    EXTRA_SINGLE_IMAGE = "extra-single-image"
    EXTRA_BATCH_IMAGES = "extra-batch-images"
    PIPELINE = "pipeline"


IMAGE_TASKS = frozenset({TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE})
"""The task types that run a checkpoint, and therefore depend on a model."""


class Dialect(StrEnum):
    """The shape of an answer."""

    DEFAULT = "default"
    V1ALPHA1 = "v1alpha1"
    SAGEMAKER = "sagemaker"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A validated request.

    id, tasktype, prefix: checked by contract.names. content: an SD WebUI body (image fields may hold URLs) or a ComfyUI
    graph. model: as asked for (file name, title or hash), None where the request names none. runtime: only where the
    request names one itself; where routing sent it is not part of the task. tenant and tier never come from a body.
    ttl: seconds after which a task that nobody has begun need not be done, None for the usual time.
    """

    id: str
    tasktype: TaskType
    content: Mapping[str, Any]
    prefix: str = names.DEFAULT_PREFIX
    tenant: str = names.DEFAULT_TENANT
    runtime: str | None = None
    model: str | None = None
    context: Any = None
    uid: str | None = None
    dialect: Dialect | None = None
    ttl: int | None = None

    @cached_property
    def body_digest(self) -> str:
        """SHA-256 over everything the requester chose: two requests with one digest are one request."""
        chosen: dict[str, Any] = {
            "id": self.id,
            "tasktype": self.tasktype.value,
            "content": self.content,
            "prefix": self.prefix,
            "runtime": self.runtime,
            "model": self.model,
            "context": self.context,
            "uid": self.uid,
            "dialect": self.dialect and self.dialect.value,
        }
        # Only where it is given: a task has the digest that it had before there was such a thing.
        if self.ttl is not None:
            chosen["ttl"] = self.ttl
        return jsonvalue.digest(chosen)

    @property
    def model_file(self) -> str | None:
        """The model's file name: the attribute that filters and routes match."""
        return names.model_file(self.model) if self.model else None

    @property
    def location(self) -> str:
        """The key under which the task's objects are stored, with a slash at its end."""
        return names.location_key(tenant=self.tenant, prefix=self.prefix, task_id=self.id)


def check_tasktype(value: Any, field: str, allowed: frozenset[TaskType] = frozenset(TaskType)) -> TaskType:
    """The task type, or InvalidRequest that lists what is allowed."""
    if value is None or value == "":
        raise InvalidRequest.at(field, f"{field} is required")
    for tasktype in allowed:
        if tasktype.value == value:
            return tasktype
    raise InvalidRequest.at(field, f"{field} must be one of {', '.join(sorted(allowed))}")


def check_dialect(value: Any, field: str) -> Dialect | None:
    """The dialect that a request asks for, or None."""
    if value is None:
        return None
    for dialect in Dialect:
        if dialect.value == value:
            return dialect
    raise InvalidRequest.at(field, f"{field} must be one of {', '.join(sorted(Dialect))}")


def check_context(value: Any, field: str) -> Any:
    """Any JSON value of up to 16 KiB; it comes back in the answer."""
    if len(jsonvalue.canonical(value, field)) > _MAX_CONTEXT_BYTES:
        raise InvalidRequest.at(field, f"{field} must be up to {_MAX_CONTEXT_BYTES // 1024} KiB of JSON")
    return value


def check_ttl(value: Any, field: str) -> int | None:
    """Seconds, from 1 to 13 days, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TTL_S:
        raise InvalidRequest.at(field, f"{field} must be a whole number of seconds from 1 to {MAX_TTL_S}")
    return value
