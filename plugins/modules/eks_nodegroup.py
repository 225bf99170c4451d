#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: eks_nodegroup
short_description: Make, update or delete a managed node group of an EKS cluster
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes a managed node group what the options say. Size, labels, taints, tags and versions are changed in place; an
    option that EKS can't change is refused with a sentence that names it.
  - Unlike M(community.aws.eks_nodegroup) it knows all AMI types, among them those of AL2023 and Bottlerocket for GPUs.
  - With O(wait=false) it starts the work and returns at once; a second task with O(wait=true) waits.
  - Needs the actions C(eks:DescribeNodegroup), C(eks:CreateNodegroup), C(eks:UpdateNodegroupConfig),
    C(eks:UpdateNodegroupVersion), C(eks:DescribeUpdate), C(eks:TagResource), C(eks:UntagResource),
    C(eks:DeleteNodegroup), C(iam:GetRole) and C(iam:PassRole) on the role.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  name:
    description: Name of the node group.
    type: str
    required: true
  state:
    description: Whether the node group shall exist. Deleting one that does not exist changes nothing.
    type: str
    choices: [present, absent]
    default: present
  node_role:
    description: ARN of the nodes' IAM role. It can't be changed later. Required to make a group.
    type: str
  subnet_ids:
    description: Subnets for the nodes. They can't be changed later. Required to make a group.
    type: list
    elements: str
  instance_types:
    description: Instance types, in the order of preference. They can't be changed later.
    type: list
    elements: str
  ami_type:
    description:
      - Kind of machine image, such as V(BOTTLEROCKET_x86_64) or V(AL2023_x86_64_STANDARD).
      - It can't be changed later.
    type: str
  capacity_type:
    description: How the instances are bought. It can't be changed later.
    type: str
    choices: [ON_DEMAND, SPOT]
  disk_size:
    description: Size of the root volume in GiB. It can't be changed later.
    type: int
  scaling:
    description: How many nodes.
    type: dict
    suboptions:
      min:
        description: The fewest.
        type: int
        required: true
      desired:
        description: How many there shall be now.
        type: int
        required: true
      max:
        description: The most.
        type: int
        required: true
  labels:
    description: Labels of the nodes; others are removed.
    type: dict
  taints:
    description: Taints of the nodes; others are removed.
    type: list
    elements: dict
    suboptions:
      key:
        description: The taint's key.
        type: str
        required: true
      value:
        description: The taint's value.
        type: str
        default: ''
      effect:
        description: The taint's effect, as Kubernetes spells it.
        type: str
        choices: [NoSchedule, NoExecute, PreferNoSchedule]
        required: true
  max_unavailable:
    description: How many nodes an update may replace at the same time.
    type: int
  version:
    description: Kubernetes version of the nodes. Without it they keep what they have.
    type: str
  release_version:
    description: Version of the machine image. Without it they keep what they have.
    type: str
  wait:
    description: Whether to wait until the group is active, or gone.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most, for each step.
    type: int
    default: 1200
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - amazon.aws.tags
attributes:
  check_mode:
    description: Returns what would be done.
    support: full
  diff_mode:
    description: Shows every property that differs.
    support: full
"""

EXAMPLES = r"""
- name: Two nodes for what belongs to the system
  stable_diffusion.eks.eks_nodegroup:
    cluster: sd
    name: system
    node_role: arn:aws:iam::123456789012:role/sd-node
    subnet_ids: [subnet-0a, subnet-0b]
    instance_types: [m6i.large]
    ami_type: BOTTLEROCKET_x86_64
    scaling: {min: 2, desired: 2, max: 3}
    labels: {role: system}
"""

RETURN = r"""
nodegroup:
  description: The node group as EKS describes it, keys in snake case; C({}) when there is none.
  returned: always
  type: dict
  contains:
    nodegroup_arn:
      description: ARN of the node group.
      type: str
    status:
      description: CREATING, ACTIVE, UPDATING, DELETING, CREATE_FAILED, DELETE_FAILED or DEGRADED.
      type: str
changes:
  description: What was (in check mode, would be) done, one line each.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.stable_diffusion.eks.plugins.module_utils import eks, eks_nodegroup
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    TAGS_SPEC,
    Result,
    client,
    doing,
    found,
    run,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import wait

_PROPERTIES = (
    "node_role",
    "instance_types",
    "ami_type",
    "capacity_type",
    "disk_size",
    "scaling",
    "max_unavailable",
    "version",
    "release_version",
)


