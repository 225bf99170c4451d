"""A VPC is taken down in the order that AWS wants, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Aws = Callable[[str], Any]


def refused(call: Callable[..., Any], code: str, **arguments: Any) -> None:
    """The call must be refused with that error code."""
    with pytest.raises(Exception, match=code) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code


def test_what_is_in_use_stays_and_what_belonged_goes_along(aws: Aws) -> None:
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    in_subnet = [{"Name": "subnet-id", "Values": [subnet]}]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    used, naming = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("used", "naming")
    )
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": used}]}
    ec2.authorize_security_group_ingress(GroupId=naming, IpPermissions=[rule])
    ec2.authorize_security_group_ingress(GroupId=used, IpPermissions=[rule])

    image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["bottlerocket*"]}])["Images"][0]["ImageId"]
    instance = ec2.run_instances(
        ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[used]
    )["Instances"][0]["InstanceId"]
    refused(ec2.delete_subnet, "DependencyViolation", SubnetId=subnet)
    refused(ec2.delete_security_group, "DependencyViolation", GroupId=used)
    ec2.terminate_instances(InstanceIds=[instance])
    assert ec2.describe_network_interfaces(Filters=in_subnet)["NetworkInterfaces"] == []

    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    refused(ec2.release_address, "InvalidIPAddress.InUse", AllocationId=address)
    refused(ec2.delete_subnet, "DependencyViolation", SubnetId=subnet)
    ec2.delete_nat_gateway(NatGatewayId=nat)
    refused(ec2.delete_nat_gateway, "NatGatewayNotFound", NatGatewayId="nat-00000000000000000")
    assert ec2.describe_network_interfaces(Filters=in_subnet)["NetworkInterfaces"] == []
    assert "AssociationId" not in ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]
    ec2.release_address(AllocationId=address)

    ec2.delete_subnet(SubnetId=subnet)
    assert ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Associations"] == []
    ec2.delete_route_table(RouteTableId=table)
    refused(ec2.delete_security_group, "DependencyViolation", GroupId=used)
    ec2.delete_security_group(GroupId=naming)
    refused(ec2.delete_vpc, "DependencyViolation", VpcId=vpc)
    ec2.delete_security_group(GroupId=used)
    refused(ec2.delete_vpc, "DependencyViolation", VpcId=vpc)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)
    assert vpc not in {found["VpcId"] for found in ec2.describe_vpcs()["Vpcs"]}
