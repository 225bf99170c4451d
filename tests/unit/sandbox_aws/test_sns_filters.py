"""Filters that come into force late: the rule by a clock of the test's own, and the calls on the embedded AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from sandbox.aws.sns_filters import Delays

ARN = "arn:aws:sns:us-east-1:123456789012:topic:1"


class Clock:
    """Time that stands until it is told to go on."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def subscription(policy: str | None, **others: str) -> dict[str, Any]:
    filters = {} if policy is None else {"FilterPolicy": policy}
    return {"arn": ARN, "attributes": {**others, **filters}}


def filter_of(found: dict[str, Any] | None) -> str | None:
    assert found is not None
    policy: str | None = found["attributes"].get("FilterPolicy")
    return policy


def test_a_change_comes_into_force_within_the_longest_delay() -> None:
    clock = Clock()
    delays = Delays(10.0, "1", clock)
    delays.changed(ARN, {}, {"FilterPolicy": "new"})
    now = subscription("new", RawMessageDelivery="true")
    found = delays.in_force(now)
    assert found is not None
    assert found["attributes"] == {"RawMessageDelivery": "true"}
    clock.now += 10.0
    assert delays.in_force(now) is now


def test_a_new_subscription_takes_nothing_before_its_filter_is_in_force() -> None:
    clock = Clock()
    delays = Delays(10.0, "1", clock)
    delays.changed(ARN, None, {"FilterPolicy": "new"})
    assert delays.in_force(subscription("new")) is None
    clock.now += 10.0
    assert filter_of(delays.in_force(subscription("new"))) == "new"


def test_a_later_change_is_not_undone_by_an_earlier_one() -> None:
    clock = Clock()
    delays = Delays(10.0, "1", clock)
    seen = ["old"]
    delays.changed(ARN, {"FilterPolicy": "old"}, {"FilterPolicy": "new"})
    delays.changed(ARN, {"FilterPolicy": "new"}, {"FilterPolicy": "newest"})
    for _ignored in range(101):
        seen.append(str(filter_of(delays.in_force(subscription("newest")))))
        clock.now += 0.1
    order = ["old", "new", "newest"]
    assert seen == sorted(seen, key=order.index)
    assert seen[-1] == "newest"


def test_subscriptions_differ_and_a_seed_repeats() -> None:
    def draw(seed: str) -> list[float]:
        clock = Clock()
        delays, times = Delays(10.0, seed, clock), []
        for number in range(5):
            delays.changed(f"{ARN}{number}", {}, {"FilterPolicy": "new"})
        for number in range(5):
            clock.now = 100.0
            while filter_of(delays.in_force({**subscription("new"), "arn": f"{ARN}{number}"})) is None:
                clock.now += 0.01
            times.append(round(clock.now, 2))
        return times

    assert len(set(draw("7"))) == 5
    assert draw("7") == draw("7") != draw("8")


def test_on_the_embedded_aws(aws: Callable[[str], Any], received: Callable[..., list[dict[str, Any]]]) -> None:
    sns, sqs = aws("sns"), aws("sqs")
    topic = sns.create_topic(Name="late")["TopicArn"]
    url = sqs.create_queue(QueueName="late")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    made = sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"FilterPolicy": json.dumps({"k": ["1"]}), "RawMessageDelivery": "true"},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]

    def publish(value: str) -> None:
        sns.publish(
            TopicArn=topic, Message=value, MessageAttributes={"k": {"DataType": "String", "StringValue": value}}
        )

    def until(value: str) -> list[str]:
        """What arrives until the filter takes a value."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            publish(value)
            if found := [message["Body"] for message in received(url)]:
                return found
        raise AssertionError(f"{value} does not arrive")

    assert until("1") == ["1"]
    sns.set_subscription_attributes(
        SubscriptionArn=made, AttributeName="FilterPolicy", AttributeValue=json.dumps({"k": ["2"]})
    )
    attributes = sns.get_subscription_attributes(SubscriptionArn=made)["Attributes"]
    assert json.loads(attributes["FilterPolicy"]) == {"k": ["2"]}
    assert until("2") == ["2"]
    publish("1")
    assert received(url) == []
