"""The module task against a small real HTTP API that keeps tasks as intake does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import Failure
from ansible_collections.stable_diffusion.eks.plugins.module_utils.task_api import (
    NoRoute,
    Refused,
    Reply,
    TaskApi,
    reason_of,
    task_id_of,
)
from ansible_collections.stable_diffusion.eks.plugins.modules import task as module

KEY = "a-key-that-nobody-must-see"
SECOND = {"task": {"metadata": {"id": "t/1", "tasktype": "text-to-image"}, "content": {"prompt": "A dog"}}}
FIRST = {"alwayson_scripts": {"id_task": "t-1", "task": "text-to-image"}, "prompt": "A dog"}
DONE = {"id": "t/1", "status": "completed", "image_url": ["s3://b/t.png"]}
NO_TASK = {"error": {"code": "not_found", "message": "there is no task", "field": "id"}}
NO_PATH = {"error": {"code": "not_found", "message": "there is no such path or method", "field": None}}
OTHER_BODY = {"error": {"code": "conflict", "message": "the id is another request's", "field": "task.metadata.id"}}


class Api(ThreadingHTTPServer):
    """looks: what GET shows, one after the other, the last one for ever; submits: statuses and bodies of POST."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = []
        self.looks = [(404, NO_TASK), (200, {"id": "t/1", "status": "completed", "answer": DONE})]
        self.submits = [(200, {"id": "t/1"})]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/prod"


class Handler(BaseHTTPRequestHandler):
    def reply(self):
        size = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        self.server.calls.append((self.command, self.path, body, self.headers.get("x-api-key")))
        script = self.server.looks if self.command == "GET" else self.server.submits
        status, value = script.pop(0) if len(script) > 1 else script[0]
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = reply

    def log_message(self, *arguments):
        """Keep quiet."""


@pytest.fixture
def api():
    server = Api()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(capsys):
    """Runs the module: what it prints, as ansible reads it."""

    def run(server, check_mode=False, **options):
        arguments = {"url": server.url, "api_key": KEY, "body": SECOND, "_ansible_check_mode": check_mode, **options}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        printed = capsys.readouterr().out
        assert KEY not in printed
        return json.loads(printed.splitlines()[-1])

    return run


class Clock:
    """Time that passes only in sleep."""

    def __init__(self):
        self.now = 0.0
        self.naps = []

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.now += seconds


def scripted(*replies):
    """An API client whose calls get these replies, the last one for ever, and its clock."""
    clock, left, calls = Clock(), list(replies), []

    def send(method, path, body):
        calls.append((method, path))
        status, value = left.pop(0) if len(left) > 1 else left[0]
        return Reply(status, json.dumps(value).encode())

    client = TaskApi(send, lambda: clock.now, clock.sleep)
    return client, clock, calls


def test_submit_and_wait(api, run):
    result = run(api, wait=True)
    assert [call[:2] for call in api.calls] == [
        ("GET", "/prod/v1/tasks/t%2F1"),
        ("POST", "/prod/v1alpha2"),
        ("GET", "/prod/v1/tasks/t%2F1"),
    ]
    assert api.calls[1][2:] == (SECOND, KEY)
    assert result["changed"] is True
    assert (result["id"], result["receipt"], result["status"]) == ("t/1", {"id": "t/1"}, "completed")
    assert result["answer"] == DONE
    assert result["task"] == {"id": "t/1", "status": "completed"}
    assert result["diff"] == {"before": {"task": None}, "after": {"task": "t/1"}}


def test_the_same_again_changes_nothing(api, run):
    api.looks = [(200, {"id": "t/1", "status": "running", "answer": None})]
    result = run(api)
    assert result["changed"] is False
    assert result["receipt"] == {"id": "t/1"}


def test_the_id_of_another_request(api, run):
    api.looks = [(200, {"id": "t/1", "status": "running", "answer": None})]
    api.submits = [(409, OTHER_BODY)]
    result = run(api)
    assert result["failed"]
    assert result["error"] == {
        "status": 409,
        "code": "conflict",
        "message": "the id is another request's",
        "field": "task.metadata.id",
    }
    assert "409 conflict: the id is another request's (field task.metadata.id)" in result["msg"]


def test_check_mode_sends_nothing(api, run):
    assert run(api, check_mode=True, wait=True)["changed"] is True
    api.looks = [(200, {"id": "t/1", "status": "completed", "answer": DONE})]
    assert run(api, check_mode=True)["changed"] is False
    assert {call[0] for call in api.calls} == {"GET"}


@pytest.mark.parametrize("reply", [(404, NO_PATH), (405, NO_PATH), (403, {"message": "Missing Authentication Token"})])
def test_an_api_that_shows_no_tasks(api, reply, run):
    api.looks = [reply]
    result = run(api)
    assert (result["changed"], result["receipt"]) == (True, {"id": "t/1"})
    api.calls.clear()
    result = run(api, wait=True)
    assert result["msg"] == ("waiting needs GET /v1/tasks/{id}, which this API does not have; the task was not sent")
    assert [call[0] for call in api.calls] == ["GET"]


