#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vpc
short_description: A VPC with all that an EKS cluster needs around it, as one plan
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes a VPC with a private and a public subnet in each zone, an internet gateway, NAT gateways, route tables,
    gateway endpoints and a security group for nodes; one call lists what there is and makes only what differs.
  - Finds its parts by tag, so an interrupted run is taken up where it ended. What others made in the VPC, and tags
    by keys that no option here uses, are left alone. Only what the VPC CNI left of its network interfaces goes too.
  - Three quarters of O(cidr) are for private subnets, the last quarter is for public ones.
  - Needs the actions C(ec2:Describe*) and, to make and change, C(ec2:CreateVpc), C(ec2:ModifyVpcAttribute),
    C(ec2:CreateSubnet), C(ec2:ModifySubnetAttribute), C(ec2:CreateInternetGateway), C(ec2:AttachInternetGateway),
    C(ec2:AllocateAddress), C(ec2:CreateNatGateway), C(ec2:CreateRouteTable), C(ec2:AssociateRouteTable),
    C(ec2:CreateRoute), C(ec2:ReplaceRoute), C(ec2:CreateVpcEndpoint), C(ec2:ModifyVpcEndpoint),
    C(ec2:CreateSecurityGroup), C(ec2:AuthorizeSecurityGroupIngress), C(ec2:CreateTags); to delete, their opposites and
    C(ec2:DeleteNetworkInterface).
options:
  name:
    description: Name of the VPC; its parts are called after it and carry it as a tag.
    type: str
    required: true
  state:
    description: Whether the VPC shall exist.
    type: str
    choices: [present, absent]
    default: present
  cidr:
    description: The VPC's range of addresses, /16 to /24. Can't be changed later.
    type: str
    default: 10.0.0.0/16
  zones:
    description: The two or three zones to use; by default those in use, then the region's first that EKS takes.
    type: list
    elements: str
    default: []
  zone_count:
    description: How many zones to use where O(zones) names none.
    type: int
    default: 2
  nat:
    description:
      - V(single) has all private subnets go out by one NAT gateway, V(per_zone) each by one in its own zone.
      - With V(none), private subnets have no way out, and machines in public subnets get addresses of their own.
    type: str
    choices: [none, single, per_zone]
    default: single
  gateway_endpoints:
    description: Services that are reached from all subnets without NAT, at no cost.
    type: list
    elements: str
    choices: [s3, dynamodb]
    default: [s3, dynamodb]
  tags:
    description: Tags of every part.
    type: dict
    default: {}
    aliases: [resource_tags]
  public_subnet_tags:
    description: Tags of the public subnets, besides O(tags).
    type: dict
    default: {}
  private_subnet_tags:
    description: Tags of the private subnets, besides O(tags).
    type: dict
    default: {}
  security_group_tags:
    description: Tags of the nodes' security group, besides O(tags).
    type: dict
    default: {}
  wait:
    description: Whether to wait until the NAT gateways carry traffic.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for a NAT gateway to come or to go.
    type: int
    default: 600
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: What would be made is returned by its name instead of its id.
    support: full
  diff_mode:
    description: Shows every property that differs.
    support: full
"""

EXAMPLES = r"""
- name: Two zones, one NAT gateway
  stable_diffusion.eks.vpc:
    name: sd
    cidr: 10.20.0.0/16
    private_subnet_tags:
      karpenter.sh/discovery: sd
      kubernetes.io/role/internal-elb: "1"
    public_subnet_tags:
      kubernetes.io/role/elb: "1"
    security_group_tags:
      karpenter.sh/discovery: sd

- name: Take it away
  stable_diffusion.eks.vpc:
    name: sd
    state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or would be, one line each and in order.
  returned: always
  type: list
  elements: str
  sample: [create vpc sd, create internet gateway sd]
vpc_id:
  description: The VPC.
  returned: when O(state=present)
  type: str
  sample: vpc-0a1b2c3d4e5f60718
