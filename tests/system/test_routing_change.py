"""Models move between runtimes while messages flow, on an SNS that applies each filter at a time of its own.

Needs no Kubernetes: an embedded AWS of its own is enough.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.session
import pytest
import yaml

from support.shell import ROOT, Shell

NAME = "moves"
TABLE = f"{NAME}-tasks"
DELAY_S = 2
OPTIONS = {"name": NAME, "topic": f"{NAME}-input", "filter_settle": DELAY_S + 1, "route_settle": 1}
# m goes from one runtime to another, n to a new one; the one it leaves is no longer listed.
BEFORE = [{"name": "a", "models": ["m"]}, {"name": "b", "models": ["x"]}, {"name": "old", "models": ["n"]}]
BEHIND = [{"name": "a"}, {"name": "b", "models": ["m", "x"]}, {"name": "new", "models": ["n"]}]


@pytest.fixture(scope="module")
def embedded() -> Iterator[Shell]:
    """A shell with the environment of an embedded AWS with slow filters, the same ones in every run."""
    bare = Shell.bare()
    bare.env["SANDBOX_FILTER_SEED"] = "5"
    directory = ROOT / "build" / "test-moves"
    try:
        bare.run("sandbox", "up", "--only", "aws", "--filter-delay", str(DELAY_S), "--state", str(directory))
        yield bare.for_sandbox(directory)
    finally:
        bare.run("sandbox", "down", "--state", str(directory))


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


class Publisher(threading.Thread):
    """Publishes all the time: by model, as others do, and to a runtime of the route table, as intake does."""

    def __init__(self, shell: Shell, topic: str) -> None:
        super().__init__()
        self.sent: dict[str, dict[str, str]] = {}
        self._sns, self._dynamodb = client(shell, "sns"), client(shell, "dynamodb")
        self._topic = topic
        self._stopped = threading.Event()

    def __enter__(self) -> Publisher:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            runtimes = self._routes()
            for model in ("m", "n"):
                self._publish({"sd_model_checkpoint": model})
                named = [name for name, runtime in runtimes.items() if model in (runtime["models"] or ())]
                if named:
                    self._publish({"runtime": named[0], "sd_model_checkpoint": model})

    def _routes(self) -> dict[str, Any]:
        key = {"tenant": {"S": "_system"}, "id": {"S": "routes"}}
        item = self._dynamodb.get_item(TableName=TABLE, Key=key).get("Item")
        runtimes: dict[str, Any] = json.loads(item["routes"]["S"])["runtimes"] if item else {}
        return runtimes

    def _publish(self, attributes: dict[str, str]) -> None:
        number = str(len(self.sent))
        self.sent[number] = attributes
        self._sns.publish(
            TopicArn=self._topic,
            Message=number,
            MessageAttributes={key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()},
        )


def taken(shell: Shell) -> dict[str, list[str]]:
    """Every message in every queue, by the queue's name."""
    sqs = client(shell, "sqs")
    found = {}
    for url in sqs.list_queues(QueueNamePrefix=f"{NAME}-")["QueueUrls"]:
        bodies: list[str] = []
        while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages"):
            bodies += [json.loads(message["Body"])["Message"] for message in batch]
            entries = [{"Id": entry["MessageId"], "ReceiptHandle": entry["ReceiptHandle"]} for entry in batch]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        found[url.rsplit(f"/{NAME}-", 1)[-1]] = bodies
    return found


def arrived(shell: Shell) -> set[str]:
    """The messages in all queues; a message is looked up as the one that was published."""
    return {body for bodies in taken(shell).values() for body in bodies}


@pytest.fixture(scope="module")
def topic(embedded: Shell) -> str:
    """The ARN of the input topic, with the task table beside it."""
    module(embedded, "task_table", name=TABLE)
    arn: str = module(embedded, "topic", name=f"{NAME}-input")["arn"]
    return arn


def route(shell: Shell, runtimes: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    return module(shell, "queue_routing", **{**OPTIONS, "route_table": TABLE, "runtimes": runtimes, **options})


def test_a_change_loses_no_message(embedded: Shell, topic: str) -> None:
    first = route(embedded, BEFORE)
    assert [phase["after"] for phase in first["phases"]] == [0, 0]
    # What a set-up makes comes into force late too.
    route(embedded, BEFORE, wait=False)
    threading.Event().wait(DELAY_S)

    with Publisher(embedded, topic) as publisher:
        for runtimes in (BEHIND, BEFORE):
            changed = route(embedded, runtimes)
            assert [phase["name"] for phase in changed["phases"]] == ["cover", "switch", "remove"]
            assert changed["pending"] == []
        assert route(embedded, BEFORE)["changed"] is False
    assert len(publisher.sent) > 200
    lost = {number: publisher.sent[number] for number in publisher.sent.keys() - arrived(embedded)}
    assert lost == {}


def test_the_rest_is_pending_without_wait_and_a_later_run_finishes_it(embedded: Shell, topic: str) -> None:
    route(embedded, BEFORE)
    begun = route(embedded, BEHIND, wait=False)
    assert begun["changed"]
    assert "narrow subscription moves-a" in begun["pending"]
    again = route(embedded, BEHIND, wait=False, filter_settle=600)
    assert (again["changed"], again["pending"]) == (False, begun["pending"])
    done = route(embedded, BEHIND)
    assert done["pending"] == []
    assert done["changes"] == begun["pending"]


def test_a_wrong_order_loses_messages(embedded: Shell, topic: str) -> None:
    """All at once, as a plain loop over the subscriptions would do it: the proof that the test above can fail."""
    route(embedded, BEFORE)
    sns = client(embedded, "sns")
    arns = {
        entry["Endpoint"].rsplit(f":{NAME}-", 1)[-1]: entry["SubscriptionArn"]
        for entry in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    }
    with_m, without = {"sd_model_checkpoint": ["m"]}, {"runtime": ["nothing"]}

    def use(name: str, policy: dict[str, Any]) -> None:
        sns.set_subscription_attributes(
            SubscriptionArn=arns[name], AttributeName="FilterPolicy", AttributeValue=json.dumps(policy)
        )

    with Publisher(embedded, topic) as publisher, ThreadPoolExecutor() as pool:
        for old, new in (("a", "b"), ("b", "a")) * 2:
            list(pool.map(use, (new, old), (with_m, without)))
            threading.Event().wait(DELAY_S)
    by_model = {number for number, attributes in publisher.sent.items() if attributes == {"sd_model_checkpoint": "m"}}
    lost = by_model - arrived(embedded)
    assert lost
    assert len(lost) < len(by_model)
