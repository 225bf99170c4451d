"""The one answer of a task, and the dialects it can be told in."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.task import Dialect

__all__ = ["Answer", "AnswerError", "AnswerStatus", "Details", "answer_id", "render", "without_echo"]

_EVENT_VERSION = "1.0"
_COUNTS = ("batch_size", "n_iter")
_CANCELLED = "the task was cancelled"


class AnswerStatus(StrEnum):
    """How a task ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class AnswerError:
    """Why a task failed: a code for programs, a sentence for people."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, kw_only=True)
class Details:
    """What only some dialects tell. Times in seconds since the epoch, URLs as s3://. input_url: of the content."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = ()
    region: str = ""
    received_at: float = 0.0
    finished_at: float = 0.0
    input_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is published on the output topic (the default dialect)."""

    id: str
    answer_id: str
    status: AnswerStatus
    runtime: str
    image_url: Sequence[str] = ()
    output_url: str | None = None
    context: Any = None
    error: AnswerError | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The default dialect as a JSON object."""
        return {
            "id": self.id,
            "answer_id": self.answer_id,
            "result": self.status is AnswerStatus.COMPLETED,
            "status": self.status.value,
            "runtime": self.runtime,
            "image_url": list(self.image_url),
            "output_url": self.output_url,
            "context": self.context,
            "error": None if self.error is None else {"code": self.error.code.value, "message": self.error.message},
            "usage": dict(self.usage),
        }


def answer_id(*, tenant: str, task_id: str, run: int = 0) -> str:
    """The id of the answer to one run of a task: the same whoever makes it, so that copies can be told."""
    return hashlib.sha256(f"{tenant}/{task_id}/{run}".encode()).hexdigest()[:32]


def render(answer: Answer, dialect: Dialect, details: Details) -> str:
    """The answer's text in a dialect: what is stored in the task table and published, byte for byte."""
    if answer.status is AnswerStatus.CANCELLED and answer.error is None:
        answer = replace(answer, error=AnswerError(code=ErrorCode.CANCELLED, message=_CANCELLED))
    bodies = {Dialect.DEFAULT: _default, Dialect.V1ALPHA1: _v1alpha1, Dialect.SAGEMAKER: _sagemaker}
    return json.dumps(bodies[dialect](answer, details), separators=(",", ":"), ensure_ascii=False)


def without_echo(details: Details) -> Details:
    """The details less the echo of the request, of which only the number of images asked for stays."""
    return replace(details, parameters={key: details.parameters[key] for key in _COUNTS if key in details.parameters})


def _default(answer: Answer, details: Details) -> dict[str, Any]:
    return answer.to_json()


def _v1alpha1(answer: Answer, details: Details) -> dict[str, Any]:
    """As the queue agent of aws-samples/stable-diffusion-on-eks answered in its first releases; `answer_id` is ours.

    What scripts add to the images asked for (grids, the maps of ControlNet) is in `image_mask_url`.
    """
    if answer.status is AnswerStatus.COMPLETED:
        asked = _images_asked_for(details.parameters) or len(answer.image_url)
        parameters = dict(details.parameters) | {
            "id_task": answer.id,
            "status": 1,
            "image_url": ",".join(answer.image_url[:asked]),
            "image_seed": ",".join(str(seed) for seed in details.seeds),
            "error_msg": "",
            "image_mask_url": ",".join(answer.image_url[asked:]),
        }
    else:
        parameters = {
            "id_task": answer.id,
            "status": 0,
            "image_url": "",
            "image_seed": [],
            "error_msg": _reason(answer),
            "image_mask_url": "",
        }
    return {"images": [""], "parameters": parameters, "info": "", "answer_id": answer.answer_id}


def _sagemaker(answer: Answer, details: Details) -> dict[str, Any]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html; `answer_id` is ours."""
    completed = answer.status is AnswerStatus.COMPLETED
    event: dict[str, Any] = {
        "awsRegion": details.region,
        "eventTime": _iso(details.finished_at),
        "receivedTime": _iso(details.received_at),
        "invocationStatus": "Completed" if completed else "Failed",
        "requestParameters": {
            "accept": "application/json",
            "contentType": "application/json",
            "endpointName": answer.runtime,
            "inputLocation": details.input_url,
        },
        "inferenceId": answer.id,
        "eventVersion": _EVENT_VERSION,
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
        "answer_id": answer.answer_id,
    }
    if completed:
        event["responseParameters"] = {"contentType": "application/json", "outputLocation": answer.output_url}
    else:
        event["failureReason"] = _reason(answer)
    return event


def _reason(answer: Answer) -> str:
    return "" if answer.error is None else f"{answer.error.code.value}: {answer.error.message}"


def _images_asked_for(parameters: Mapping[str, Any]) -> int | None:
    counts = [count for name in _COUNTS if isinstance(count := parameters.get(name), int) and count > 0]
    return math.prod(counts) if len(counts) == len(_COUNTS) else None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
