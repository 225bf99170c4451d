# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What a VPC of ours consists of: pure, from a name, an address range and zones to every part of it.

A part is known by its kind and name, ("subnet", "sd-private-us-east-1a"), and refers to others by their names, so that
what shall be and what is can be compared as they stand.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

VPC = "vpc"
GATEWAY = "internet gateway"
SUBNET = "subnet"
ADDRESS = "elastic ip"
NAT = "nat gateway"
ROUTES = "route table"
ENDPOINT = "vpc endpoint"
GROUP = "security group"
# In this order they are made, in the reverse order they go.
KINDS = (VPC, GROUP, GATEWAY, SUBNET, ADDRESS, NAT, ROUTES, ENDPOINT)

# How the parts are known again, beside their Name.
OWNER_TAG = "stable_diffusion.eks/vpc"
# What AWS lets nobody change once it is made.
FIXED = {VPC: ("cidr",), SUBNET: ("cidr", "zone"), NAT: ("subnet", "elastic_ip"), ENDPOINT: ("service",)}

# EKS wants subnets in at least two zones; the address plan has room for three.
FEWEST_ZONES, MOST_ZONES = 2, 3
# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html: a VPC is /16 to /28, a subnet at most /28.
WIDEST, NARROWEST = 16, 24

Key = tuple[str, str]
Parts = dict[Key, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the operator chose. nat: none, single or per_zone; endpoints: s3, dynamodb."""

    name: str
    cidr: str
    zones: Sequence[str]
    nat: str = "single"
    endpoints: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    public_tags: Mapping[str, str] = field(default_factory=dict)
    private_tags: Mapping[str, str] = field(default_factory=dict)
    group_tags: Mapping[str, str] = field(default_factory=dict)

    def subnet(self, kind: str, zone: str) -> str:
        """The name of the public or private subnet in a zone."""
        return f"{self.name}-{kind}-{zone}"

    def nat_gateway(self, zone: str) -> str:
        """The name of the NAT gateway that a zone's private subnet goes out by."""
        return f"{self.name}-nat-{self.zones[0] if self.nat == 'single' else zone}"

    @property
    def group(self) -> str:
        """The name of the security group that all nodes share."""
        return f"{self.name}-node"


def choose_zones(asked: Sequence[str], count: int, available: Sequence[str], used: Sequence[str] = ()) -> list[str]:
    """The zones asked for, or the first `count` of those available; raises BadInput naming what is missing.

    used: the zones that there are subnets in; they come first, as a zone that is down for a day must not lose them.
    """
    if not FEWEST_ZONES <= (len(asked) or count) <= MOST_ZONES:
        raise BadInput(f"the network needs {FEWEST_ZONES} or {MOST_ZONES} zones, not {len(asked) or count}")
    if len(set(asked)) != len(asked):
        raise BadInput(f"the zones {', '.join(asked)} are not all different")
    missing = [zone for zone in asked if zone not in available]
    if missing:
        raise BadInput(f"zone {missing[0]} is not among this region's zones {', '.join(available)}")
    choice = sorted(available)
    if not set(used) <= set(choice[:count]):
        choice = [*used, *(zone for zone in choice if zone not in used)]
    if len(choice) < count and not asked:
        raise BadInput(f"{count} zones are asked for, but this region has {len(available)}: {', '.join(available)}")
    return list(asked) or choice[:count]


def zones_used(parts: Parts) -> list[str]:
    """The zones of the private subnets among the parts, in the order in which they got their addresses."""
    private = [part for (kind, name), part in parts.items() if kind == SUBNET and f"-private-{part['zone']}" in name]
    return [part["zone"] for part in sorted(private, key=lambda part: ipaddress.IPv4Network(part["cidr"]))]


def addresses(cidr: str, count: int) -> tuple[list[str], list[str]]:
    """Address ranges of the private and the public subnets, one for each zone.

    Three quarters of the range are for private subnets, because every pod takes an address there; the last quarter is
    for the public ones. A third zone can be added later without moving the others. Raises BadInput for a bad range.
    """
    try:
        whole = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise BadInput(f"{cidr} is not a range of IPv4 addresses: {error}") from None
    if not WIDEST <= whole.prefixlen <= NARROWEST:
        raise BadInput(f"the range {cidr} must be between /{WIDEST} and /{NARROWEST} to have room for all subnets")
    *quarters, last = whole.subnets(prefixlen_diff=2)
    private = [str(quarter) for quarter in quarters[:count]]
    public = [str(part) for part in list(last.subnets(prefixlen_diff=2))[:count]]
    return private, public


def wanted(settings: Settings) -> Parts:
    """Every part as it shall be."""
    name = settings.name
    private, public = addresses(settings.cidr, len(settings.zones))
    parts: Parts = {
        (VPC, name): {"cidr": settings.cidr, "dns_hostnames": True},
        (GROUP, settings.group): {"self_ingress": True, "tags": dict(settings.group_tags)},
        (GATEWAY, name): {"attached": True},
    }
    for zone, private_cidr, public_cidr in zip(settings.zones, private, public, strict=True):
        parts[SUBNET, settings.subnet("private", zone)] = {
            "cidr": private_cidr,
            "zone": zone,
            "public_ip": False,
            "tags": dict(settings.private_tags),
        }
        parts[SUBNET, settings.subnet("public", zone)] = {
            "cidr": public_cidr,
            "zone": zone,
            # Without NAT the nodes live here, and reach the world only with addresses of their own.
            "public_ip": settings.nat == "none",
            "tags": dict(settings.public_tags),
        }
    parts.update(_nat_gateways(settings))
    parts.update(_route_tables(settings))
    for service in settings.endpoints:
        tables = sorted(table for kind, table in parts if kind == ROUTES)
        parts[ENDPOINT, f"{name}-{service}"] = {"service": service, "route_tables": tables}
    for (_kind, part), properties in parts.items():
        own = {"Name": part, OWNER_TAG: name}
        properties["tags"] = {**settings.tags, **properties.get("tags", {}), **own}
    return parts


def _nat_gateways(settings: Settings) -> Parts:
    parts: Parts = {}
    zones = {"none": [], "single": settings.zones[:1], "per_zone": settings.zones}[settings.nat]
    for zone in zones:
        nat = settings.nat_gateway(zone)
        parts[ADDRESS, nat] = {}
        parts[NAT, nat] = {"subnet": settings.subnet("public", zone), "elastic_ip": nat}
    return parts


def _route_tables(settings: Settings) -> Parts:
    public = sorted(settings.subnet("public", zone) for zone in settings.zones)
    parts: Parts = {(ROUTES, f"{settings.name}-public"): {"subnets": public, "default": f"{GATEWAY} {settings.name}"}}
    for zone in settings.zones:
        out = None if settings.nat == "none" else f"{NAT} {settings.nat_gateway(zone)}"
        private = settings.subnet("private", zone)
        parts[ROUTES, private] = {"subnets": [private], "default": out}
    return parts


def plan(current: Parts, to_be: Parts) -> list[Change]:
    """Changes in the order in which to make them: what comes before what it needs, and deletions last, the other way.

    Tags by keys that no part wants are left alone, because EKS and Karpenter tag subnets themselves. Raises BadInput
    for a change that AWS does not allow.
    """
    changes: list[Change] = []
    ours = {key for properties in to_be.values() for key in properties["tags"]}
    for kind in KINDS:
        for key in [key for key in to_be if key[0] == kind]:
            changes += _checked(compare(*key, current.get(key), _with_tags(current.get(key), to_be[key], ours)))
    for kind in reversed(KINDS):
        gone = [key for key in current if key[0] == kind and key not in to_be]
        changes += [Change("delete", *key, current[key]) for key in gone]
    return changes


def _with_tags(now: Mapping[str, Any] | None, properties: Mapping[str, Any], ours: set[str]) -> dict[str, Any]:
    foreign = {key: value for key, value in (now or {}).get("tags", {}).items() if key not in ours}
    return {**properties, "tags": {**foreign, **properties["tags"]}}


def _checked(changes: list[Change]) -> list[Change]:
    for change in changes:
        fixed = [name for name in FIXED.get(change.kind, ()) if name in (change.after or {})]
        if change.action == "update" and fixed:
            now, then = change.before[fixed[0]], change.after[fixed[0]]
            raise BadInput(f"{change.key} has the {fixed[0]} {now}, which AWS can't change to {then}")
    return changes
