"""What the EKS modules share."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.eks import (
    listed_changes,
    once_role_is_known,
    wanted_tags,
)
from botocore.exceptions import ClientError

LATE = ClientError(
    {"Error": {"Code": "InvalidParameterException", "Message": "Role with arn: x, could not be assumed"}},
    "CreateCluster",
)
PRINCIPAL = ClientError(
    {"Error": {"Code": "InvalidParameterException", "Message": "The specified principalArn is invalid"}},
    "CreateAccessEntry",
)
OTHER = ClientError({"Error": {"Code": "InvalidParameterException", "Message": "subnets of one zone"}}, "CreateCluster")


class Clock:
    """Time that passes by pauses only."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds


def answering(*answers):
    left = list(answers)

    def call():
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return call


def test_iams_late_news_are_waited_for():
    clock = Clock()
    assert once_role_is_known(answering(LATE, PRINCIPAL, "made"), clock=clock, pause=clock.pause) == "made"
    assert clock.now == 3


def test_but_not_for_ever():
    clock = Clock()
    with pytest.raises(ClientError, match="could not be assumed"):
        once_role_is_known(answering(*[LATE] * 20), seconds=10, clock=clock, pause=clock.pause)
    assert clock.now <= 10


def test_another_error_comes_at_once():
    clock = Clock()
    with pytest.raises(ClientError, match="one zone"):
        once_role_is_known(answering(OTHER), clock=clock, pause=clock.pause)
    assert clock.now == 0


def test_tags():
    now = {"a": "1", "aws:x": "2"}
    assert wanted_tags(now, None, True) == {"a": "1"}
    assert wanted_tags(now, {"b": 2}, True) == {"b": "2"}
    assert wanted_tags(now, {"b": 2}, False) == {"a": "1", "b": "2"}


def test_only_listed_things_change():
    changes = listed_changes("add-on", {"a": {"v": 1}, "c": {"v": 1}}, {"a": {"v": 2}, "b": {"v": 1}, "d": None})
    assert [str(change) for change in changes] == ["update add-on a", "create add-on b"]
