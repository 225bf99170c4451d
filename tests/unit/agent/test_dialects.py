"""Each dialect against a recorded example of its shape (data/README.md says from where)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sd_agent.client.inbox import task_id_of
from sd_agent.contract.answers import Answer, AnswerError, AnswerStatus, Details, render
from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.task import Dialect

DATA = Path(__file__).parent / "data"
USAGE = {"gpu_seconds": 1.5, "model_switch_seconds": 0.0, "queue_seconds": 0.25, "attempts": 1}
DONE = Answer(
    id="t-1",
    answer_id="0123456789abcdef0123456789abcdef",
    status=AnswerStatus.COMPLETED,
    runtime="sd15",
    image_url=("s3://b/t-1-1.png", "s3://b/t-1-2.png", "s3://b/t-1-3.png"),
    output_url="s3://b/t-1.out",
    context={"any": "value"},
    usage=USAGE,
)
CANCELLED = replace(DONE, status=AnswerStatus.CANCELLED, image_url=(), output_url=None)
FAILED = replace(
    CANCELLED,
    status=AnswerStatus.FAILED,
    error=AnswerError(code=ErrorCode.MODEL_NOT_FOUND, message="no such model"),
)
DETAILS = Details(
    parameters={"prompt": "A dog", "batch_size": 1, "n_iter": 2},
    seeds=(1, 2),
    region="us-east-1",
    received_at=1_700_000_000.0,
    finished_at=1_700_000_001.5,
    input_url="s3://b/t-1.in",
)


def shape(value: Any) -> Any:
    """Keys and types; a list by those of its first entry."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [shape(entry) for entry in value[:1]]
    return type(value).__name__


def told(answer: Answer, dialect: Dialect) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(render(answer, dialect, DETAILS))
    return value


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("answer", [DONE, FAILED, CANCELLED], ids=lambda answer: answer.status.value)
def test_keys_and_types_are_those_of_the_recorded_example(dialect: Dialect, answer: Answer) -> None:
    kind = "completed" if answer is DONE else "failed"
    recorded = json.loads((DATA / f"answer-{dialect.value}-{kind}.json").read_text())
    value = told(answer, dialect)
    assert value.pop("answer_id") == answer.answer_id
    recorded.pop("answer_id", None)
    assert shape(value) == shape(recorded)


@pytest.mark.parametrize("dialect", Dialect)
def test_a_consumer_finds_the_task_in_each_dialect(dialect: Dialect) -> None:
    assert [task_id_of(told(answer, dialect)) for answer in (DONE, FAILED, CANCELLED)] == ["t-1"] * 3


def test_constants_of_the_notification() -> None:
    for answer, kind in ((DONE, "completed"), (FAILED, "failed")):
        recorded = json.loads((DATA / f"answer-sagemaker-{kind}.json").read_text())
        value = told(answer, Dialect.SAGEMAKER)
        for key in ("invocationStatus", "eventVersion", "eventSource", "eventName"):
            assert value[key] == recorded[key]


def test_what_scripts_add_is_apart_from_the_images_asked_for() -> None:
    parameters = told(DONE, Dialect.V1ALPHA1)["parameters"]
    assert parameters["image_url"] == "s3://b/t-1-1.png,s3://b/t-1-2.png"
    assert parameters["image_mask_url"] == "s3://b/t-1-3.png"


@pytest.mark.parametrize("answer", [FAILED, CANCELLED], ids=lambda answer: answer.status.value)
def test_one_reason_in_every_dialect(answer: Answer) -> None:
    error = told(answer, Dialect.DEFAULT)["error"]
    reason = f"{error['code']}: {error['message']}"
    assert told(answer, Dialect.V1ALPHA1)["parameters"]["error_msg"] == reason
    assert told(answer, Dialect.SAGEMAKER)["failureReason"] == reason
    assert error["code"] == ("cancelled" if answer is CANCELLED else "model_not_found")
