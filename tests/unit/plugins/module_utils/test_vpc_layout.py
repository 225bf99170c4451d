"""The parts of a VPC and the plan between two of them."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.vpc_layout import (
    OWNER_TAG,
    Settings,
    addresses,
    choose_zones,
    plan,
    wanted,
    zones_used,
)
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = Settings(
    name="sd",
    cidr="10.0.0.0/16",
    zones=["a", "b"],
    endpoints=["s3"],
    tags={"team": "images"},
    private_tags={"karpenter.sh/discovery": "sd"},
    group_tags={"karpenter.sh/discovery": "sd"},
)


def lines(current, settings):
    return [str(change) for change in plan(current, wanted(settings) if settings else {})]


def test_parts_are_made_before_what_needs_them():
    assert lines({}, SETTINGS) == [
        "create vpc sd",
        "create security group sd-node",
        "create internet gateway sd",
        "create subnet sd-private-a",
        "create subnet sd-public-a",
        "create subnet sd-private-b",
        "create subnet sd-public-b",
        "create elastic ip sd-nat-a",
        "create nat gateway sd-nat-a",
        "create route table sd-public",
        "create route table sd-private-a",
        "create route table sd-private-b",
        "create vpc endpoint sd-s3",
    ]
    assert lines(wanted(SETTINGS), SETTINGS) == []


def test_absent_takes_the_opposite_way():
    made = [line.removeprefix("create ") for line in lines({}, SETTINGS)]
    gone = [line.removeprefix("delete ") for line in lines(wanted(SETTINGS), None)]
    assert sorted(gone) == sorted(made)
    assert gone[0] == "vpc endpoint sd-s3"
    assert gone[-1] == "vpc sd"


@pytest.mark.parametrize(
    ("nat", "gateways", "routes"),
    [
        ("none", [], {"sd-private-a": None, "sd-private-b": None}),
        (
            "single",
            ["sd-nat-a"],
            {"sd-private-a": "nat gateway sd-nat-a", "sd-private-b": "nat gateway sd-nat-a"},
        ),
        (
            "per_zone",
            ["sd-nat-a", "sd-nat-b"],
            {"sd-private-a": "nat gateway sd-nat-a", "sd-private-b": "nat gateway sd-nat-b"},
        ),
    ],
)
def test_each_private_subnet_has_its_way_out(nat, gateways, routes):
    parts = wanted(dataclasses.replace(SETTINGS, nat=nat))
    assert [name for kind, name in parts if kind == "nat gateway"] == gateways
    assert {name: parts["route table", name]["default"] for name in routes} == routes
    assert parts["route table", "sd-public"]["default"] == "internet gateway sd"
    assert parts["subnet", "sd-public-a"]["public_ip"] is (nat == "none")


def test_another_nat_changes_only_routes_and_gateways():
    per_zone = dataclasses.replace(SETTINGS, nat="per_zone")
    assert lines(wanted(SETTINGS), per_zone) == [
        "create elastic ip sd-nat-b",
        "create nat gateway sd-nat-b",
        "update route table sd-private-b",
    ]
    assert lines(wanted(per_zone), SETTINGS) == [
        "update route table sd-private-b",
        "delete nat gateway sd-nat-b",
        "delete elastic ip sd-nat-b",
    ]


def test_every_part_is_tagged_with_its_name_and_its_owner():
    for (_kind, name), properties in wanted(SETTINGS).items():
        assert properties["tags"].items() >= {"team": "images", "Name": name, OWNER_TAG: "sd"}.items()


def test_tags_of_others_stay_and_a_tag_of_ours_moves():
    current = wanted(SETTINGS)
    current["subnet", "sd-private-a"]["tags"]["kubernetes.io/cluster/x"] = "shared"
    moved = dataclasses.replace(SETTINGS, private_tags={}, public_tags={"karpenter.sh/discovery": "sd"})
    changes = {change.name: change for change in plan(current, wanted(moved))}
    assert sorted(changes) == ["sd-private-a", "sd-private-b", "sd-public-a", "sd-public-b"]
    after = changes["sd-private-a"].after["tags"]
    assert "karpenter.sh/discovery" not in after
    assert after["kubernetes.io/cluster/x"] == "shared"


@given(st.integers(16, 24), st.sampled_from([2, 3]))
def test_subnets_lie_apart_within_the_range(prefix, zones):
    private, public = addresses(f"10.0.0.0/{prefix}", zones)
    whole = ipaddress.IPv4Network(f"10.0.0.0/{prefix}")
    subnets = [ipaddress.IPv4Network(cidr) for cidr in (*private, *public)]
    assert len(subnets) == 2 * zones
    assert all(subnet.subnet_of(whole) and subnet.prefixlen <= 28 for subnet in subnets)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(subnets, 2))


def test_a_third_zone_moves_no_subnet():
    two, three = addresses("10.0.0.0/16", 2), addresses("10.0.0.0/16", 3)
    assert [long[:2] for long in three] == list(two)


@pytest.mark.parametrize(
    ("cidr", "message"),
    [
        ("banana", "banana is not a range of IPv4 addresses"),
        ("10.0.0.1/16", "10.0.0.1/16 is not a range of IPv4 addresses: 10.0.0.1/16 has host bits set"),
        ("10.0.0.0/15", "must be between /16 and /24"),
        ("10.0.0.0/25", "must be between /16 and /24"),
    ],
)
def test_a_bad_range_is_named(cidr, message):
    with pytest.raises(BadInput, match=message):
        addresses(cidr, 2)


@pytest.mark.parametrize(
    ("asked", "count", "message"),
    [
        (["a"], 2, "needs 2 or 3 zones, not 1"),
        ([], 4, "needs 2 or 3 zones, not 4"),
        (["a", "a"], 2, "the zones a, a are not all different"),
        (["a", "x"], 2, "zone x is not among this region's zones a, b"),
        ([], 3, "3 zones are asked for, but this region has 2: a, b"),
    ],
)
def test_bad_zones_are_named(asked, count, message):
    with pytest.raises(BadInput, match=message):
        choose_zones(asked, count, ["a", "b"])


def test_zones_are_the_first_ones_or_those_asked_for():
    assert choose_zones([], 2, ["c", "a", "b"]) == ["a", "b"]
    assert choose_zones(["c", "a"], 2, ["a", "b", "c"]) == ["c", "a"]


def test_what_aws_cannot_change_is_refused():
    with pytest.raises(BadInput, match=r"vpc sd has the cidr 10.0.0.0/16, which AWS can't change to 10.1.0.0/16"):
        plan(wanted(SETTINGS), wanted(dataclasses.replace(SETTINGS, cidr="10.1.0.0/16")))


def test_zones_in_use_are_kept_while_one_of_them_is_down():
    parts = wanted(Settings(name="sd", cidr="10.0.0.0/16", zones=["c", "a"]))
    assert zones_used(parts) == ["c", "a"]
    assert choose_zones([], 2, ["a", "b"], zones_used(parts)) == ["c", "a"]
    assert choose_zones([], 3, ["a", "b"], zones_used(parts)) == ["c", "a", "b"]


def test_a_run_that_was_killed_after_one_zone_is_taken_up_in_the_same_order():
    assert choose_zones([], 2, ["a", "b", "c"], ["b"]) == ["a", "b"]
