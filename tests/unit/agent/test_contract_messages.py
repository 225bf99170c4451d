"""Messages, routes and answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_agent.contract import messages
from sd_agent.contract.answers import Answer, AnswerError, AnswerStatus, Details, answer_id, render
from sd_agent.contract.errors import ConfigurationError, ErrorCode, InvalidRequest, NoRuntime
from sd_agent.contract.messages import ContentRef
from sd_agent.contract.routing import EMPTY_ROUTES, Route, RoutedBy, RouteTable, route
from sd_agent.contract.task import Dialect, Task, TaskType

TASK = Task(
    id="t-1",
    tasktype=TaskType.TEXT_TO_IMAGE,
    content={"prompt": "A dög"},
    prefix="a/b",
    tenant="acme",
    model="x.safetensors [6ce0161689]",
    context={"k": [1]},
    uid="u",
    dialect=Dialect.SAGEMAKER,
)
BY_MODEL = Route(runtime="sd15", by=RoutedBy.MODEL)
FLAT = {
    "alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": "x.safetensors", "id_task": "21123"},
    "prompt": "A dog",
}


def envelope(text: str, **attributes: str) -> str:
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "m",
            "TopicArn": "arn",
            "Message": text,
            "Timestamp": "2026-01-01T00:00:00.000Z",
            "MessageAttributes": {name: {"Type": "String", "Value": value} for name, value in attributes.items()},
        }
    )


@pytest.mark.parametrize("wrap", [envelope, str])
def test_a_task_survives_the_way(wrap: Any) -> None:
    opened = messages.open_message(wrap(messages.encode(TASK, BY_MODEL)))
    assert messages.task_of(opened) == TASK
    assert messages.task_of(opened).body_digest == TASK.body_digest


def test_an_explicit_runtime_stays_part_of_the_task() -> None:
    task = replace(TASK, runtime="sd15")
    text = messages.encode(task, Route(runtime="sd15", by=RoutedBy.RUNTIME))
    assert messages.task_of(messages.open_message(text)) == task


def test_the_message_has_the_shape_of_the_contract() -> None:
    message = json.loads(messages.encode(TASK, BY_MODEL))
    assert message["content"] == {"prompt": "A dög"}
    assert message["metadata"] == {
        "id": "t-1",
        "runtime": "sd15",
        "routed_by": "model",
        "tasktype": "text-to-image",
        "prefix": "a/b",
        "context": {"k": [1]},
        "tenant": "acme",
        "sd_model_checkpoint": "x.safetensors [6ce0161689]",
        "uid": "u",
        "dialect": "sagemaker",
    }


def test_the_attributes_that_filters_match() -> None:
    assert messages.attributes(TASK, BY_MODEL, "paid") == {
        "runtime": "sd15",
        "sd_model_checkpoint": "x.safetensors",
        "tier": "paid",
    }
    assert messages.attributes(replace(TASK, model=None), BY_MODEL, None) == {"runtime": "sd15"}


def test_attributes_come_from_the_envelope_or_from_the_queue() -> None:
    text = messages.encode(TASK, BY_MODEL)
    assert messages.open_message(envelope(text, runtime="r")).attributes == {"runtime": "r"}
    assert messages.open_message(text, {"runtime": "q"}).attributes == {"runtime": "q"}


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        (None, "outputs"),
        ("bucket/21123", ""),
        ("bucket/folder/21123", "folder"),
        ("s3://bucket/folder/deep/21123/", "folder/deep"),
        ("s3://bucket/folder", "folder"),
        ("s3://bucket/x21123", "x21123"),
    ],
)
def test_the_older_flat_shape(path: str | None, prefix: str) -> None:
    body = FLAT if path is None else {**FLAT, "s3_output_path": path}
    task = messages.task_of(messages.open_message(envelope(json.dumps(body))))
    assert (task.id, task.tenant, task.model, task.prefix) == ("21123", "default", "x.safetensors", prefix)
    assert task.content == {"prompt": "A dog"}
    assert task.location == f"{prefix}/21123/".lstrip("/")


@pytest.mark.parametrize("path", [5, "bucket/../x", "bucket//x"])
def test_a_flat_shape_with_a_bad_path(path: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages.task_of(messages.open_message(json.dumps({**FLAT, "s3_output_path": path})))
    assert caught.value.field == "s3_output_path"


def test_large_messages_do_not_fit_and_travel_by_reference() -> None:
    assert messages.fits_topic("x" * 250_000, {"a": "b"})
    assert not messages.fits_topic("x" * 260_000, {"a": "b"})
    assert not messages.fits_topic('"' * 130_000, {})  # escaped in the envelope
    assert not messages.fits_topic("é" * 130_000, {})
    content = json.dumps(TASK.content).encode()
    reference = ContentRef(bucket="b", key="_requests/acme/t-1/d.json", sha256=hashlib.sha256(content).hexdigest())
    opened = messages.open_message(messages.encode(TASK, BY_MODEL, content_ref=reference))
    assert opened.content_ref == reference
    assert messages.task_of(messages.with_content(opened, content)) == TASK
    with pytest.raises(InvalidRequest):
        messages.with_content(opened, b"{}")
    with pytest.raises(InvalidRequest):
        messages.task_of(opened)


@pytest.mark.parametrize(
    "reference",
    [
        5,
        {},
        {"url": "s3://b/_requests/x"},
        {"url": "s3://b/outputs/x", "sha256": "0"},
        {"url": "s3://b/_requests/../outputs/x", "sha256": "0"},
        {"url": "http://b/_requests/x", "sha256": "0"},
    ],
)
def test_a_damaged_reference(reference: Any) -> None:
    opened = messages.open_message(json.dumps({"metadata": {}, "content_ref": reference}))
    with pytest.raises(InvalidRequest):
        opened.content_ref  # noqa: B018


@pytest.mark.parametrize(
    ("body", "identity"),
    [
        ("not json", None),
        ("{}", None),
        ('{"metadata": {"id": "t-1"}}', "t-1"),
        ('{"metadata": {"id": "../x"}}', None),
        ('{"metadata": {"id": 5}}', None),
        ('{"metadata": 5}', None),
        ('{"alwayson_scripts": {"id_task": "t-2"}}', "t-2"),
        (envelope('{"metadata": {"id": "t-3"}}'), "t-3"),
        (envelope("not json"), None),
    ],
)
def test_the_identity_of_what_cannot_be_read(body: str, identity: str | None) -> None:
    assert messages.readable_identity(body) == identity


@given(st.text() | st.recursive(st.none() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_any_message_is_a_task_or_a_named_mistake(value: Any) -> None:
    for body in (value if isinstance(value, str) else json.dumps(value), envelope(json.dumps(value))):
        messages.readable_identity(body)
        try:
            opened = messages.open_message(body)
            messages.task_of(opened)
        except InvalidRequest as error:
            assert error.message


@given(
    key=st.sampled_from(
        [
            "id",
            "tasktype",
            "prefix",
            "runtime",
            "context",
            "tenant",
            "uid",
            "dialect",
            "routed_by",
            "sd_model_checkpoint",
        ]
    ),
    value=st.none() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()),
)
def test_any_metadata_is_a_task_or_a_named_mistake(key: str, value: Any) -> None:
    message = json.loads(messages.encode(TASK, BY_MODEL))
    message["metadata"][key] = value
    try:
        messages.task_of(messages.open_message(json.dumps(message)))
    except InvalidRequest as error:
        assert error.message


ROUTES = RouteTable.parse(
    json.dumps(
        {
            "runtimes": {
                "sd15": {"models": ["a.ckpt", "b.ckpt"], "dynamic": False, "tier": None, "dialect": None},
                "any": {"models": None, "dynamic": True, "tier": None, "dialect": "v1alpha1"},
                "paid": {"models": None, "dynamic": False, "tier": "paid", "dialect": None},
                "byname": {"models": None, "dynamic": False, "tier": None, "dialect": None},
            }
        }
    )
)


@pytest.mark.parametrize(
    ("runtime", "tier", "model", "wanted"),
    [
        ("sd15", "paid", "z.ckpt", ("sd15", RoutedBy.RUNTIME)),
        ("byname", None, None, ("byname", RoutedBy.RUNTIME)),
        (None, "paid", "a.ckpt", ("paid", RoutedBy.TIER)),
        (None, "paid", None, ("paid", RoutedBy.TIER)),
        (None, "free", "a.ckpt", ("sd15", RoutedBy.MODEL)),
        (None, None, "b.ckpt [6ce0161689]", ("sd15", RoutedBy.MODEL)),
        (None, None, "z.ckpt", ("any", RoutedBy.DYNAMIC)),
        ("nope", None, "a.ckpt", None),
        (None, None, None, None),
    ],
)
def test_precedence(runtime: str | None, tier: str | None, model: str | None, wanted: Any) -> None:
    task = replace(TASK, runtime=runtime, model=model)
    if wanted is None:
        with pytest.raises(NoRuntime) as caught:
            route(ROUTES, task, tier)
        assert caught.value.code is ErrorCode.NO_RUNTIME
    else:
        found = route(ROUTES, task, tier)
        assert (found.runtime, found.by) == wanted


def test_a_tier_with_models_takes_only_these() -> None:
    table = RouteTable.parse('{"runtimes": {"p": {"models": ["a"], "tier": "paid"}, "d": {"dynamic": true}}}')
    assert route(table, replace(TASK, model="a"), "paid").runtime == "p"
    assert route(table, replace(TASK, model="b"), "paid").runtime == "d"
    assert route(table, replace(TASK, model="a"), None).runtime == "d"


def test_no_routes_no_runtime() -> None:
    with pytest.raises(NoRuntime):
        route(EMPTY_ROUTES, TASK)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"runtimes": []}', '{"runtimes": {"x": 5}}', '{"runtimes": {"x": {"models": [1]}}}']
)
def test_a_damaged_route_table(text: str) -> None:
    with pytest.raises(ConfigurationError, match="route table"):
        RouteTable.parse(text)


DONE = Answer(
    id="t-1",
    answer_id="abc",
    status=AnswerStatus.COMPLETED,
    runtime="sd15",
    image_url=("s3://b/t-1-1.png", "s3://b/t-1-2.png"),
    output_url="s3://b/t-1.out",
    context={"k": 1},
    usage={"gpu_seconds": 1.5},
)
FAILED = Answer(
    id="t-1",
    answer_id="abc",
    status=AnswerStatus.FAILED,
    runtime="sd15",
    error=AnswerError(code=ErrorCode.MODEL_NOT_FOUND, message="no such model"),
)
DETAILS = Details(
    parameters={"prompt": "A dog", "status": "echo"},
    seeds=(1, 2),
    region="eu-west-1",
    received_at=1_700_000_000.0,
    finished_at=1_700_000_001.5,
    input_url="s3://b/t-1.in",
)


def test_the_default_dialect() -> None:
    assert json.loads(render(DONE, Dialect.DEFAULT, DETAILS)) == {
        "id": "t-1",
        "answer_id": "abc",
        "result": True,
        "status": "completed",
        "runtime": "sd15",
        "image_url": ["s3://b/t-1-1.png", "s3://b/t-1-2.png"],
        "output_url": "s3://b/t-1.out",
        "context": {"k": 1},
        "error": None,
        "usage": {"gpu_seconds": 1.5},
    }
    failed = json.loads(render(FAILED, Dialect.DEFAULT, DETAILS))
    assert failed["error"] == {"code": "model_not_found", "message": "no such model"}
    assert (failed["result"], failed["status"], failed["image_url"]) == (False, "failed", [])


def test_the_v1alpha1_dialect() -> None:
    assert json.loads(render(DONE, Dialect.V1ALPHA1, DETAILS)) == {
        "images": [""],
        "parameters": {
            "prompt": "A dog",
            "id_task": "t-1",
            "status": 1,
            "image_url": "s3://b/t-1-1.png,s3://b/t-1-2.png",
            "image_seed": "1,2",
            "error_msg": "",
            "image_mask_url": "",
        },
        "info": "",
        "answer_id": "abc",
    }
    failed = json.loads(render(FAILED, Dialect.V1ALPHA1, DETAILS))
    assert failed["parameters"]["status"] == 0
    assert failed["parameters"]["error_msg"] == "model_not_found: no such model"


def test_the_sagemaker_dialect() -> None:
    done = json.loads(render(DONE, Dialect.SAGEMAKER, DETAILS))
    assert done == {
        "awsRegion": "eu-west-1",
        "eventTime": "2023-11-14T22:13:21.500Z",
        "receivedTime": "2023-11-14T22:13:20.000Z",
        "invocationStatus": "Completed",
        "requestParameters": {
            "accept": "application/json",
            "contentType": "application/json",
            "endpointName": "sd15",
            "inputLocation": "s3://b/t-1.in",
        },
        "responseParameters": {"contentType": "application/json", "outputLocation": "s3://b/t-1.out"},
        "inferenceId": "t-1",
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
        "answer_id": "abc",
    }
    failed = json.loads(render(FAILED, Dialect.SAGEMAKER, DETAILS))
    assert failed["invocationStatus"] == "Failed"
    assert failed["failureReason"] == "model_not_found: no such model"
    assert "responseParameters" not in failed


def test_one_answer_id_per_run() -> None:
    first = answer_id(tenant="acme", task_id="t")
    assert first == answer_id(tenant="acme", task_id="t", run=0)
    assert len({first, answer_id(tenant="acme", task_id="t", run=1), answer_id(tenant="x", task_id="t")}) == 3
