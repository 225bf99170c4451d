"""Answers reach HTTP endpoints that the module answer_subscribers subscribed: filtered, raw or enveloped, or put aside.

Needs no Kubernetes: an embedded AWS of its own is enough.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest
import yaml

from sd_agent.client.inbox import read_answer
from sd_agent.worker.aws import SnsTopic
from support.shell import ROOT, Shell
from support.waiting import until

NAME = "answers"


class Endpoints(ThreadingHTTPServer):
    """One endpoint for each path; those whose path begins with a status answer with it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.confirmed: set[str] = set()
        self.bodies: defaultdict[str, list[str]] = defaultdict(list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def answers(self, path: str) -> set[str]:
        """Ids of the answers that came to an endpoint."""
        return {answer["id"] for body in list(self.bodies[path]) if (answer := read_answer(body)) is not None}


class _Handler(BaseHTTPRequestHandler):
    server: Endpoints

    def do_POST(self) -> None:
        path = self.path.strip("/")
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status = 200
        if self.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation":
            with urllib.request.urlopen(json.loads(body)["SubscribeURL"], timeout=5):
                self.server.confirmed.add(path)
        else:
            self.server.bodies[path].append(body)
            status = int(path) if path.isdecimal() else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def embedded() -> Iterator[Shell]:
    """A shell with the environment of an embedded AWS."""
    bare = Shell.bare()
    directory = ROOT / "build" / "test-answers"
    try:
        bare.run("sandbox", "up", "--only", "aws", "--state", str(directory))
        yield bare.for_sandbox(directory)
    finally:
        bare.run("sandbox", "down", "--state", str(directory))


@pytest.fixture(scope="module")
def endpoints() -> Iterator[Endpoints]:
    server = Endpoints()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def client(shell: Shell, service: str) -> Any:
    return botocore.session.Session().create_client(
        service,
        region_name=shell.env["AWS_REGION"],
        endpoint_url=shell.env["AWS_ENDPOINT_URL"],
        aws_access_key_id=shell.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=shell.env["AWS_SECRET_ACCESS_KEY"],
    )


def module(shell: Shell, called: str, **options: Any) -> dict[str, Any]:
    """What a module of ours returns."""
    command = ("ansible", "localhost", "-m", f"stable_diffusion.eks.{called}", "-a", json.dumps(options))
    output = shell.run(*command).stdout
    returned: dict[str, Any] = yaml.safe_load(output[output.index("=> ") + 3 :])
    return returned


def publish(topic: SnsTopic, task_id: str, *, status: str = "completed", runtime: str = "one", tenant: str) -> None:
    """As the queue agent publishes."""
    text = json.dumps({"id": task_id, "answer_id": task_id, "status": status})
    topic.publish(
        text, attributes={"id": task_id, "status": status, "runtime": runtime, "tenant": tenant}, group=tenant
    )


async def test_answers_reach_who_asked_for_them(embedded: Shell, endpoints: Endpoints) -> None:
    arn = module(embedded, "topic", name=f"{NAME}-output")["arn"]

    def subscribe(*entries: dict[str, Any], **options: Any) -> dict[str, Any]:
        http = [{"protocol": "http", "endpoint": endpoints.url(entry["name"]), **entry} for entry in entries]
        return module(embedded, "answer_subscribers", name=NAME, topic=arn, subscribers=http, **options)

    subscribers: list[dict[str, Any]] = [
        {"name": "all"},
        {"name": "shop", "filter": {"tenant": ["shop"]}, "raw": True},
        {"name": "two", "filter": {"runtime": ["two", "three"]}},
        {"name": "bad", "filter": {"status": ["failed", "cancelled"]}, "dead_letter": False},
        {"name": "both", "filter": {"tenant": ["shop"], "status": ["failed"]}},
        {"name": "503", "filter": {"status": ["cancelled"]}},
        {"name": "410", "filter": {"status": ["cancelled"]}, "raw": True},
    ]
    first = subscribe(*subscribers)
    assert first["changed"]
    assert all(entry["pending"] for entry in first["subscribers"].values())
    await until(lambda: len(endpoints.confirmed) == len(subscribers))
    second = subscribe(*subscribers)
    assert not second["changed"], second["changes"]
    assert not any(entry["pending"] for entry in second["subscribers"].values())

    topic = SnsTopic(client=client(embedded, "sns"), arn=arn)
    publish(topic, "a", tenant="shop")
    publish(topic, "b", tenant="default", runtime="two")
    publish(topic, "c", tenant="shop", status="failed")
    publish(topic, "d", tenant="default", status="cancelled", runtime="three")
    expected = {"all": {"a", "b", "c", "d"}, "shop": {"a", "c"}, "two": {"b", "d"}, "bad": {"c", "d"}, "both": {"c"}}
    await until(lambda: {name: endpoints.answers(name) for name in expected} == expected)
    assert {json.loads(body).get("Type") for body in endpoints.bodies["all"]} == {"Notification"}
    assert {json.loads(body).get("Type") for body in endpoints.bodies["shop"]} == {None}

    sqs = client(embedded, "sqs")
    for name, raw in (("503", False), ("410", True)):
        queue = second["subscribers"][name]["dead_letter_queue_url"]
        [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
        answer = read_answer(message["Body"])
        assert answer is not None
        assert answer["id"] == "d"
        assert ("Type" in json.loads(message["Body"])) is not raw
    assert second["subscribers"]["bad"]["dead_letter_queue_url"] is None

    changed = subscribe({"name": "all", "filter": {"tenant": ["shop"]}, "raw": True}, prune=True, force=True)
    assert "update subscription all" in changed["changes"]
    assert f"delete queue {NAME}-answers-503-dlq" in changed["changes"]
    # SNS takes its time to apply a filter: until then the endpoint gets what it got before.
    for number in range(100):
        publish(topic, f"other-{number}", tenant="default")
        publish(topic, f"own-{number}", tenant="shop")
        await until(lambda own=f"own-{number}": own in endpoints.answers("all"))
        if f"other-{number}" not in endpoints.answers("all"):
            break
    endpoints.bodies.clear()
    publish(topic, "e", tenant="default", status="failed")
    publish(topic, "f", tenant="shop", status="failed")
    await until(lambda: endpoints.answers("all") == {"f"})
    assert [json.loads(body).get("Type") for body in endpoints.bodies["all"]] == [None]
    assert set(endpoints.bodies) == {"all"}

    gone = module(embedded, "answer_subscribers", name=NAME, topic=arn, state="absent", force=True)
    assert f"delete queue {NAME}-answers-all-dlq" in gone["changes"]
    assert client(embedded, "sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
