"""The small helpers that all AWS modules share."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils import aws
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import AwsFailure
from botocore.exceptions import ClientError


def refuse(code="NoSuchThing"):
    raise ClientError({"Error": {"Code": code, "Message": "why"}}, "GetThing")


@pytest.mark.parametrize(
    ("service", "resource", "options", "arn"),
    [
        ("sqs", "sd-a", {}, "arn:aws-cn:sqs:cn-north-1:123456789012:sd-a"),
        ("iam", "role/x", {"region": ""}, "arn:aws-cn:iam::123456789012:role/x"),
        ("s3", "bucket/*", {"region": "", "account": ""}, "arn:aws-cn:s3:::bucket/*"),
    ],
)
def test_arns_follow_the_partition(service, resource, options, arn):
    assert aws.Account("123456789012", "aws-cn", "cn-north-1").arn(service, resource, **options) == arn


def test_doing_says_what_was_done_and_what_aws_answered():
    answered = pytest.raises(AwsFailure, match="could not make a thing: GetThing answered NoSuchThing: why")
    with answered, aws.doing("make a thing"):
        refuse()


def test_found_is_none_only_for_the_named_codes():
    assert aws.found(refuse, "NoSuchThing") is None
    with pytest.raises(ClientError):
        aws.found(refuse, "NoSuchThing", code="AccessDenied")


def test_together_keeps_the_order_and_runs_all_before_it_raises():
    ran = []

    def call(number):
        ran.append(number)
        if number == 1:
            raise AwsFailure("one")
        return number

    assert aws.together([lambda: call(2), lambda: call(3)]) == [2, 3]
    with pytest.raises(AwsFailure, match="one"):
        aws.together([lambda number=number: call(number) for number in range(1, 6)])
    assert sorted(ran[2:]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("wanted", "purge", "expected"),
    [
        (None, True, ({}, [])),
        ({"a": 1}, True, ({}, ["b"])),
        ({"a": "2"}, False, ({"a": "2"}, [])),
    ],
)
def test_tag_changes(wanted, purge, expected):
    assert aws.tag_changes({"a": "1", "b": "1", "aws:x": "1"}, wanted, purge) == expected
