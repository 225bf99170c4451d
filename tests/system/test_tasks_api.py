"""/v1/tasks on the whole path: follow a task to its answer, list, cancel, upload an input and use it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
import urllib3
from PIL import Image

from sandbox.demo.cloud import Cloud
from sandbox.state import State

pytestmark = pytest.mark.sandbox

Call = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def call(aws: boto3.Session, sandbox: State) -> Call:
    """call("GET", "/v1/tasks/…", body) -> (status, decoded answer), as the tenant `demo`."""
    api = Cloud("sd", sandbox.aws_url).api
    pool = urllib3.PoolManager(retries=False, timeout=30)

    def _call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        reply = pool.request(method, api.url + path, body=data, headers={"x-api-key": api.key})
        return reply.status, json.loads(reply.data) if reply.data else None

    return _call


def task(**more: Any) -> dict[str, Any]:
    """A short task for the dynamic runtime."""
    content = {"prompt": "A fox", "steps": 2, "width": 64, "height": 64}
    return {"tasktype": "text-to-image", "runtime": "any", "content": content, **more}


def ended(call: Call, task_id: str, seconds: float = 120) -> dict[str, Any]:
    """The task once it has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status, found = call("GET", f"/v1/tasks/{task_id}")
        assert status == 200
        if found["status"] in ("completed", "failed", "cancelled"):
            return dict(found)
        time.sleep(0.3)
    pytest.fail(f"{task_id} has not ended after {seconds:g} s")


def test_a_task_is_followed_to_its_answer_and_listed(call: Call, task_id: str) -> None:
    status, first = call("PUT", f"/v1/tasks/{task_id}", task(uid=task_id))
    assert (status // 100, first["id"]) == (2, task_id)
    again, _same = call("PUT", f"/v1/tasks/{task_id}", task(uid=task_id))
    assert again // 100 == 2
    found = ended(call, task_id)
    assert (found["status"], found["answer"]["status"], len(found["answer"]["image_url"])) == (
        "completed",
        "completed",
        1,
    )
    status, listed = call("GET", f"/v1/tasks?uid={task_id}")
    assert (status, [entry["id"] for entry in listed["tasks"]]) == (200, [task_id])
    assert call("DELETE", f"/v1/tasks/{task_id}")[0] == 409


def test_a_task_is_cancelled_at_once_while_it_waits(call: Call, task_id: str) -> None:
    assert call("PUT", f"/v1/tasks/{task_id}", task())[0] // 100 == 2
    status, _found = call("DELETE", f"/v1/tasks/{task_id}")
    # 202: an agent that was up had begun already, and may be done before it sees the wish.
    allowed = {200: ("cancelled",), 202: ("cancelled", "completed")}
    assert ended(call, task_id)["status"] in allowed[status]


def test_an_uploaded_image_is_an_input(call: Call, task_id: str) -> None:
    status, upload = call("POST", "/v1/uploads", {"content_type": "image/png"})
    assert status // 100 == 2
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(data, "PNG")
    fields = {**upload["fields"], "file": ("input.png", data.getvalue(), "image/png")}
    sent = urllib3.PoolManager(retries=False, timeout=30).request("POST", upload["url"], fields=fields)
    assert sent.status in (200, 201, 204), sent.data
    content = {"prompt": "A fox", "steps": 2, "width": 64, "height": 64, "init_images": [upload["s3_url"]]}
    body = {"tasktype": "image-to-image", "runtime": "any", "content": content}
    assert call("PUT", f"/v1/tasks/{task_id}", body)[0] // 100 == 2
    found = ended(call, task_id)
    assert found["status"] == "completed", found


def test_another_id_is_nobodys(call: Call, task_id: str) -> None:
    status, body = call("GET", f"/v1/tasks/{task_id}")
    assert (status, body["error"]["field"]) == (404, "id")
