"""A change of the list, phase by phase: no filter that SNS applies late may leave a message without a queue."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils import routing_rules
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import Account
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.filter_settle import BEGUN, MARK, widens
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queue_routing import Current, Phase, Settings, plan
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queues import Queue
from ansible_collections.stable_diffusion.eks.plugins.module_utils.route_table import Published
from ansible_collections.stable_diffusion.eks.plugins.module_utils.routing_rules import UNROUTED, normalise, route
from ansible_collections.stable_diffusion.eks.plugins.module_utils.subscriptions import Subscription
from hypothesis import given, settings
from hypothesis import strategies as st

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
NOW = 1_000_000.0
SETTLE = SETTINGS.filter_settle

NAMES = ("alpha", "beta", "gamma")
MODELS = ("a.safetensors", "b.safetensors", "c.ckpt", "d.ckpt")
TIERS = ("free", "paid")


@st.composite
def lists(draw: st.DrawFn) -> list[routing_rules.Runtime]:
    """Any list of at least one runtime: models and tiers dealt out, at most one dynamic, some only by name."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    models, tiers = list(draw(st.permutations(MODELS))), list(draw(st.permutations(TIERS)))
    dynamic = draw(st.sampled_from((None, *NAMES)))
    entries: list[dict] = []
    for name in names:
        kind = "dynamic" if name == dynamic else draw(st.sampled_from(("models", "tier", "name")))
        entry: dict = {"name": name}
        if kind == "models" and models:
            count = draw(st.integers(1, 2))
            entry["models"], models = models[:count], models[count:]
        elif kind == "tier" and tiers:
            entry["tier"] = tiers.pop()
        elif kind == "dynamic":
            entry["dynamic"] = True
        entries.append(entry)
    return normalise(entries)


def every_message() -> list[dict[str, str]]:
    """One message for each way in which attributes can matter."""
    found: list[dict[str, str]] = [{"tenant": "acme"}]
    for key, values in (("runtime", NAMES), ("tier", TIERS), ("sd_model_checkpoint", MODELS)):
        found += [{**one, key: value} for one in found for value in (*values, "other")]
    return found


MESSAGES = every_message()


def accepts(policy: dict, attributes: dict) -> bool:
    """Whether SNS delivers, for a message that has at least one attribute."""
    return all(
        any(accepts(option, attributes) for option in rules)
        if key == "$or"
        else any(_matches(rule, attributes.get(key)) for rule in rules)
        for key, rules in policy.items()
    )


def _matches(rule: object, value: str | None) -> bool:
    if isinstance(rule, str):
        return rule == value
    if "exists" in rule:
        return rule["exists"] == (value is not None)
    return value is not None and value not in rule["anything-but"]


def filters(current: Current) -> dict[str, dict]:
    """The filter of each subscription, by the runtime's name."""
    return {
        subscription.endpoint.rsplit(":sd-", 1)[-1]: subscription.properties["filter_policy"]
        for subscription in current.subscriptions
    }


def after(current: Current, phase: Phase, now: float) -> Current:
    """The world after a phase, as the module leaves it."""
    queues = dict(current.queues)
    subscribed = {subscription.endpoint: subscription for subscription in current.subscriptions}
    published = current.published
    for change in phase.changes:
        arn = ACCOUNT.arn("sqs", change.name)
        if change.kind == "queue":
            queue = queues.get(change.name, Queue(url=change.name, attributes={}))
            changed = dict(change.after)
            tags = changed.pop("tags", queue.tags)
            queues[change.name] = dataclasses.replace(queue, attributes={**queue.attributes, **changed}, tags=tags)
        elif change.kind == "route table":
            published = Published(routes=change.after, at=now)
        elif change.action == "delete":
            del subscribed[arn]
        else:
            properties = {**(subscribed[arn].properties if arn in subscribed else {}), **change.after}
            subscribed[arn] = Subscription(
                arn=f"sub-{change.name}", protocol="sqs", endpoint=arn, properties=properties
            )
    made = Current(queues=queues, subscriptions=list(subscribed.values()), published=published)
    return marked(made, str(int(now))) if widens(phase.changes) else made


