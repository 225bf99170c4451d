"""The plan of answer_subscribers."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils import queues
from ansible_collections.stable_diffusion.eks.plugins.module_utils.answer_subscribers import (
    OWNER_TAG,
    Settings,
    facts,
    normalise,
    plan,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import Account
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queues import Queue
from ansible_collections.stable_diffusion.eks.plugins.module_utils.subscriptions import Subscription

ACCOUNT = Account("123456789012", "aws", "us-east-1")
SETTINGS = Settings(
    name="sd", topic_arn=ACCOUNT.arn("sns", "sd-output"), account=ACCOUNT, retention=3600, visibility=60
)
SHOP = {"name": "shop", "protocol": "sqs", "raw": True, "filter": {"tenant": ["shop"], "status": None}}
BOT = {"name": "bot", "protocol": "https", "endpoint": "https://bot.example.com/"}
OWN = Queue(url="u", attributes={}, tags={OWNER_TAG: "sd"})
DEAD_LETTERS = ACCOUNT.arn("sqs", "sd-answers-bot-dlq")
ATTRIBUTES = queues.attributes(
    queues.tls_only(DEAD_LETTERS), queues.fed_by(DEAD_LETTERS, SETTINGS.topic_arn), retention=3600, visibility=60
)


def own_subscription(name):
    return Subscription(arn=f"s-{name}", protocol="sqs", endpoint=ACCOUNT.arn("sqs", name), properties={})


def lines(entries, current=None, subscribed=(), **options):
    settings = dataclasses.replace(SETTINGS, **options)
    subscribers = None if entries is None else normalise(settings, entries)
    return [str(change) for change in plan(settings, subscribers, current or {}, subscribed).changes]


def test_a_subscriber_without_an_endpoint_gets_a_queue():
    todo = plan(SETTINGS, normalise(SETTINGS, [SHOP, BOT]), {}, [])
    queue, dead_letters, shop, bot = todo.changes
    assert (queue.name, dead_letters.name) == ("sd-answers-shop", "sd-answers-bot-dlq")
    assert queue.after["Policy"]["Statement"][1]["Condition"] == {"ArnEquals": {"aws:SourceArn": SETTINGS.topic_arn}}
    assert shop.after == {
        "protocol": "sqs",
        "endpoint": ACCOUNT.arn("sqs", "sd-answers-shop"),
        "filter_policy": {"tenant": ["shop"]},
        "raw": True,
        "dead_letter_queue": None,
    }
    assert bot.after["endpoint"] == "https://bot.example.com/"
    assert bot.after["dead_letter_queue"] == ACCOUNT.arn("sqs", "sd-answers-bot-dlq")
    assert dead_letters.after["Policy"] == {
        "Version": "2012-10-17",
        "Statement": [queues.tls_only(DEAD_LETTERS), queues.fed_by(DEAD_LETTERS, SETTINGS.topic_arn)],
    }


@pytest.mark.parametrize(
    ("entry", "queue"),
    [
        ({**BOT, "dead_letter": False}, None),
        ({**BOT, "dead_letter": None}, "sd-answers-bot-dlq"),
        ({**SHOP, "dead_letter": True}, "sd-answers-shop-dlq"),
        (SHOP, None),
    ],
)
def test_who_gets_a_dead_letter_queue(entry, queue):
    [subscriber] = normalise(SETTINGS, [entry])
    assert subscriber.dead_letter_queue == queue


def test_a_dead_letter_queue_can_be_added_and_given_up():
    wanted = {"protocol": "https", "endpoint": BOT["endpoint"], "filter_policy": {}, "raw": False}
    with_one = Subscription(
        arn="s", protocol="https", endpoint=BOT["endpoint"], properties={**wanted, "dead_letter_queue": DEAD_LETTERS}
    )
    without = dataclasses.replace(with_one, properties={**wanted, "dead_letter_queue": None})
    held = {"sd-answers-bot-dlq": dataclasses.replace(OWN, attributes=ATTRIBUTES)}
    assert lines([BOT], held, [with_one]) == []
    assert lines([BOT], {}, [without]) == ["create queue sd-answers-bot-dlq", "update subscription bot"]
    assert lines([{**BOT, "dead_letter": False}], held, [with_one]) == ["update subscription bot"]
    assert lines([{**BOT, "dead_letter": False}], held, [with_one], prune=True) == [
        "update subscription bot",
        "delete queue sd-answers-bot-dlq",
    ]
    assert lines(None, held, [with_one]) == [
        f"delete subscription {BOT['endpoint']}",
        "delete queue sd-answers-bot-dlq",
    ]


def test_an_unconfirmed_endpoint_is_not_subscribed_again():
    pending = Subscription(arn="PendingConfirmation", protocol="https", endpoint=BOT["endpoint"])
    assert lines([BOT], subscribed=[pending]) == ["create queue sd-answers-bot-dlq"]
    assert facts(normalise(SETTINGS, [BOT]), {"sd-answers-bot-dlq": "u"}, [pending])["bot"] == {
        "protocol": "https",
        "endpoint": BOT["endpoint"],
        "queue_url": None,
        "dead_letter_queue_url": "u",
        "pending": True,
    }


def test_what_is_not_listed_stays_unless_pruned():
    held, subscribed = {"sd-answers-old": OWN}, [own_subscription("sd-answers-old")]
    assert lines([], held, subscribed) == []
    pruned = lines([], held, subscribed, prune=True)
    assert [line.split()[:2] for line in pruned] == [["delete", "subscription"], ["delete", "queue"]]


def test_absent_takes_only_what_the_module_made():
    held = {"sd-answers-shop": OWN, "sd-answers-foreign": Queue(url="u", attributes={})}
    subscribed = [own_subscription("sd-answers-shop"), own_subscription("sd-answers-foreign")]
    assert lines(None, held, subscribed) == [
        f"delete subscription {ACCOUNT.arn('sqs', 'sd-answers-shop')}",
        "delete queue sd-answers-shop",
    ]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([SHOP, SHOP], "subscriber shop is listed twice"),
        ([BOT, {**BOT, "name": "two"}], "subscriber two has the endpoint of bot"),
        ([{"name": "bot", "protocol": "https"}], "subscriber bot needs an endpoint for the protocol https"),
        ([{**BOT, "endpoint": "http://x"}], "subscriber bot needs an endpoint that starts with https://"),
        ([{**SHOP, "endpoint": "my-queue"}], "subscriber shop needs the ARN of its queue as endpoint, not my-queue"),
        ([{**SHOP, "name": "No Name"}], "subscriber 'No Name' must be named"),
        ([BOT, {**SHOP, "name": "bot-dlq"}], "subscribers bot and bot-dlq would share the queue sd-answers-bot-dlq"),
        ([{**BOT, "name": "b" * 70}], "SQS allows 80"),
    ],
)
def test_a_mistake_names_the_entry(entries, message):
    with pytest.raises(BadInput, match=message):
        normalise(SETTINGS, entries)