zones:
  description: The zones, in the order of the subnets.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [us-east-1a, us-east-1b]
private_subnet_ids:
  description: The private subnets, one in each zone.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [subnet-0a1b2c3d4e5f60718, subnet-1a1b2c3d4e5f60718]
public_subnet_ids:
  description: The public subnets, one in each zone.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [subnet-2a1b2c3d4e5f60718, subnet-3a1b2c3d4e5f60718]
security_group_id:
  description: The security group that all nodes share.
  returned: when O(state=present)
  type: str
  sample: sg-0a1b2c3d4e5f60718
"""

from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import vpc_layout, vpc_read
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import Result, client, run
from ansible_collections.stable_diffusion.eks.plugins.module_utils.vpc_build import Builder

NO_TAGS = {"type": "dict", "default": {}}
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "cidr": {"type": "str", "default": "10.0.0.0/16"},
    "zones": {"type": "list", "elements": "str", "default": []},
    "zone_count": {"type": "int", "default": 2},
    "nat": {"type": "str", "choices": ["none", "single", "per_zone"], "default": "single"},
    "gateway_endpoints": {
        "type": "list",
        "elements": "str",
        "choices": ["s3", "dynamodb"],
        "default": ["s3", "dynamodb"],
    },
    "tags": {**NO_TAGS, "aliases": ["resource_tags"]},
    "public_subnet_tags": NO_TAGS,
    "private_subnet_tags": NO_TAGS,
    "security_group_tags": NO_TAGS,
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 600},
}


def settings(params: dict[str, Any], available: list[str], used: list[str]) -> vpc_layout.Settings:
    """The operator's wishes; tags as the strings that AWS gives back."""
    return vpc_layout.Settings(
        name=params["name"],
        cidr=params["cidr"],
        zones=vpc_layout.choose_zones(params["zones"], params["zone_count"], available, used),
        nat=params["nat"],
        endpoints=params["gateway_endpoints"],
        tags=_strings(params["tags"]),
        public_tags=_strings(params["public_subnet_tags"]),
        private_tags=_strings(params["private_subnet_tags"]),
        group_tags=_strings(params["security_group_tags"]),
    )


def _strings(tags: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in tags.items()}


def perform(module: Any) -> Result:
    """List, plan, apply unless in check mode, and say what there is."""
    params = module.params
    ec2 = client(module, "ec2")
    current, ids = vpc_read.read(ec2, params["name"])
    wishes = None
    if params["state"] == "present":
        wishes = settings(params, vpc_read.zones(ec2), vpc_layout.zones_used(current))
    changes = vpc_layout.plan(current, vpc_layout.wanted(wishes) if wishes else {})
    if not module.check_mode:
        builder = Builder(ec2, params["name"], ids, ec2.meta.region_name, params["wait_timeout"])
        builder.apply(changes)
        if wishes and params["wait"]:
            builder.wait_for_nat()
    return Result(changes=changes, facts=facts(wishes, ids) if wishes else {})


def facts(wishes: vpc_layout.Settings, ids: vpc_read.Ids) -> dict[str, Any]:
    """What other roles need; in check mode what is not there yet goes by its name."""

    def identifier(kind: str, name: str) -> str:
        return ids.get((kind, name), name)

    def subnets(which: str) -> list[str]:
        return [identifier(vpc_layout.SUBNET, wishes.subnet(which, zone)) for zone in wishes.zones]

    return {
        "vpc_id": identifier(vpc_layout.VPC, wishes.name),
        "zones": list(wishes.zones),
        "private_subnet_ids": subnets("private"),
        "public_subnet_ids": subnets("public"),
        "security_group_id": identifier(vpc_layout.GROUP, wishes.group),
    }


def main() -> None:
    """Entry point."""
    run(perform, ARGUMENTS)


if __name__ == "__main__":
    main()
