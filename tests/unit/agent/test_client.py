"""The client against a small real HTTP API and a queue in memory."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from sd_agent.client import Client, ClientError, RequestRefused, ServiceUnavailable, WaitTimeout
from sd_agent.client.inbox import read_answer, task_id_of

BODY = {"alwayson_scripts": {"id_task": "t"}}


class Sqs:
    """botocore's SQS client, as far as the client uses it."""

    def __init__(self, *bodies: Any) -> None:
        self.waiting = {f"r{number}": json.dumps(body) for number, body in enumerate(bodies)}
        self.deleted: list[str] = []
        self.failing = False

    def receive_message(self, **_arguments: Any) -> dict[str, Any]:
        if self.failing:
            raise EndpointConnectionError(endpoint_url="http://x")
        entries = list(self.waiting.items())[:10]
        return {"Messages": [{"MessageId": key, "ReceiptHandle": key, "Body": text} for key, text in entries]}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> None:
        self.deleted.append(ReceiptHandle)
        self.waiting.pop(ReceiptHandle)


def answer(task_id: str, answer_id: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": task_id, "answer_id": answer_id or f"a-{task_id}", **more}


def test_a_receipt(http_fake: Any) -> None:
    http_fake.reply("POST /prod/v1alpha2", {"id": "t"})
    client = Client(f"{http_fake.url}/prod/", "key", headers={"x-more": "1"})
    assert client.submit(BODY, "v1alpha2") == {"id": "t"}
    [call] = http_fake.calls
    assert call.json == BODY
    assert (call.headers["x-api-key"], call.headers["x-more"]) == ("key", "1")


def test_a_refusal(http_fake: Any) -> None:
    error = {"error": {"code": "no_runtime", "message": "none", "field": "runtime"}}
    http_fake.reply("POST /v1alpha1", error, 404)
    with pytest.raises(RequestRefused) as caught:
        Client(http_fake.url, "key").submit(BODY)
    assert (caught.value.status, caught.value.code, caught.value.field) == (404, "no_runtime", "runtime")
    http_fake.reply("POST /v1alpha1", b"<html>", 403)
    with pytest.raises(RequestRefused, match="unknown"):
        Client(http_fake.url, "key").submit(BODY)
    assert len(http_fake.calls) == 2


def test_what_may_pass_is_sent_again(http_fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    replies = iter([(503, {}, b"{}"), (200, {}, b'{"id": "t"}')])
    http_fake.reply("POST /v1alpha1", lambda _ignored: next(replies))
    assert Client(http_fake.url, "key").submit(BODY) == {"id": "t"}
    assert naps == [1.0]
    http_fake.reply("POST /v1alpha1", b"", 503)
    with pytest.raises(ServiceUnavailable, match="503"):
        Client(http_fake.url, "key").submit(BODY)
    with pytest.raises(ServiceUnavailable):
        Client("http://127.0.0.1:9", "key").submit(BODY)


def test_answers_are_acknowledged_and_copies_dropped() -> None:
    enveloped = {"Type": "Notification", "Message": json.dumps(answer("b"))}
    sqs = Sqs(answer("a"), answer("a"), enveloped, "nonsense", {"no": "answer"})
    client = Client("http://x", "key", queue_url="q", sqs=sqs)
    stream = client.answers()
    assert next(stream) == answer("a")
    assert sqs.deleted == []
    assert next(stream) == answer("b")
    sqs.waiting["r9"] = json.dumps(answer("a"))
    sqs.waiting["r8"] = json.dumps(answer("c"))
    assert next(stream) == answer("c")
    assert sqs.deleted == ["r0", "r1", "r2", "r9"]


def test_waiting_keeps_what_it_was_not_asked_for() -> None:
    sqs = Sqs(answer("other"), answer("a"), answer("b"))
    client = Client("http://x", "key", queue_url="q", sqs=sqs)
    assert client.wait(["a", "b"], timeout=5) == {"a": answer("a"), "b": answer("b")}
    assert sqs.waiting == {}
    assert client.wait(["other"], timeout=5) == {"other": answer("other")}


def test_waiting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    client = Client("http://x", "key", queue_url="q", sqs=Sqs(answer("a"), answer("z")))
    with pytest.raises(WaitTimeout, match="no answer yet for b, c") as caught:
        client.wait(["a", "b", "c"], timeout=3)
    assert caught.value.answers == {"a": answer("a")}
    assert caught.value.missing == {"b", "c"}
    assert next(client.answers()) == answer("z")


def test_a_queue_that_fails_or_is_not_named() -> None:
    sqs = Sqs()
    sqs.failing = True
    with pytest.raises(ServiceUnavailable):
        next(Client("http://x", "key", queue_url="q", sqs=sqs).answers())
    with pytest.raises(ClientError):
        next(Client("http://x", "key").answers())


def test_ids_in_every_dialect() -> None:
    assert task_id_of({"id": "a"}) == "a"
    assert task_id_of({"parameters": {"id_task": "b"}, "images": [""]}) == "b"
    assert task_id_of({"inferenceId": "c"}) == "c"
    assert task_id_of({"id": 5}) is None
    assert read_answer("{") is None
    assert read_answer('{"Type": "Notification", "Message": "{"}') is None
