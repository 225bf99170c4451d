"""Strict JSON, names, images in bodies, rows, logs."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_agent.contract import content, images, logs, names, rows
from sd_agent.contract.errors import InvalidRequest
from sd_agent.contract.jsonvalue import canonical, digest, loads_object
from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import TaskType


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "5",
        '"x"',
        "{",
        '{"a": 1,}',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": 99999999999999999999999}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\\ud800"}',
        '{"\\udc00": 1}',
        '{"a": ' + "[" * 100 + "]" * 100 + "}",
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' * 100_000,
        b"\xff\xfe{",
        b'{"a": "\xc3"}',
    ],
)
def test_json_that_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        loads_object(text, "body")
    assert caught.value.field == "body"


def test_json_that_is_taken() -> None:
    assert loads_object('{"a": [1, 2.5, "é\\ud83d\\ude00", null]}') == {"a": [1, 2.5, "é😀", None]}
    assert loads_object(f'{{"seed": {2**64 - 1}}}') == {"seed": 2**64 - 1}


def test_the_canonical_form_does_not_depend_on_order() -> None:
    assert canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    with pytest.raises(InvalidRequest):
        canonical({"a": object()})


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("x.safetensors", "x.safetensors"),
        ("x.safetensors [6ce0161689]", "x.safetensors"),
        ("sub/x y.safetensors  [6CE0161689]", "sub/x y.safetensors"),
        ("x [wip].safetensors", "x [wip].safetensors"),
        ("x.safetensors [wip]", "x.safetensors [wip]"),
        ("[6ce0161689]", "[6ce0161689]"),
    ],
)
def test_a_title_is_reduced_to_its_file(model: str, file: str) -> None:
    assert names.model_file(model) == file


@given(st.text(max_size=40))
def test_an_id_or_a_prefix_never_leaves_its_place(text: str) -> None:
    for check in (names.check_id, names.check_prefix):
        try:
            checked = check(text, "f")
        except InvalidRequest:
            continue
        parts = checked.split("/")
        assert "" not in parts
        assert not any(".." in part for part in parts)
        assert checked.isascii()
        assert checked.isprintable()


def test_keys_follow_from_the_task_alone() -> None:
    location = names.location_key(tenant="default", prefix="a/b", task_id="t")
    assert location == "a/b/t/"
    assert names.location_key(tenant="acme", prefix="a", task_id="t") == "acme/a/t/"
    assert names.image_key(location, "t", 2, "png") == "a/b/t/t-2.png"
    assert names.response_key(location, "t") == "a/b/t/t.out"
    assert names.split_s3_url("s3://b/k/l") == ("b", "k/l")


@pytest.mark.parametrize("name", ["_system", "", ".x", "a/b", "a..b", "x" * 64, "a b"])
def test_what_no_tenant_can_be_called(name: str) -> None:
    assert not names.is_tenant(name)


def test_the_places_of_images() -> None:
    body: dict[str, Any] = {
        "prompt": "https://not/an/input",
        "init_images": ["https://a", "b64"],
        "mask": "https://m",
        "imageList": [{"data": "https://l", "name": "n"}],
        "alwayson_scripts": {
            "ControlNet": {"args": [{"image": {"image": "https://c", "mask": "x"}}, {"input_image": "https://d"}, 5]}
        },
    }
    found = {images.dotted(path): images.get_at(body, path) for path in images.image_paths(body)}
    assert found == {
        "mask": "https://m",
        "init_images.0": "https://a",
        "init_images.1": "b64",
        "imageList.0.data": "https://l",
        "alwayson_scripts.ControlNet.args.0.image.image": "https://c",
        "alwayson_scripts.ControlNet.args.0.image.mask": "x",
        "alwayson_scripts.ControlNet.args.1.input_image": "https://d",
    }
    for path in images.image_paths(body):
        images.set_at(body, path, "done")
    assert images.stray_urls(body) == []
    body["script_args"] = [{"x": " HTTP://evil"}]
    assert [images.dotted(path) for path in images.stray_urls(body)] == ["script_args.0.x"]


def test_batches_need_data_and_names() -> None:
    content.check_content(TaskType.EXTRA_BATCH_IMAGES, {"imageList": [{"data": "x", "name": "n"}]}, "")
    for bad in (None, [], 5, [5], [{"data": "x"}], [{"name": "n"}]):
        with pytest.raises(InvalidRequest):
            content.check_content(TaskType.EXTRA_BATCH_IMAGES, {"imageList": bad}, "")
    for bad in (0, 9, "2", None, True):
        with pytest.raises(InvalidRequest) as caught:
            content.check_content(TaskType.EXTRA_SINGLE_IMAGE, {"image": "x", "upscaling_resize": bad}, "c")
        assert caught.value.field == "c.upscaling_resize"


def test_a_row_survives_dynamodb() -> None:
    row = Row(
        tenant="acme",
        id="t",
        status=Status.RUNNING,
        runtime="r",
        body_digest="d",
        created_at=1.25,
        updated_at=2.5,
        expires_at=3,
        published=True,
        uid="u",
        answer="{}",
        attempt=2,
        run=1,
        worker="w",
        lease_until=9.75,
    )
    assert rows.decode(rows.encode(row)) == row
    with pytest.raises(ValueError, match="not a task's row"):
        rows.decode({"tenant": {"S": "_system"}, "id": {"S": "routes"}, "routes": {"S": "{}"}})
    with pytest.raises(ValueError, match="not a task's row"):
        rows.decode(rows.encode(row) | {"attempt": {"N": "many"}})
    assert [status.ended for status in Status] == [False, False, True, True, True]


def test_logs_are_json_lines_with_the_task() -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream)
    logger = logging.getLogger("sd_agent.test")
    try:
        with logs.task_log("t-1", "acme"):
            logger.info("hello %s", "you", extra={"seconds": 2})
        logger.debug("not shown")
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            logger.exception("failed")
    finally:
        logging.getLogger("sd_agent").handlers.clear()
        logging.getLogger("sd_agent").propagate = True
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["message"], first["task"], first["tenant"], first["seconds"]) == ("hello you", "t-1", "acme", 2)
    assert first["time"].endswith("Z")
    assert "task" not in second
    assert "RuntimeError: broken" in second["exception"]
