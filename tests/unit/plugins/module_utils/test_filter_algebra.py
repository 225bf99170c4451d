"""Filter policies as sets, held against their evaluation as SNS evaluates them."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.filter_algebra import covers, options, union
from hypothesis import given
from hypothesis import strategies as st

KEYS = ("runtime", "tier", "sd_model_checkpoint")
VALUES = ("a", "b", "c")


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


def policies() -> st.SearchStrategy[dict]:
    """Policies of one to three alternatives over three attributes."""
    names = st.lists(st.sampled_from(VALUES), min_size=1, unique=True)
    rule = st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from([{"exists": True}, {"exists": False}]),
        names.map(lambda listed: {"anything-but": listed}),
    )
    option = st.dictionaries(st.sampled_from(KEYS), st.lists(rule, min_size=1, max_size=3))
    many = st.lists(option, min_size=2, max_size=3).map(lambda listed: {"$or": listed})
    return st.one_of(option, many)


def messages() -> list[dict]:
    """One message for each way to set three attributes to a named value, to another one, or not at all."""
    found: list[dict] = [{"tenant": "acme"}]
    for key in KEYS:
        found += [{**one, key: value} for one in found for value in (*VALUES, "other")]
    return found


EVERY_MESSAGE = messages()


@given(policies(), policies())
def test_the_union_takes_what_either_takes_and_nothing_else(old, new):
    both = union(old, new)
    for message in EVERY_MESSAGE:
        assert accepts(both, message) == (accepts(old, message) or accepts(new, message))


@given(policies(), policies())
def test_one_covers_another_if_and_only_if_it_takes_all_of_it(wide, narrow):
    assert covers(wide, narrow) == all(accepts(wide, one) for one in EVERY_MESSAGE if accepts(narrow, one))


@given(policies(), policies())
def test_a_union_never_has_an_or_of_one_alternative(old, new):
    both = union(old, new)
    assert both in (new, old) or "$or" not in both or len(both["$or"]) > 1


def test_alternatives_that_differ_in_one_attribute_become_one():
    old = {"$or": [{"runtime": ["a"]}, {"runtime": [{"exists": False}], "sd_model_checkpoint": ["one"]}]}
    new = {"$or": [{"runtime": ["a"]}, {"runtime": [{"exists": False}], "sd_model_checkpoint": ["two"]}]}
    assert union(old, new) == {
        "$or": [{"runtime": ["a"]}, {"runtime": [{"exists": False}], "sd_model_checkpoint": ["one", "two"]}]
    }


@pytest.mark.parametrize("strange", [{"runtime": [{"prefix": "a"}]}, {"runtime": [{"anything-but": {"prefix": "x"}}]}])
def test_a_policy_by_another_hand_is_kept_beside_ours(strange):
    ours = {"$or": [{"runtime": ["a"]}, {"tier": ["b"]}]}
    assert union(strange, ours) == {"$or": [strange, *options(ours)]}
    assert covers(strange, strange)
    assert not covers(ours, strange)
