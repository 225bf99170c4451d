"""An EKS cluster's plan: what changes in place, in which order, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.eks_cluster import (
    create_arguments,
    logging_arguments,
    normalised,
    plan,
    update_arguments,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

DESCRIBED = {
    "name": "sd",
    "version": "1.34",
    "roleArn": "arn:aws:iam::1:role/sd-cluster",
    "resourcesVpcConfig": {
        "subnetIds": ["subnet-b", "subnet-a"],
        "endpointPublicAccess": True,
        "endpointPrivateAccess": False,
        "publicAccessCidrs": ["0.0.0.0/0"],
    },
    "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"},
    "logging": {"clusterLogging": [{"types": ["audit"], "enabled": True}, {"types": ["api"], "enabled": False}]},
    "upgradePolicy": {"supportType": "EXTENDED"},
    "tags": {"team": "images", "aws:cloudformation:stack-name": "x"},
}


def current():
    return normalised(DESCRIBED)


def test_what_eks_describes_in_our_words():
    assert current()["subnet_ids"] == ["subnet-a", "subnet-b"]
    assert current()["logging"] == ["audit"]
    assert current()["tags"] == {"team": "images"}


def test_nothing_to_do():
    assert plan("sd", current(), current()) == []
    assert plan("sd", current(), {"version": "1.34"}) == []
    assert plan("sd", None, None) == []


def test_creation_and_deletion():
    assert [str(change) for change in plan("sd", None, {"version": "1.35"})] == ["create cluster sd"]
    assert [str(change) for change in plan("sd", current(), None)] == ["delete cluster sd"]


def test_one_update_per_call_and_the_version_last():
    wanted = {
        "version": "1.35",
        "endpoint_private_access": True,
        "public_access_cidrs": ["10.0.0.0/8"],
        "logging": [],
        "support_type": "STANDARD",
        "authentication_mode": "API",
        "tags": {},
    }
    changes = plan("sd", current(), wanted)
    assert [change.data for change in changes] == ["access", "endpoint", "logging", "upgrade policy", "tags", "version"]
    assert changes[1].after == {"endpoint_private_access": True, "public_access_cidrs": ["10.0.0.0/8"]}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"role_arn": "arn:other"}, "role_arn of cluster sd can't be changed"),
        ({"version": "1.33"}, "can't go back from Kubernetes 1.34 to 1.33"),
        ({"version": "1.36"}, "one minor version at a time"),
        ({"version": "2.0"}, "one minor version at a time"),
        ({"authentication_mode": "CONFIG_MAP"}, "can't go back from API_AND_CONFIG_MAP to CONFIG_MAP"),
    ],
)
def test_what_eks_cannot_change(wanted, words):
    with pytest.raises(BadInput, match=words):
        plan("sd", current(), wanted)


def test_ten_comes_after_nine():
    assert plan("sd", {**current(), "version": "1.9"}, {"version": "1.10"})


def test_the_call_that_creates_holds_nothing_that_was_not_asked():
    arguments = create_arguments("sd", {"role_arn": "r", "subnet_ids": ["a"], "tags": {}}, bootstrap_admin=True)
    assert arguments == {
        "name": "sd",
        "roleArn": "r",
        "resourcesVpcConfig": {"subnetIds": ["a"]},
        "accessConfig": {"bootstrapClusterCreatorAdminPermissions": True},
    }


def test_logging_turns_the_others_off():
    entries = logging_arguments(["audit"])["clusterLogging"]
    assert entries[0] == {"types": ["audit"], "enabled": True}
    assert "api" in entries[1]["types"] and entries[1]["enabled"] is False
    assert [entry["enabled"] for entry in logging_arguments([])["clusterLogging"]] == [False]


@pytest.mark.parametrize(
    ("part", "after", "expected"),
    [
        ("access", {"authentication_mode": "API"}, {"accessConfig": {"authenticationMode": "API"}}),
        ("upgrade policy", {"support_type": "STANDARD"}, {"upgradePolicy": {"supportType": "STANDARD"}}),
        ("network", {"subnet_ids": ["a"]}, {"resourcesVpcConfig": {"subnetIds": ["a"]}}),
        ("endpoint", {"endpoint_public_access": False}, {"resourcesVpcConfig": {"endpointPublicAccess": False}}),
        ("deletion protection", {"deletion_protection": True}, {"deletionProtection": True}),
    ],
)
def test_the_calls_that_update(part, after, expected):
    assert update_arguments(part, after) == expected
