"""The filter policies, evaluated as SNS evaluates them, against the rule that they stand for."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.routing_rules import (
    UNROUTED,
    check_limits,
    combinations,
    filter_policies,
    normalise,
    route,
    route_table,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")
MODELS = ("a.safetensors", "b.safetensors", "c.ckpt", "d.ckpt", "e.safetensors", "f.safetensors")
TIERS = ("free", "paid", "gold")


def accepts(policy: dict, attributes: dict) -> bool:
    """Whether SNS delivers: keys are ANDed, an array's entries ORed, $or's objects ORed."""
    return all(
        any(accepts(option, attributes) for option in rules)
        if key == "$or"
        else any(matches(rule, key, attributes) for rule in rules)
        for key, rules in policy.items()
    )


def matches(rule: object, key: str, attributes: dict) -> bool:
    """One entry of an array: a literal, exists or anything-but."""
    if isinstance(rule, str):
        return attributes.get(key) == rule
    if "exists" in rule:
        # "exists": false only matches if at least one attribute is present.
        return (key in attributes) == rule["exists"] and bool(attributes)
    return key in attributes and attributes[key] not in rule["anything-but"]


@st.composite
def lists_of_runtimes(draw: st.DrawFn) -> list[dict]:
    """Any valid list: models and tiers dealt out among the runtimes, at most one dynamic, some only by name."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    models = draw(st.permutations(MODELS))
    tiers = draw(st.permutations(TIERS))
    dynamic = draw(st.sampled_from((None, *NAMES)))
    entries = []
    for name in names:
        kind = "dynamic" if name == dynamic else draw(st.sampled_from(("models", "tier", "name")))
        entry = {"name": name}
        if kind == "models":
            count = draw(st.integers(1, 2))
            entry["models"], models = list(models[:count]), models[count:]
        elif kind == "tier" and tiers:
            entry["tier"], tiers = tiers[0], tiers[1:]
        elif kind == "dynamic":
            entry["dynamic"] = True
        entries.append(entry if entry.get("models") != [] else {"name": name})
    return entries


def messages() -> st.SearchStrategy[dict]:
    """Any set of attributes, known values and others, the empty set too."""
    return st.fixed_dictionaries(
        {},
        optional={
            "runtime": st.sampled_from((*NAMES, "unknown")),
            "tier": st.sampled_from((*TIERS, "unknown")),
            "sd_model_checkpoint": st.sampled_from((*MODELS, "other.safetensors")),
            "tenant": st.just("acme"),
        },
    )


@given(lists_of_runtimes(), messages())
def test_every_message_reaches_exactly_the_queue_of_the_rule(entries, attributes):
    runtimes = normalise(entries)
    policies = filter_policies(runtimes)
    check_limits(policies)
    delivered = [name for name, policy in policies.items() if accepts(policy, attributes)]
    if attributes or not runtimes:
        assert delivered == [route(runtimes, attributes)]
    else:
        # SNS's own rule: without any attribute no filter matches, whatever it says.
        assert delivered == []


@pytest.mark.parametrize(
    ("attributes", "queue"),
    [
        ({"runtime": "named", "tier": "paid", "sd_model_checkpoint": "a.safetensors"}, "named"),
        ({"tier": "paid", "sd_model_checkpoint": "a.safetensors"}, "premium"),
        ({"tier": "free", "sd_model_checkpoint": "a.safetensors"}, "dedicated"),
        ({"sd_model_checkpoint": "z.safetensors"}, "other"),
        ({"runtime": "unknown", "sd_model_checkpoint": "a.safetensors"}, UNROUTED),
        ({"tenant": "acme"}, UNROUTED),
    ],
)
def test_precedence(attributes, queue):
    runtimes = normalise(
        [
            {"name": "named"},
            {"name": "premium", "tier": "paid"},
            {"name": "dedicated", "models": ["a.safetensors"]},
            {"name": "other", "dynamic": True},
        ]
    )
    assert route(runtimes, attributes) == queue


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"name": "one"}, {"name": "one"}], "runtime one has the name one"),
        ([{"name": "a", "tier": "x"}, {"name": "b", "tier": "x"}], "runtime b has the tier x, which runtime a"),
        ([{"name": "a", "models": ["m"]}, {"name": "b", "models": ["m"]}], "runtime b has the model m"),
        ([{"name": "a", "models": ["m", "m"]}], "runtime a lists an empty model or the same model twice"),
        ([{"name": "a", "dynamic": True}, {"name": "b", "dynamic": True}], "runtime b is dynamic, but so is a"),
        ([{"name": "a", "dynamic": True, "tier": "x"}], "runtime a must have only one of"),
        ([{"name": "Upper"}], "runtime 'Upper' must be named"),
        ([{"name": "n" * 54}], "must be named with 1 to 53"),
        ([{"name": "unrouted"}], "runtime unrouted has a name that the system keeps"),
        ([{"name": "answers-x"}], "runtime answers-x has a name that the system keeps"),
        ([{"name": "a"}, {"name": "a-dlq"}], "runtime a-dlq has the name of the dead-letter queue of a"),
    ],
)
def test_a_mistake_names_the_entry(entries, message):
    with pytest.raises(BadInput, match=message):
        normalise(entries)


@pytest.mark.parametrize(
    ("policy", "count"),
    [
        ({}, 1),
        ({"a": ["1", "2", "3"], "b": ["1"], "c": ["1", "2"]}, 6),
        ({"$or": [{"a": ["1", "2"]}, {"a": ["3"], "b": ["1", "2", "3"]}]}, 5),
        ({"a": [{"anything-but": ["1", "2", "3"]}]}, 1),
    ],
)
def test_combinations_as_sns_counts_them(policy, count):
    assert combinations(policy) == count


def test_a_runtime_with_too_many_models_is_named():
    many = [f"m{number}" for number in range(150)]
    check_limits(filter_policies(normalise([{"name": "big", "models": many[:149]}])))
    with pytest.raises(BadInput, match="runtime big needs a filter of 151 combinations, SNS allows 150"):
        check_limits(filter_policies(normalise([{"name": "big", "models": many}])))


def test_a_runtime_too_many_is_named():
    entries = [{"name": f"r{number}"} for number in range(200)]
    check_limits(filter_policies(normalise(entries[:199])))
    with pytest.raises(BadInput, match="runtime r199 is one too many"):
        check_limits(filter_policies(normalise(entries)))


def test_the_route_table_says_what_intake_needs():
    entries = [{"name": "a", "models": ["m"], "dialect": "sagemaker"}, {"name": "b", "dynamic": True}]
    assert route_table(normalise(entries)) == {
        "runtimes": {
            "a": {"models": ["m"], "dynamic": False, "tier": None, "dialect": "sagemaker"},
            "b": {"models": None, "dynamic": True, "tier": None, "dialect": None},
        }
    }
