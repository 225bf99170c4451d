# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The calls that make a VPC what vpc_layout planned."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import doing, found, pages
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import AwsFailure
from ansible_collections.stable_diffusion.eks.plugins.module_utils.vpc_layout import (
    ADDRESS,
    ENDPOINT,
    GATEWAY,
    GROUP,
    NAT,
    ROUTES,
    SUBNET,
    VPC,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.vpc_read import EVERYWHERE, Ids
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import (
    GONE,
    Waiter,
    repeat_while,
    wait,
)

RESOURCE_TYPES = {
    VPC: "vpc",
    GROUP: "security-group",
    GATEWAY: "internet-gateway",
    SUBNET: "subnet",
    ADDRESS: "elastic-ip",
    NAT: "natgateway",
    ROUTES: "route-table",
    ENDPOINT: "vpc-endpoint",
}

VPC_READY = Waiter(
    operation="describe_vpcs", state="Vpcs[0].State", until=("available",), missing=("InvalidVpcID.NotFound",)
)
SUBNET_READY = Waiter(
    operation="describe_subnets", state="Subnets[0].State", until=("available",), missing=("InvalidSubnetID.NotFound",)
)
NAT_READY = Waiter(
    operation="describe_nat_gateways",
    state="NatGateways[0].State",
    until=("available",),
    failed=("failed", "deleting", "deleted"),
    missing=("NatGatewayNotFound",),
    delay=2,
)
NAT_GONE = Waiter(
    operation="describe_nat_gateways",
    state="NatGateways[0].State",
    until=("deleted", GONE),
    missing=("NatGatewayNotFound",),
    delay=2,
)
VISIBLE_DEADLINE = 60

# What EC2 answers, for some seconds, of what it made a moment ago; of a NAT gateway for as long as it is pending.
# https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
UNKNOWN_YET = (
    "InvalidAllocationID.NotFound",
    "InvalidGatewayID.NotFound",
    "InvalidGroup.NotFound",
    "InvalidInternetGatewayID.NotFound",
    "InvalidNatGatewayID.NotFound",
    "InvalidRouteTableID.NotFound",
    "InvalidRouteTableId.NotFound",
    "InvalidSubnetID.NotFound",
    "InvalidVpcID.NotFound",
    "NatGatewayNotFound",
)

# Network interfaces of nodes and load balancers go some minutes after those; until then their subnets can't.
IN_USE = ("DependencyViolation",)
IN_USE_DEADLINE = 300
# What the VPC CNI tags its interfaces with, and leaves behind when a node ends before it has cleaned up.
# https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/troubleshooting.md
CNI_TAG = "node.k8s.amazonaws.com/instance_id"


class Builder:
    """Makes changes one after the other; ids grows with what it makes. deadline: seconds for NAT gateways."""

    def __init__(self, ec2: Any, name: str, ids: Ids, region: str, deadline: float) -> None:
        self.ec2 = ec2
        self.name = name
        self.ids = ids
        self.region = region
        self.deadline = deadline
        self._leaving: dict[str, str] = {}

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes; raises AwsFailure naming the one that failed."""
        create = {
            VPC: self._create_vpc,
            GROUP: self._create_group,
            GATEWAY: self._create_gateway,
            SUBNET: self._create_subnet,
            ADDRESS: self._create_address,
            NAT: self._create_nat,
            ROUTES: self._create_routes,
            ENDPOINT: self._create_endpoint,
        }
        update: dict[str, Callable[[Change, str], None]] = {
            VPC: self._update_vpc,
            GROUP: self._update_group,
            GATEWAY: self._update_gateway,
            SUBNET: self._update_subnet,
            ROUTES: self._update_routes,
            ENDPOINT: self._update_endpoint,
        }
        for change in changes:
            with doing(str(change)):
                if change.action == "create":
                    create[change.kind](change)
                elif change.action == "update":
                    self._update(change, update)
                else:
                    self._delete(change)

    def wait_for_nat(self) -> None:
        """Wait until every NAT gateway carries traffic."""
        for (kind, name), identifier in self.ids.items():
            if kind == NAT:
                wait(self.ec2, NAT_READY, f"{NAT} {name}", self.deadline, NatGatewayIds=[identifier])

    @property
    def vpc(self) -> str:
        """The VPC's id."""
        return self.ids[VPC, self.name]

    def _tagged(self, change: Change) -> list[dict[str, Any]]:
        return [{"ResourceType": RESOURCE_TYPES[change.kind], "Tags": _tag_list(change.after["tags"])}]

    def _made(self, change: Change, identifier: str) -> str:
        self.ids[change.kind, change.name] = identifier
        return identifier

    def _create_vpc(self, change: Change) -> None:
        answer = self.ec2.create_vpc(CidrBlock=change.after["cidr"], TagSpecifications=self._tagged(change))
        vpc = self._made(change, answer["Vpc"]["VpcId"])
        wait(self.ec2, VPC_READY, change.key, VISIBLE_DEADLINE, VpcIds=[vpc])
        self._update_vpc(change, vpc)

    def _update_vpc(self, change: Change, vpc: str) -> None:
        if "dns_hostnames" in change.after:
            self.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": change.after["dns_hostnames"]})

    def _create_group(self, change: Change) -> None:
        answer = self.ec2.create_security_group(
            GroupName=change.name,
            Description=f"Nodes of {self.name}",
            VpcId=self.vpc,
            TagSpecifications=self._tagged(change),
        )
        self._update_group(change, self._made(change, answer["GroupId"]))

    def _update_group(self, change: Change, group: str) -> None:
        if change.after.get("self_ingress"):
            rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
            self._soon(self.ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule])

    def _create_gateway(self, change: Change) -> None:
        answer = self.ec2.create_internet_gateway(TagSpecifications=self._tagged(change))
        self._update_gateway(change, self._made(change, answer["InternetGateway"]["InternetGatewayId"]))

    def _update_gateway(self, change: Change, gateway: str) -> None:
        if change.after.get("attached"):
            self._soon(self.ec2.attach_internet_gateway, InternetGatewayId=gateway, VpcId=self.vpc)

    def _create_subnet(self, change: Change) -> None:
        answer = self.ec2.create_subnet(
            VpcId=self.vpc,
            CidrBlock=change.after["cidr"],
            AvailabilityZone=change.after["zone"],
            TagSpecifications=self._tagged(change),
        )
        subnet = self._made(change, answer["Subnet"]["SubnetId"])
        wait(self.ec2, SUBNET_READY, change.key, VISIBLE_DEADLINE, SubnetIds=[subnet])
        if change.after["public_ip"]:
            self._update_subnet(change, subnet)

    def _update_subnet(self, change: Change, subnet: str) -> None:
        if "public_ip" in change.after:
            self.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": change.after["public_ip"]})

    def _create_address(self, change: Change) -> None:
        answer = self.ec2.allocate_address(Domain="vpc", TagSpecifications=self._tagged(change))
        self._made(change, answer["AllocationId"])

    def _create_nat(self, change: Change) -> None:
        answer = self._soon(
            self.ec2.create_nat_gateway,
            SubnetId=self.ids[SUBNET, change.after["subnet"]],
            AllocationId=self.ids[ADDRESS, change.after["elastic_ip"]],
            TagSpecifications=self._tagged(change),
        )
        self._made(change, answer["NatGateway"]["NatGatewayId"])

    def _create_routes(self, change: Change) -> None:
        answer = self.ec2.create_route_table(VpcId=self.vpc, TagSpecifications=self._tagged(change))
        self._update_routes(change, self._made(change, answer["RouteTable"]["RouteTableId"]))

    def _update_routes(self, change: Change, table: str) -> None:
        before = change.before or {}
        if "subnets" in change.after:
            old, new = set(before.get("subnets", ())), set(change.after["subnets"])
            for subnet in sorted(new - old):
                self._soon(self.ec2.associate_route_table, RouteTableId=table, SubnetId=self.ids[SUBNET, subnet])
            self._disassociate(table, [self.ids[SUBNET, subnet] for subnet in old - new])
        if "default" not in change.after or change.after["default"] == before.get("default"):
            return
        if change.after["default"] is None:
            self.ec2.delete_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE)
            return
        call = self.ec2.replace_route if before.get("default") else self.ec2.create_route
        target = self._target(change.after["default"])
        route = functools.partial(call, RouteTableId=table, DestinationCidrBlock=EVERYWHERE, **target)
        # No route leads to a NAT gateway that is still pending.
        repeat_while(route, UNKNOWN_YET, self.deadline)

    def _target(self, default: str) -> dict[str, str]:
        kind = NAT if default.startswith(NAT) else GATEWAY
        identifier = self.ids[kind, default.removeprefix(f"{kind} ")]
        return {"NatGatewayId" if kind == NAT else "GatewayId": identifier}

    def _create_endpoint(self, change: Change) -> None:
        answer = self._soon(
            self.ec2.create_vpc_endpoint,
            VpcEndpointType="Gateway",
            VpcId=self.vpc,
            ServiceName=f"com.amazonaws.{self.region}.{change.after['service']}",
            RouteTableIds=[self.ids[ROUTES, table] for table in change.after["route_tables"]],
            TagSpecifications=self._tagged(change),
        )
        self._made(change, answer["VpcEndpoint"]["VpcEndpointId"])

    def _update_endpoint(self, change: Change, endpoint: str) -> None:
        if "route_tables" not in change.after:
            return
        before, after = set(change.before["route_tables"]), set(change.after["route_tables"])
        # A table that is gone, or not ours, stands there by its id.
        removed = [self.ids.get((ROUTES, table), table) for table in sorted(before - after)]
        self.ec2.modify_vpc_endpoint(
            VpcEndpointId=endpoint,
            AddRouteTableIds=[self.ids[ROUTES, table] for table in sorted(after - before)],
            RemoveRouteTableIds=removed,
        )

    def _update(self, change: Change, update: Mapping[str, Callable[[Change, str], None]]) -> None:
        identifier = self.ids[change.kind, change.name]
        if "tags" in change.after:
            self.ec2.create_tags(Resources=[identifier], Tags=_tag_list(change.after["tags"]))
            removed = sorted(set(change.before["tags"]) - set(change.after["tags"]))
            if removed:
                self.ec2.delete_tags(Resources=[identifier], Tags=[{"Key": key} for key in removed])
        if change.kind in update:
            update[change.kind](change, identifier)

    def _delete(self, change: Change) -> None:
        vpc = self.ids.get((VPC, self.name))
        identifier = self.ids.pop((change.kind, change.name))
        if change.kind == NAT:
            self.ec2.delete_nat_gateway(NatGatewayId=identifier)
            self._leaving[change.name] = identifier
            return
        self._wait_for_leaving()
        if change.kind == ROUTES:
            self._disassociate(identifier, None)
        if change.kind == GATEWAY and change.before["attached"]:
            self._once_unused(self.ec2.detach_internet_gateway, InternetGatewayId=identifier, VpcId=vpc)
        if change.kind == SUBNET:
            self._delete_leaked_interfaces(identifier)
        delete = {
            VPC: lambda: self._once_unused(self.ec2.delete_vpc, VpcId=identifier),
            GROUP: lambda: self._once_unused(self.ec2.delete_security_group, GroupId=identifier),
            GATEWAY: lambda: self.ec2.delete_internet_gateway(InternetGatewayId=identifier),
            SUBNET: lambda: self._once_unused(self.ec2.delete_subnet, SubnetId=identifier),
            ADDRESS: lambda: found(self.ec2.release_address, "InvalidAllocationID.NotFound", AllocationId=identifier),
            ROUTES: lambda: self.ec2.delete_route_table(RouteTableId=identifier),
            ENDPOINT: lambda: self._delete_endpoint(identifier),
        }
        delete[change.kind]()

    def _delete_endpoint(self, endpoint: str) -> None:
        refused = self.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint]).get("Unsuccessful") or ()
        for item in refused:
            raise AwsFailure(f"could not delete {ENDPOINT} {endpoint}: {item['Error']['Message']}")

    def _delete_leaked_interfaces(self, subnet: str) -> None:
        """Delete what the VPC CNI left in the subnet: attached to nothing, and deleted by nobody else."""
        wanted = {"subnet-id": subnet, "status": "available", "tag-key": CNI_TAG}
        filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
        for interface in pages(self.ec2, "describe_network_interfaces", "NetworkInterfaces", Filters=filters):
            identifier = interface["NetworkInterfaceId"]
            found(
                self.ec2.delete_network_interface,
                "InvalidNetworkInterfaceID.NotFound",
                NetworkInterfaceId=identifier,
            )

    def _soon(self, call: Callable[..., Any], **kwargs: Any) -> Any:
        """The call, once EC2 knows everywhere what it made a moment ago."""
        return repeat_while(functools.partial(call, **kwargs), UNKNOWN_YET, VISIBLE_DEADLINE)

    def _once_unused(self, call: Callable[..., Any], **kwargs: Any) -> None:
        """The call, once the last network interface is gone from what it deletes."""
        repeat_while(functools.partial(call, **kwargs), IN_USE, IN_USE_DEADLINE)

    def _wait_for_leaving(self) -> None:
        """NAT gateways leave together; their addresses and subnets can go only after them."""
        for name, identifier in self._leaving.items():
            wait(self.ec2, NAT_GONE, f"{NAT} {name}", self.deadline, NatGatewayIds=[identifier])
        self._leaving.clear()

    def _disassociate(self, table: str, subnets: Sequence[str] | None) -> None:
        """Take these subnets (None: all) off a route table."""
        if subnets is not None and not subnets:
            return
        answer = self.ec2.describe_route_tables(RouteTableIds=[table])
        for association in answer["RouteTables"][0].get("Associations", ()):
            if subnets is None or association.get("SubnetId") in subnets:
                self.ec2.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]
