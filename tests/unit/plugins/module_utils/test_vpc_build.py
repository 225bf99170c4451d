"""The builder against a client that refuses what EC2 refuses for a while."""

from __future__ import annotations

import functools

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils import vpc_build, vpc_read, waiters
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import AwsFailure
from ansible_collections.stable_diffusion.eks.plugins.module_utils.vpc_build import Builder
from ansible_collections.stable_diffusion.eks.plugins.module_utils.vpc_layout import ENDPOINT, NAT, ROUTES, SUBNET, VPC
from botocore.exceptions import ClientError

IDS = {
    (VPC, "sd"): "vpc-1",
    (SUBNET, "sd-private-a"): "subnet-1",
    (NAT, "sd-nat-a"): "nat-1",
    (ENDPOINT, "sd-s3"): "vpce-1",
}


class Ec2:
    """Answers each operation with what is scripted for it (an error code is raised), then with {}; notes the calls."""

    def __init__(self, **script):
        self.script = script
        self.calls = []

    def __getattr__(self, operation):
        return functools.partial(self._call, operation)

    def _call(self, operation, **kwargs):
        self.calls.append((operation, kwargs))
        answer = self.script[operation].pop(0) if self.script.get(operation) else {}
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": "no"}}, operation)
        return answer

    def get_paginator(self, operation):
        call = functools.partial(self._call, operation)
        return type("Paginator", (), {"paginate": lambda self, **kwargs: [call(**kwargs)]})()

    def operations(self):
        return [operation for operation, _kwargs in self.calls]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(vpc_build, "repeat_while", functools.partial(waiters.repeat_while, pause=lambda seconds: None))


def build(ec2, *changes):
    Builder(ec2, "sd", dict(IDS), "us-east-1", 60).apply(changes)


def test_a_route_waits_until_its_nat_gateway_is_no_longer_pending():
    ec2 = Ec2(
        create_route_table=[{"RouteTable": {"RouteTableId": "rtb-1"}}],
        create_route=["InvalidNatGatewayID.NotFound", "InvalidNatGatewayID.NotFound", {"Return": True}],
    )
    after = {"subnets": ["sd-private-a"], "default": f"{NAT} sd-nat-a", "tags": {}}
    build(ec2, Change("create", ROUTES, "sd-private-a", None, after))
    assert ec2.operations().count("create_route") == 3


def test_a_subnet_goes_once_nothing_uses_it_and_without_what_the_cni_left():
    ec2 = Ec2(
        describe_network_interfaces=[{"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]}],
        delete_subnet=["DependencyViolation", {}],
    )
    build(ec2, Change("delete", SUBNET, "sd-private-a", {}, None))
    assert ec2.operations() == [
        "describe_network_interfaces",
        "delete_network_interface",
        "delete_subnet",
        "delete_subnet",
    ]
    filters = {item["Name"]: item["Values"] for item in ec2.calls[0][1]["Filters"]}
    assert filters["subnet-id"] == ["subnet-1"]
    assert filters["status"] == ["available"]


def test_an_endpoint_that_aws_keeps_is_an_error():
    ec2 = Ec2(delete_vpc_endpoints=[{"Unsuccessful": [{"Error": {"Message": "it is needed"}}]}])
    with pytest.raises(AwsFailure, match="vpc endpoint vpce-1: it is needed"):
        build(ec2, Change("delete", ENDPOINT, "sd-s3", {}, None))


def test_zones_that_eks_refuses_are_left_out():
    listed = [
        {"ZoneName": "us-east-1a", "ZoneId": "use1-az3", "ZoneType": "availability-zone"},
        {"ZoneName": "us-east-1c", "ZoneId": "use1-az2", "ZoneType": "availability-zone"},
        {"ZoneName": "us-east-1b", "ZoneId": "use1-az1", "ZoneType": "availability-zone"},
        {"ZoneName": "us-east-1-bos-1a", "ZoneId": "use1-bos1-az1", "ZoneType": "local-zone"},
    ]
    ec2 = Ec2(describe_availability_zones=[{"AvailabilityZones": listed}])
    assert vpc_read.zones(ec2) == ["us-east-1b", "us-east-1c"]