def marked(current: Current, value: str) -> Current:
    last = current.queues["sd-unrouted"]
    tagged = dataclasses.replace(last, tags={**last.tags, MARK: value})
    return dataclasses.replace(current, queues={**current.queues, "sd-unrouted": tagged})


def finished(current: Current, wanted: list[routing_rules.Runtime], now: float = NOW) -> Current:
    """The world after all phases of a change, made when they are due."""
    for phase in plan(SETTINGS, wanted, current, now).phases:
        current = after(current, phase, phase.due or now)
    return current


def check_phase(before: dict[str, dict], behind: dict[str, dict]) -> None:
    """Every mixture: SNS is free to still go by the old filter, or by the new one, of each subscription by itself."""
    sure = [(before[name], behind[name]) for name in before.keys() & behind.keys()]
    for message in MESSAGES:
        assert any(accepts(old, message) and accepts(new, message) for old, new in sure), message


def check_intake(tables: list[Published | None], before: dict[str, dict], behind: dict[str, dict]) -> None:
    """What intake publishes by either route table names a runtime that is surely fed."""
    for table in tables:
        for name in table.routes["runtimes"] if table else ():
            assert accepts(before[name], {"runtime": name})
            assert accepts(behind[name], {"runtime": name})


def change(current: Current, wanted: list[routing_rules.Runtime], now: float) -> Current:
    """Make a change and hold every step of it against the promise."""
    table = current.published
    todo = plan(SETTINGS, wanted, current, now)
    waits = [phase for phase in todo.phases if phase.name != "cover" and phase.due is not None]
    covering = [phase for phase in todo.phases if phase.name == "cover" and widens(phase.changes)]
    for phase in waits:
        assert phase.due >= now + SETTLE or not covering
    for phase in todo.phases:
        behind = after(current, phase, phase.due or now)
        check_phase(filters(current), filters(behind))
        # An intake goes by the older table for a while; the last phase is late enough for it not to.
        tables = [behind.published] if phase.name == "remove" else [table, behind.published]
        check_intake(tables, filters(current), filters(behind))
        current = behind
    check_whole(current, wanted)
    return current


def check_whole(current: Current, wanted: list[routing_rules.Runtime]) -> None:
    """Exactly one queue for each message, the one of the rule, and nothing left to do."""
    for message in MESSAGES:
        assert [name for name, policy in filters(current).items() if accepts(policy, message)] == [
            route(wanted, message)
        ]
    assert plan(SETTINGS, wanted, current, NOW + 10 * SETTLE).phases == []


@settings(max_examples=60)
@given(lists(), lists())
def test_a_change_leaves_no_message_without_a_queue_whatever_sns_has_applied(old, new):
    current = finished(EMPTY, old)
    check_whole(current, old)
    change(current, new, NOW + 2 * SETTLE)


@settings(max_examples=40)
@given(lists(), lists(), lists())
def test_nor_does_a_change_that_overtakes_another(old, new, newer):
    current = finished(EMPTY, old)
    for phase in plan(SETTINGS, new, current, NOW + 2 * SETTLE).phases:
        if phase.due is None:
            current = after(current, phase, NOW + 2 * SETTLE)
    change(current, newer, NOW + 2 * SETTLE + 10)


MOVED = (
    [{"name": "a", "models": ["m"]}, {"name": "b", "models": ["n"]}],
    [{"name": "a"}, {"name": "b", "models": ["m"]}],
)


def the_move() -> tuple[Current, list[routing_rules.Runtime]]:
    before, behind = (normalise(entries) for entries in MOVED)
    return finished(EMPTY, before), behind


