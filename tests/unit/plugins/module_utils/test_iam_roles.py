"""IAM roles: the documents that are compared, and the plan."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.iam_roles import check, plan, trust, wanted

ROLE = {"name": "sd-keda", "services": ["pods.eks.amazonaws.com"], "policies": {"queues": [{"Effect": "Allow"}]}}


def test_pods_may_tag_their_session():
    assert trust(["pods.eks.amazonaws.com"])["Statement"][0]["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert trust(["ec2.amazonaws.com"])["Statement"][0]["Action"] == "sts:AssumeRole"
    assert trust(["a", "b"])["Statement"][0]["Principal"] == {"Service": ["a", "b"]}


def test_a_second_run_changes_nothing():
    asked = wanted({**ROLE, "tags": {"a": 1}}, {}, True)
    assert plan({"sd-keda": {**asked, "description": "anything"}}, {"sd-keda": asked}) == []


def test_tags_that_are_not_given_are_left_alone():
    assert "tags" not in wanted(ROLE, {"a": "1"}, True)
    assert wanted({**ROLE, "tags": {"b": "2"}}, {"a": "1"}, False)["tags"] == {"a": "1", "b": "2"}
    assert wanted({**ROLE, "tags": {"b": "2"}}, {"a": "1"}, True)["tags"] == {"b": "2"}


def test_only_what_differs_is_in_the_change():
    now = wanted(ROLE, {}, True)
    change = plan({"sd-keda": now}, {"sd-keda": {**now, "managed_policies": ["arn:p"]}})[0]
    assert (change.before, change.after) == ({"managed_policies": []}, {"managed_policies": ["arn:p"]})


def test_creation_and_deletion():
    asked = wanted(ROLE, {}, True)
    assert [str(change) for change in plan({}, {"sd-keda": asked})] == ["create role sd-keda"]
    assert [str(change) for change in plan({"sd-keda": asked}, {"sd-keda": None})] == ["delete role sd-keda"]


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ([{"name": "a"}, {"name": "a"}], "a is listed more than once"),
        ([{"name": "n" * 65}], "65 characters, IAM allows 64"),
    ],
)
def test_names_that_iam_refuses(roles, words):
    with pytest.raises(BadInput, match=words):
        check(roles)


def test_awss_own_policies_by_name_in_any_partition():
    asked = wanted(
        {**ROLE, "managed_policies": ["AmazonEKSClusterPolicy", "arn:aws-cn:iam::1:policy/x"]}, {}, True, "aws-cn"
    )
    assert asked["managed_policies"] == [
        "arn:aws-cn:iam::1:policy/x",
        "arn:aws-cn:iam::aws:policy/AmazonEKSClusterPolicy",
    ]