def test_a_wrong_key(api, run):
    forbidden = {"error": {"code": "forbidden", "message": "no valid API key", "field": None}}
    api.looks = [(403, forbidden)]
    result = run(api)
    assert result["failed"]
    assert result["error"]["code"] == "forbidden"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": {"code": "model_not_found", "message": "no such model"}}, "model_not_found: no such model"),
        ({"parameters": {"error_msg": "model_not_found: no"}}, "model_not_found: no"),
        ({"failureReason": "timeout: too long"}, "timeout: too long"),
        (None, "its answer does not say why"),
    ],
)
def test_a_task_that_failed_fails_the_module(api, answer, reason, run):
    assert reason_of(answer) == reason
    if answer and "error" in answer:
        api.looks = [(404, NO_TASK), (200, {"id": "t/1", "status": "failed", "answer": answer})]
        result = run(api, wait=True)
        assert result["failed"]
        assert result["msg"] == f"the task t/1 ended as failed: {reason}"
        assert (result["status"], result["answer"], result["changed"]) == ("failed", answer, True)


def test_a_task_that_is_not_done_in_time_was_sent_all_the_same(api, run):
    api.looks = [(404, NO_TASK), (200, {"id": "t/1", "status": "accepted", "answer": None})]
    result = run(api, wait=True, wait_timeout=1)
    assert result["failed"]
    assert result["msg"] == "the task t/1 is accepted after 1 s"
    assert (result["changed"], result["id"], result["receipt"]) == (True, "t/1", {"id": "t/1"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "sd.example.com"}, "url must begin with http:// or https://"),
        ({"timeout": 0}, "timeout must be 1 second or more"),
        ({"wait_timeout": -1}, "wait_timeout must be 1 second or more"),
        ({"route": "v3"}, "value of route must be one of: v1alpha1, v1alpha2"),
    ],
)
def test_wrong_options(api, options, message, run):
    result = run(api, **options)
    assert message in result["msg"]
    assert api.calls == []


def test_the_route_follows_from_the_body():
    assert task_id_of("v1alpha1", FIRST) == "t-1"
    assert task_id_of("v1alpha2", SECOND) == "t/1"
    for route in ("v1alpha1", "v1alpha2"):
        for body in ({}, {"task": "text", "alwayson_scripts": []}, {"alwayson_scripts": {"id_task": 7}}):
            assert task_id_of(route, body) is None
    client, _clock, calls = scripted((404, NO_TASK), (200, {"id_task": "t-1"}))
    result = module.perform({"route": None, "body": FIRST, "wait": False}, client, False)
    assert calls[1] == ("POST", "/v1alpha1")
    assert result["receipt"] == {"id_task": "t-1"}


def test_a_body_without_an_id_is_left_to_the_api():
    refusal = {"error": {"code": "invalid_request", "message": "id is required", "field": "task.metadata.id"}}
    client, _clock, calls = scripted((400, refusal))
    with pytest.raises(Refused, match="400 invalid_request: id is required") as caught:
        module.perform({"route": "v1alpha2", "body": {"task": {}}, "wait": True}, client, False)
    assert caught.value.field == "task.metadata.id"
    assert calls == [("POST", "/v1alpha2")]


def test_what_may_pass_is_tried_again():
    client, clock, calls = scripted((503, {}), (429, {}), (200, {"id": "t"}))
    assert client.submit("v1alpha2", SECOND) == {"id": "t"}
    assert clock.naps == [2.0, 4.0]
    client, _clock, calls = scripted((503, {}))
    with pytest.raises(Refused, match="status 503 without"):
        client.submit("v1alpha2", SECOND)
    assert len(calls) == 3


def test_no_reply_is_told_with_its_reason():
    client = TaskApi(lambda *_arguments: Reply(-1, reason="Connection refused"), sleep=lambda _seconds: None)
    with pytest.raises(Refused, match=r"no reply \(Connection refused\)"):
        client.look("t")


def test_waiting_looks_less_and_less_often():
    running = (200, {"status": "running"})
    client, clock, calls = scripted(running, running, (503, {}), running, (200, {"status": "completed"}))
    assert client.wait("t", 60) == {"status": "completed"}
    assert clock.naps == [0.5, 0.75, 1.125, 1.6875]
    assert len(calls) == 5


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        ((200, {"status": "accepted"}), Failure, "the task t is accepted after 60 s"),
        ((503, {}), Failure, "the task t could not be looked at after 60 s"),
        ((404, NO_TASK), Failure, "no longer knows the task t"),
        ((404, NO_PATH), NoRoute, "has no GET"),
        ((500, {"error": {"code": "internal", "message": "m"}}), Refused, "500 internal: m"),
        ((200, []), Refused, "without the API's error shape"),
    ],
)
def test_waiting_ends(reply, error, message):
    client, clock, _calls = scripted(reply)
    with pytest.raises(error, match=message):
        client.wait("t", 60)
    assert clock.now <= 60