def test_what_is_all_new_waits_for_nothing():
    todo = plan(SETTINGS, normalise(MOVED[0]), EMPTY, NOW)
    assert [(phase.name, phase.due) for phase in todo.phases] == [("cover", None), ("switch", None)]


def test_a_moved_model_is_covered_first_and_switched_when_that_has_settled():
    current, wanted = the_move()
    todo = plan(SETTINGS, wanted, current, NOW + 10)
    assert [(phase.name, phase.due, [str(change) for change in phase.changes]) for phase in todo.phases] == [
        ("cover", None, ["widen subscription sd-b", "widen subscription sd-unrouted"]),
        (
            "switch",
            NOW + 10 + SETTLE,
            ["narrow subscription sd-a", "narrow subscription sd-b", "update route table sd-tasks"],
        ),
    ]


def test_a_run_that_does_not_wait_leaves_the_rest_to_one_after_the_time_is_over():
    current, wanted = the_move()
    cover = plan(SETTINGS, wanted, current, NOW + 10).phases[0]
    waiting = after(current, cover, NOW + 20)
    early = plan(SETTINGS, wanted, waiting, NOW + 30)
    assert [(phase.name, phase.due) for phase in early.phases] == [("switch", NOW + 20 + SETTLE)]
    late = plan(SETTINGS, wanted, waiting, NOW + 20 + SETTLE)
    assert [(phase.name, phase.due) for phase in late.phases] == [("switch", None)]


def test_a_run_killed_while_it_widened_starts_the_clock_anew():
    current, wanted = the_move()
    killed = marked(after(current, plan(SETTINGS, wanted, current, NOW).phases[0], NOW), BEGUN)
    assert [(phase.name, phase.due) for phase in plan(SETTINGS, wanted, killed, NOW + 5 * SETTLE).phases] == [
        ("switch", NOW + 6 * SETTLE)
    ]


def test_the_mark_is_no_tag_to_purge():
    current, _ignored = the_move()
    tagged = dataclasses.replace(SETTINGS, tags={"team": "images"})
    changes = [change for phase in plan(tagged, normalise(MOVED[0]), current, NOW).phases for change in phase.changes]
    assert all(MARK in change.after["tags"] for change in changes if change.name == "sd-unrouted")
    assert not any(MARK in change.after["tags"] for change in changes if change.name != "sd-unrouted")


def test_a_renamed_runtime_is_fed_until_no_intake_names_it():
    current = finished(EMPTY, normalise([{"name": "old", "models": ["m"]}]))
    todo = plan(SETTINGS, normalise([{"name": "new", "models": ["m"]}]), current, NOW + 10)
    assert [(phase.name, phase.due) for phase in todo.phases] == [
        ("cover", None),
        ("switch", NOW + 10 + SETTLE),
        ("remove", NOW + 10 + SETTLE + SETTINGS.route_settle),
    ]


def test_a_wide_filter_that_sns_would_refuse_is_told_before_anything_is_done():
    old, new = ([{"name": "big", "models": [f"{letter}{n}" for n in range(100)]}] for letter in "ab")
    with pytest.raises(BadInput, match="old and its new models, runtime sd-big needs a filter of 201 combinations"):
        plan(SETTINGS, normalise(new), finished(EMPTY, normalise(old)), NOW)


def test_more_subscriptions_than_sns_filters_are_told_before_anything_is_done():
    old, new = ([{"name": f"{letter}{n}"} for n in range(120)] for letter in "ab")
    with pytest.raises(BadInput, match="121 subscriptions and 120 new ones are more than the 200"):
        plan(SETTINGS, normalise(new), finished(EMPTY, normalise(old)), NOW)


def test_taking_everything_away_waits_for_nothing():
    current, _ignored = the_move()
    todo = plan(SETTINGS, None, current, NOW)
    assert [(phase.name, phase.due) for phase in todo.phases] == [("remove", None)]
    assert UNROUTED in str(todo.phases[0].changes[-1])
