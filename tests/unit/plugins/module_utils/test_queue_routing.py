"""The plan of queue_routing against a world that the test itself keeps."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import Account
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queue_routing import (
    OWNER_TAG,
    Current,
    Settings,
    facts,
    plan,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queues import Queue
from ansible_collections.stable_diffusion.eks.plugins.module_utils.route_table import Published
from ansible_collections.stable_diffusion.eks.plugins.module_utils.routing_rules import normalise
from ansible_collections.stable_diffusion.eks.plugins.module_utils.subscriptions import Subscription

ACCOUNT = Account("123456789012", "aws", "us-east-1")
SETTINGS = Settings(
    name="sd",
    topic_arn=ACCOUNT.arn("sns", "sd-input"),
    account=ACCOUNT,
    visibility=300,
    retention=3600,
    max_receive_count=100,
    table="sd-tasks",
)
EMPTY = Current(queues={}, subscriptions=[])
TWO = normalise([{"name": "a", "models": ["a.safetensors"]}, {"name": "other", "dynamic": True}])


NOW = 1_000_000.0


def plan_now(settings, runtimes, current, now=NOW):
    return plan(settings, runtimes, current, now)


def apply(current, todo):
    """The world after the plan, all its phases made at once."""
    queues, subscribed, published = (
        dict(current.queues),
        {s.endpoint: s for s in current.subscriptions},
        current.published,
    )
    for change in all_changes(todo):
        if change.kind == "queue" and change.action == "delete":
            del queues[change.name]
        elif change.kind == "queue":
            old = queues.get(change.name, Queue(url=f"https://q/{change.name}", attributes={}))
            after = dict(change.after)
            tags = after.pop("tags", old.tags)
            queues[change.name] = dataclasses.replace(old, attributes={**old.attributes, **after}, tags=tags)
        elif change.kind == "subscription" and change.action == "delete":
            subscribed = {k: s for k, s in subscribed.items() if s.arn != change.data}
        elif change.kind == "subscription":
            arn = ACCOUNT.arn("sqs", change.name)
            old = subscribed.get(arn)
            properties = {**(old.properties if old else {}), **change.after}
            subscribed[arn] = Subscription(
                arn=f"sub-{change.name}", protocol="sqs", endpoint=arn, properties=properties
            )
        else:
            published = Published(routes=change.after) if change.after else None
    return Current(queues=queues, subscriptions=list(subscribed.values()), published=published)


def all_changes(todo):
    return [change for phase in todo.phases for change in phase.changes]


def lines(todo):
    return [str(change) for change in all_changes(todo)]


def phases(todo):
    return {phase.name: [str(change) for change in phase.changes] for phase in todo.phases}


def test_from_nothing_to_everything_and_then_nothing_more():
    first = plan_now(SETTINGS, TWO, EMPTY)
    assert lines(first) == [
        "create queue sd-a-dlq",
        "create queue sd-a",
        "create queue sd-other-dlq",
        "create queue sd-other",
        "create queue sd-unrouted",
        "create subscription sd-a",
        "create subscription sd-other",
        "create subscription sd-unrouted",
        "create route table sd-tasks",
    ]
    assert lines(plan_now(SETTINGS, TWO, apply(EMPTY, first))) == []


def test_each_queue_is_encrypted_takes_tls_only_and_belongs_to_its_dead_letter_queue():
    made = {
        change.name: change.after for change in all_changes(plan_now(SETTINGS, TWO, EMPTY)) if change.kind == "queue"
    }
    main, dead = made["sd-a"], made["sd-a-dlq"]
    assert main["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True
    assert main["RedrivePolicy"] == {"deadLetterTargetArn": ACCOUNT.arn("sqs", "sd-a-dlq"), "maxReceiveCount": 100}
    assert dead["RedriveAllowPolicy"] == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [ACCOUNT.arn("sqs", "sd-a")],
    }
    tls, topic = main["Policy"]["Statement"]
    assert tls["Effect"] == "Deny"
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert topic["Action"] == "sqs:SendMessage"
    assert topic["Condition"] == {"ArnEquals": {"aws:SourceArn": SETTINGS.topic_arn}}
    assert [statement["Sid"] for statement in dead["Policy"]["Statement"]] == ["TlsOnly"]
    assert main["tags"] == {OWNER_TAG: "sd"}


def test_one_more_runtime_touches_only_its_own_queues_and_the_filters_that_must_leave_it_its_model():
    current = apply(EMPTY, plan_now(SETTINGS, TWO, EMPTY))
    three = [*TWO, *normalise([{"name": "b", "models": ["b.safetensors"]}])]
    assert lines(plan_now(SETTINGS, three, current)) == [
        "create queue sd-b-dlq",
        "create queue sd-b",
        "create subscription sd-b",
        "narrow subscription sd-other",
        "narrow subscription sd-unrouted",
        "update route table sd-tasks",
    ]


def test_an_unlisted_runtime_loses_its_subscription_and_with_prune_its_queues():
    current = apply(EMPTY, plan_now(SETTINGS, TWO, EMPTY))
    one = TWO[1:]
    todo = plan_now(SETTINGS, one, current)
    assert phases(todo)["remove"] == ["delete subscription sd-a"]
    later = apply(current, todo)
    assert lines(plan_now(SETTINGS, one, later)) == []
    pruned = plan_now(dataclasses.replace(SETTINGS, prune=True), one, later)
    assert lines(pruned) == ["delete queue sd-a-dlq", "delete queue sd-a"]


def with_messages(current, name):
    return dataclasses.replace(
        current, queues={**current.queues, name: dataclasses.replace(current.queues[name], messages=3)}
    )


def test_a_queue_that_holds_messages_is_kept_unless_forced():
    current = with_messages(apply(EMPTY, plan_now(SETTINGS, TWO, EMPTY)), "sd-a-dlq")
    todo = plan_now(SETTINGS, None, current)
    assert todo.kept == ["sd-a-dlq"]
    assert "delete queue sd-a-dlq" not in lines(todo)
    forced = plan_now(dataclasses.replace(SETTINGS, force=True), None, current)
    assert forced.kept == []
    assert apply(current, forced) == Current(queues={}, subscriptions=[], published=None)


def test_what_others_own_is_left_alone():
    foreign = Current(
        queues={"sd-audit": Queue(url="u", attributes={}), "sd-karpenter": Queue(url="u", attributes={})},
        subscriptions=[
            Subscription(arn="s1", protocol="sqs", endpoint=ACCOUNT.arn("sqs", "sd-audit"), properties={}),
            Subscription(arn="s2", protocol="email", endpoint="ops@example.com", properties={}),
            Subscription(arn="s3", protocol="sqs", endpoint=ACCOUNT.arn("sqs", "audit"), properties={}),
        ],
    )
    assert lines(plan_now(SETTINGS, None, foreign)) == []


def test_a_queue_of_another_system_is_not_taken_over():
    theirs = Queue(url="u", attributes={}, tags={OWNER_TAG: "sd-two"})
    runtimes = normalise([{"name": "two-a"}])
    with pytest.raises(BadInput, match="queue sd-two-a belongs to the system sd-two"):
        plan_now(SETTINGS, runtimes, Current(queues={"sd-two-a": theirs}, subscriptions=[]))


def test_a_subscription_whose_queue_is_gone_goes_too():
    dangling = Subscription(arn="s1", protocol="sqs", endpoint=ACCOUNT.arn("sqs", "sd-gone"), properties={})
    todo = plan_now(SETTINGS, None, Current(queues={}, subscriptions=[dangling]))
    assert lines(todo) == ["delete subscription sd-gone"]


def test_a_queue_made_by_an_interrupted_run_is_adopted():
    first = plan_now(SETTINGS, TWO, EMPTY)
    begun = dataclasses.replace(first.phases[0], changes=first.phases[0].changes[:3])
    half = apply(EMPTY, dataclasses.replace(first, phases=[begun]))
    assert lines(plan_now(SETTINGS, TWO, half)) == lines(first)[3:]


@pytest.mark.parametrize(("purge", "kept"), [(True, False), (False, True)])
def test_tags_of_the_operator(purge, kept):
    settings = dataclasses.replace(SETTINGS, tags={"team": "images"}, purge_tags=purge)
    current = apply(EMPTY, plan_now(dataclasses.replace(SETTINGS, tags={"old": "1"}), TWO, EMPTY))
    after = apply(current, plan_now(settings, TWO, current)).queues["sd-a"].tags
    assert after["team"] == "images"
    assert ("old" in after) is kept
    assert after[OWNER_TAG] == "sd"


def test_a_queue_name_too_long_for_sqs_is_named():
    with pytest.raises(BadInput, match="would have a name of 82 characters"):
        plan_now(dataclasses.replace(SETTINGS, name="n" * 76), TWO, EMPTY)


def test_facts_name_everything_that_other_roles_need():
    urls = {name: f"https://q/{name}" for name in ("sd-a", "sd-a-dlq", "sd-other", "sd-other-dlq", "sd-unrouted")}
    found = facts(SETTINGS, TWO, urls)
    assert found["queues"]["a"]["url"] == "https://q/sd-a"
    assert found["queues"]["a"]["dlq_arn"] == ACCOUNT.arn("sqs", "sd-a-dlq")
    assert found["unrouted"]["name"] == "sd-unrouted"