def wanted(params: dict[str, Any], current_tags: dict[str, str]) -> dict[str, Any] | None:
    """The options as the planner takes them; one that is not given is left out."""
    if params["state"] == "absent":
        return None
    asked = {key: params[key] for key in _PROPERTIES if params[key] is not None}
    if params["subnet_ids"] is not None:
        asked["subnet_ids"] = sorted(set(params["subnet_ids"]))
    if params["labels"] is not None:
        asked["labels"] = {str(key): str(value) for key, value in params["labels"].items()}
    if params["taints"] is not None:
        asked["taints"] = eks_nodegroup.taints(params["taints"])
    asked["tags"] = eks.wanted_tags(current_tags, params["tags"], params["purge_tags"])
    return asked


def perform(module: AnsibleAWSModule) -> Result:
    """Look, plan, apply, wait, look."""
    api, params = client(module, "eks"), module.params
    where = {"clusterName": params["cluster"], "nodegroupName": params["name"]}
    if params["scaling"]:
        eks_nodegroup.check_scaling(params["name"], params["scaling"])
    group = _describe(api, where)
    if group and group["status"] == "DELETING" and params["state"] == "present":
        if not module.check_mode:
            wait(api, eks.NODEGROUP_GONE, f"node group {params['name']}", params["wait_timeout"], **where)
        group = None
    current = eks_nodegroup.normalised(group) if group else None
    asked = wanted(params, current["tags"] if current else {})
    if asked is not None and current is None:
        for key in ("node_role", "subnet_ids", "scaling"):
            if not asked.get(key):
                raise BadInput(f"{key} is required to make the node group {params['name']}")
    changes = eks_nodegroup.plan(params["name"], current, asked)
    if not module.check_mode:
        _apply(params, api, where, changes, group)
    left = _describe(api, where)
    return Result(changes=changes, facts={"nodegroup": eks.snake_keys(left) if left else {}})


def _describe(api: Any, where: dict[str, str]) -> dict[str, Any] | None:
    with doing(f"look at node group {where['nodegroupName']}"):
        # The same error code tells of a missing cluster: in check mode there may be none yet.
        answer = found(api.describe_nodegroup, eks.MISSING, **where)
    return answer["nodegroup"] if answer else None


def _apply(
    params: dict[str, Any], api: Any, where: dict[str, str], changes: list[Change], group: dict[str, Any] | None
) -> None:
    what, deadline = f"node group {params['name']}", params["wait_timeout"]
    updates = [change for change in changes if change.action == "update"]
    if updates:
        wait(api, eks.NODEGROUP_ACTIVE, what, deadline, **where)
    for change in updates:
        _update(api, where, change, group or {}, deadline)
    if any(change.action == "create" for change in changes):
        arguments = eks_nodegroup.create_arguments(params["cluster"], params["name"], changes[0].after)
        with doing(f"create {what}"):
            eks.once_role_is_known(lambda: api.create_nodegroup(**arguments))
    if any(change.action == "delete" for change in changes) and (group or {}).get("status") != "DELETING":
        with doing(f"delete {what}"):
            api.delete_nodegroup(**where)
    if params["wait"] and params["state"] == "present":
        wait(api, eks.NODEGROUP_ACTIVE, what, deadline, **where)
    elif params["wait"] and changes:
        wait(api, eks.NODEGROUP_GONE, what, deadline, **where)


def _update(api: Any, where: dict[str, str], change: Change, group: dict[str, Any], deadline: float) -> None:
    if change.data == "tags":
        eks.set_tags(api, group["nodegroupArn"], change.before["tags"], change.after["tags"])
        return
    call = api.update_nodegroup_version if change.data == "version" else api.update_nodegroup_config
    arguments = eks_nodegroup.update_arguments(change)
    eks.update_and_wait(
        api,
        change.key,
        deadline,
        lambda: call(**where, **arguments),
        name=where["clusterName"],
        nodegroupName=where["nodegroupName"],
    )


def main() -> None:
    """Ansible's entry point."""
    text = {"type": "str"}
    texts = {"type": "list", "elements": "str"}
    number = {"type": "int", "required": True}
    taint = {
        "key": {"type": "str", "required": True, "no_log": False},
        "value": {"type": "str", "default": ""},
        "effect": {"type": "str", "choices": ["NoSchedule", "NoExecute", "PreferNoSchedule"], "required": True},
    }
    run(
        perform,
        {
            "cluster": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "node_role": text,
            "subnet_ids": texts,
            "instance_types": texts,
            "ami_type": text,
            "capacity_type": {"type": "str", "choices": ["ON_DEMAND", "SPOT"]},
            "disk_size": {"type": "int"},
            "scaling": {"type": "dict", "options": {"min": number, "desired": number, "max": number}},
            "labels": {"type": "dict"},
            "taints": {"type": "list", "elements": "dict", "options": taint},
            "max_unavailable": {"type": "int"},
            "version": text,
            "release_version": text,
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 1200},
            **TAGS_SPEC,
        },
    )


if __name__ == "__main__":
    main()
