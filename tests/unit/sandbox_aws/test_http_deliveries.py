"""SNS's deliveries to HTTP endpoints: confirmed, tried again, and at last put aside."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

TOPIC = "http-deliveries"


class Endpoint(ThreadingHTTPServer):
    """Confirms its subscription; answers notifications with the statuses given, the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = [200]
        self.bodies: list[str] = []
        self.confirmed = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/answers"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status = 200
        if self.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation":
            with urllib.request.urlopen(json.loads(body)["SubscribeURL"], timeout=5):
                self.server.confirmed.set()
        else:
            status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
            self.server.bodies.append(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def subscribe(aws: Callable[[str], Any], endpoint: Endpoint) -> Iterator[Callable[[bool], tuple[str, str]]]:
    """Subscribes the endpoint, raw or not: (topic's ARN, dead-letter queue's URL)."""
    sns, sqs = aws("sns"), aws("sqs")
    made: list[tuple[str, str]] = []

    def subscribe(raw: bool) -> tuple[str, str]:
        topic = sns.create_topic(Name=TOPIC)["TopicArn"]
        url = sqs.create_queue(QueueName=f"{TOPIC}-dlq")["QueueUrl"]
        policy = json.dumps({"deadLetterTargetArn": topic.replace(":sns:", ":sqs:") + "-dlq"})
        attributes = {"RawMessageDelivery": json.dumps(raw), "RedrivePolicy": policy}
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url, Attributes=attributes)
        assert endpoint.confirmed.wait(5)
        made.append((topic, url))
        return topic, url

    yield subscribe
    for topic, url in made:
        sns.delete_topic(TopicArn=topic)
        sqs.delete_queue(QueueUrl=url)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(("statuses", "tries"), [([404], 1), ([500], 4)])
def test_what_stays_undelivered_is_put_aside(
    aws: Callable[[str], Any],
    endpoint: Endpoint,
    subscribe: Callable[[bool], tuple[str, str]],
    raw: bool,
    statuses: list[int],
    tries: int,
) -> None:
    topic, url = subscribe(raw)
    endpoint.statuses = statuses
    attributes = {"status": {"DataType": "String", "StringValue": "failed"}}
    aws("sns").publish(TopicArn=topic, Message="the answer", MessageAttributes=attributes)
    reply = aws("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=10, MessageAttributeNames=["All"])
    [message] = reply["Messages"]
    assert len(endpoint.bodies) == tries
    assert message["Body"] == endpoint.bodies[-1]
    if raw:
        assert message["Body"] == "the answer"
        assert message["MessageAttributes"]["status"]["StringValue"] == "failed"
    else:
        assert json.loads(message["Body"])["Message"] == "the answer"


def test_a_delivery_is_tried_again(
    aws: Callable[[str], Any],
    endpoint: Endpoint,
    subscribe: Callable[[bool], tuple[str, str]],
    received: Callable[..., list[dict[str, Any]]],
) -> None:
    topic, url = subscribe(True)
    endpoint.statuses = [503, 429, 200]
    aws("sns").publish(TopicArn=topic, Message="late")
    assert received(url, wait_s=1) == []
    assert endpoint.bodies == ["late"] * 3
