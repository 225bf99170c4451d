"""A node group's plan: what changes in place and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.eks_nodegroup import (
    check_scaling,
    create_arguments,
    normalised,
    plan,
    taints,
    update_arguments,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

DESCRIBED = {
    "nodegroupName": "system",
    "nodeRole": "arn:aws:iam::1:role/sd-node",
    "subnets": ["subnet-b", "subnet-a"],
    "instanceTypes": ["m6i.large"],
    "amiType": "BOTTLEROCKET_x86_64",
    "capacityType": "ON_DEMAND",
    "scalingConfig": {"minSize": 2, "desiredSize": 2, "maxSize": 3},
    "labels": {"role": "system", "old": "1"},
    "taints": [{"key": "a", "value": "1", "effect": "NO_SCHEDULE"}],
    "version": "1.35",
    "releaseVersion": "1.66.0",
    "tags": {"x": "1"},
}


def current():
    return normalised(DESCRIBED)


def test_nothing_to_do():
    assert plan("system", current(), {"subnet_ids": ["subnet-a", "subnet-b"], "tags": {"x": "1"}}) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node_role", "other"),
        ("subnet_ids", []),
        ("instance_types", ["m7i.large"]),
        ("ami_type", "AL2023_x86_64_STANDARD"),
    ],
)
def test_what_eks_cannot_change(key, value):
    with pytest.raises(BadInput, match=f"{key} of node group system can't be changed"):
        plan("system", current(), {key: value})


def test_updates_by_call():
    wanted = {
        "scaling": {"min": 2, "desired": 3, "max": 4},
        "labels": {"role": "system", "new": "2"},
        "taints": taints([{"key": "b", "effect": "NoExecute"}]),
        "release_version": "1.67.0",
        "tags": {"x": "2"},
    }
    changes = plan("system", current(), wanted)
    assert [change.data for change in changes] == ["configuration", "tags", "version"]
    assert update_arguments(changes[0]) == {
        "scalingConfig": {"minSize": 2, "desiredSize": 3, "maxSize": 4},
        "labels": {"addOrUpdateLabels": {"role": "system", "new": "2"}, "removeLabels": ["old"]},
        "taints": {
            "addOrUpdateTaints": [{"key": "b", "value": "", "effect": "NO_EXECUTE"}],
            "removeTaints": [{"key": "a", "value": "1", "effect": "NO_SCHEDULE"}],
        },
    }
    assert update_arguments(changes[2]) == {"releaseVersion": "1.67.0"}


def test_the_call_that_creates():
    arguments = create_arguments("sd", "system", {"node_role": "r", "subnet_ids": ["a"], "labels": {}, "taints": []})
    assert arguments == {"clusterName": "sd", "nodegroupName": "system", "nodeRole": "r", "subnets": ["a"]}


def test_a_taints_order_does_not_matter():
    first, second = {"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}
    assert taints([first, second]) == taints([second, first])


@pytest.mark.parametrize("scaling", [{"min": 2, "desired": 1, "max": 3}, {"min": 1, "desired": 4, "max": 3}])
def test_numbers_that_contradict_each_other(scaling):
    with pytest.raises(BadInput, match="scaling of node group system"):
        check_scaling("system", scaling)
