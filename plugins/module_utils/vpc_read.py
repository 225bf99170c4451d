# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""A VPC as it is, in the words of vpc_layout."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import doing, pages, together
from ansible_collections.stable_diffusion.eks.plugins.module_utils.vpc_layout import (
    ADDRESS,
    ENDPOINT,
    GATEWAY,
    GROUP,
    NAT,
    OWNER_TAG,
    ROUTES,
    SUBNET,
    VPC,
    Key,
    Parts,
)

Ids = dict[Key, str]
EVERYWHERE = "0.0.0.0/0"
# A deleted NAT gateway is listed for an hour, and so is one that failed.
LIVE_NAT = ["pending", "available"]

# By their ids, because each account has its own names for zones. EKS refuses subnets there:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
WITHOUT_EKS = ("use1-az3", "usw1-az2", "cac1-az3")

# Kind: paginator, key of its answer, key of the id.
LISTINGS = {
    VPC: ("describe_vpcs", "Vpcs", "VpcId"),
    GROUP: ("describe_security_groups", "SecurityGroups", "GroupId"),
    GATEWAY: ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    SUBNET: ("describe_subnets", "Subnets", "SubnetId"),
    NAT: ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ROUTES: ("describe_route_tables", "RouteTables", "RouteTableId"),
    ENDPOINT: ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
}


def zones(ec2: Any) -> list[str]:
    """The region's availability zones that EKS takes, without local and wavelength zones."""
    with doing("list the availability zones"):
        listed = ec2.describe_availability_zones(Filters=[_filter("state", "available")])["AvailabilityZones"]
    return sorted(
        zone["ZoneName"]
        for zone in listed
        if zone.get("ZoneType", "availability-zone") == "availability-zone" and zone.get("ZoneId") not in WITHOUT_EKS
    )


def read(ec2: Any, name: str) -> tuple[Parts, Ids]:
    """Every part that carries the owner tag with this name, and its id."""
    mine = _filter(f"tag:{OWNER_TAG}", name)
    with doing(f"look at the network {name}"):
        kinds = list(LISTINGS)
        listings = together([functools.partial(_list, ec2, kind, mine) for kind in kinds])
        addresses = ec2.describe_addresses(Filters=[mine])["Addresses"]
        raw = dict(zip(kinds, listings, strict=True))
        ids = {(kind, _name(entry)): entry[LISTINGS[kind][2]] for kind in kinds for entry in raw[kind]}
        ids.update({(ADDRESS, _name(entry)): entry["AllocationId"] for entry in addresses})
        vpcs = [entry["VpcId"] for entry in raw[VPC]]
        hostnames = {vpc: _dns_hostnames(ec2, vpc) for vpc in vpcs}

    names = {identifier: part for (_kind, part), identifier in ids.items()}
    describe: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
        VPC: lambda entry: {"cidr": entry["CidrBlock"], "dns_hostnames": hostnames[entry["VpcId"]]},
        GROUP: _group,
        GATEWAY: lambda entry: {"attached": any(a["VpcId"] in vpcs for a in entry.get("Attachments", ()))},
        SUBNET: lambda entry: {
            "cidr": entry["CidrBlock"],
            "zone": entry["AvailabilityZone"],
            "public_ip": entry["MapPublicIpOnLaunch"],
        },
        NAT: functools.partial(_nat, names),
        ROUTES: functools.partial(_routes, names),
        ENDPOINT: lambda entry: {
            "service": entry["ServiceName"].rsplit(".", 1)[-1],
            "route_tables": sorted(names.get(table, table) for table in entry.get("RouteTableIds", ())),
        },
    }
    parts: Parts = {(ADDRESS, _name(entry)): {"tags": _tags(entry)} for entry in addresses}
    for kind, entries in raw.items():
        for entry in entries:
            parts[kind, _name(entry)] = {**describe[kind](entry), "tags": _tags(entry)}
    return parts, ids


def _list(ec2: Any, kind: str, mine: Mapping[str, Any]) -> list[dict[str, Any]]:
    operation, key, _identifier = LISTINGS[kind]
    filters = [mine]
    if kind == NAT:
        filters.append({"Name": "state", "Values": LIVE_NAT})
    entries = pages(ec2, operation, key, Filters=filters)
    return [entry for entry in entries if entry.get("State") not in ("deleted", "deleting")]


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Values": [value]}


def _dns_hostnames(ec2: Any, vpc: str) -> bool:
    answer = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    return answer["EnableDnsHostnames"]["Value"]


def _tags(entry: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in entry.get("Tags", ()) if not tag["Key"].startswith("aws:")}


def _name(entry: Mapping[str, Any]) -> str:
    return _tags(entry).get("Name", "")


def _group(entry: Mapping[str, Any]) -> dict[str, Any]:
    allowed = [
        pair["GroupId"]
        for rule in entry["IpPermissions"]
        if rule["IpProtocol"] == "-1"
        for pair in rule["UserIdGroupPairs"]
    ]
    return {"self_ingress": entry["GroupId"] in allowed}


def _nat(names: Mapping[str, str], entry: Mapping[str, Any]) -> dict[str, Any]:
    allocations: Sequence[Mapping[str, Any]] = entry.get("NatGatewayAddresses", ())
    allocated = [a["AllocationId"] for a in allocations if a.get("AllocationId")]
    return {
        "subnet": names.get(entry["SubnetId"], entry["SubnetId"]),
        "elastic_ip": names.get(allocated[0], allocated[0]) if allocated else None,
    }


def _routes(names: Mapping[str, str], entry: Mapping[str, Any]) -> dict[str, Any]:
    # Subnets that others tied to our route table are not ours.
    subnets = [names[a["SubnetId"]] for a in entry.get("Associations", ()) if a.get("SubnetId") in names]
    out = None
    for route in entry.get("Routes", ()):
        if route.get("DestinationCidrBlock") == EVERYWHERE:
            nat, gateway = route.get("NatGatewayId"), route.get("GatewayId")
            out = f"{NAT} {names.get(nat, nat)}" if nat else f"{GATEWAY} {names.get(gateway, gateway)}"
    return {"subnets": sorted(subnets), "default": out}
