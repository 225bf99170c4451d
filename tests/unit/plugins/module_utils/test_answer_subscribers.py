"""The plan of answer_subscribers."""

from __future__ import annotations

import dataclasses

import pytest
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


def own_subscription(name):
    return Subscription(arn=f"s-{name}", protocol="sqs", endpoint=ACCOUNT.arn("sqs", name), properties={})


def lines(entries, queues=None, subscribed=(), **options):
    settings = dataclasses.replace(SETTINGS, **options)
    subscribers = None if entries is None else normalise(settings, entries)
    return [str(change) for change in plan(settings, subscribers, queues or {}, subscribed).changes]


def test_a_subscriber_without_an_endpoint_gets_a_queue():
    todo = plan(SETTINGS, normalise(SETTINGS, [SHOP, BOT]), {}, [])
    queue, shop, bot = todo.changes
    assert queue.name == "sd-answers-shop"
    assert queue.after["Policy"]["Statement"][1]["Condition"] == {"ArnEquals": {"aws:SourceArn": SETTINGS.topic_arn}}
    assert shop.after == {
        "protocol": "sqs",
        "endpoint": ACCOUNT.arn("sqs", "sd-answers-shop"),
        "filter_policy": {"tenant": ["shop"]},
        "raw": True,
    }
    assert bot.after["endpoint"] == "https://bot.example.com/"


def test_an_unconfirmed_endpoint_is_not_subscribed_again():
    pending = Subscription(arn="PendingConfirmation", protocol="https", endpoint=BOT["endpoint"])
    assert lines([BOT], subscribed=[pending]) == []
    assert facts(normalise(SETTINGS, [BOT]), {}, [pending])["bot"]["pending"] is True


def test_what_is_not_listed_stays_unless_pruned():
    queues, subscribed = {"sd-answers-old": OWN}, [own_subscription("sd-answers-old")]
    assert lines([], queues, subscribed) == []
    pruned = lines([], queues, subscribed, prune=True)
    assert [line.split()[:2] for line in pruned] == [["delete", "subscription"], ["delete", "queue"]]


def test_absent_takes_only_what_the_module_made():
    queues = {"sd-answers-shop": OWN, "sd-answers-foreign": Queue(url="u", attributes={})}
    subscribed = [own_subscription("sd-answers-shop"), own_subscription("sd-answers-foreign")]
    assert lines(None, queues, subscribed) == [
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
    ],
)
def test_a_mistake_names_the_entry(entries, message):
    with pytest.raises(BadInput, match=message):
        normalise(SETTINGS, entries)
