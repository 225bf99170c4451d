"""Differences as values."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import (
    Change,
    before_after,
    compare,
)


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        (None, None, []),
        (None, {"a": 1}, [Change("create", "queue", "q", None, {"a": 1})]),
        ({"a": 1}, None, [Change("delete", "queue", "q", {"a": 1}, None)]),
        ({"a": 1, "b": 2}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"a": 3, "c": 4}, [Change("update", "queue", "q", {"a": 1, "c": None}, {"a": 3, "c": 4})]),
    ],
)
def test_compare(current, wanted, expected):
    assert compare("queue", "q", current, wanted) == expected


def test_the_diff_shows_only_what_changes():
    changes = [Change("create", "queue", "a", None, {"x": 1}), Change("delete", "topic", "b", {"y": 2}, None)]
    assert before_after(changes) == {"before": {"topic b": {"y": 2}}, "after": {"queue a": {"x": 1}}}


def test_a_change_reads_as_a_sentence():
    assert str(Change("create", "queue", "a")) == "create queue a"
