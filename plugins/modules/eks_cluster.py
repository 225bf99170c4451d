#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: eks_cluster
short_description: Make, update or delete an Amazon EKS cluster
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes the control plane of an EKS cluster what the options say; mutable options are changed in place, one by one.
  - With O(wait=false) it starts the creation and returns at once, so that other things can be made meanwhile;
    a second task with the same options and O(wait=true) waits.
  - Needs the actions C(eks:DescribeCluster), C(eks:CreateCluster), C(eks:UpdateClusterConfig),
    C(eks:UpdateClusterVersion), C(eks:DescribeUpdate), C(eks:TagResource), C(eks:UntagResource), C(eks:DeleteCluster)
    and C(iam:PassRole) on the role.
options:
  name:
    description: Name of the cluster.
    type: str
    required: true
  state:
    description: Whether the cluster shall exist. Deleting one that does not exist changes nothing.
    type: str
    choices: [present, absent]
    default: present
  version:
    description:
      - Kubernetes version, such as V(1.35). EKS upgrades by one minor version at a time, and never back.
      - Without it a new cluster has EKS's default and an existing one keeps what it has.
    type: str
  role_arn:
    description: ARN of the cluster's IAM role. It can't be changed later. Required to make a cluster.
    type: str
  subnet_ids:
    description: Subnets of at least two zones, in which EKS puts its network interfaces. Required to make a cluster.
    type: list
    elements: str
  security_group_ids:
    description: Security groups of those network interfaces, beside the one that EKS makes.
    type: list
    elements: str
  endpoint_public_access:
    description: Whether the API server can be reached from outside the VPC.
    type: bool
  endpoint_private_access:
    description: Whether the API server can be reached from inside the VPC without leaving it.
    type: bool
  public_access_cidrs:
    description: From which addresses the public endpoint can be reached.
    type: list
    elements: str
  authentication_mode:
    description: Where EKS looks up who may do what. It can only be changed towards V(API).
    type: str
    choices: [CONFIG_MAP, API_AND_CONFIG_MAP, API]
  bootstrap_admin:
    description: Whether the caller becomes an administrator of the new cluster. Only heeded when the cluster is made.
    type: bool
    default: true
  logging:
    description: The control plane's logs that go to CloudWatch; an empty list turns all off.
    type: list
    elements: str
    choices: [api, audit, authenticator, controllerManager, scheduler]
  support_type:
    description: What happens at the end of the version's standard support.
    type: str
    choices: [STANDARD, EXTENDED]
  deletion_protection:
    description: Whether EKS refuses to delete the cluster.
    type: bool
  wait:
    description: Whether to wait until the cluster is active, or gone.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most, for each step.
    type: int
    default: 1800
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
- name: Start the cluster
  stable_diffusion.eks.eks_cluster:
    name: sd
    version: "1.35"
    role_arn: arn:aws:iam::123456789012:role/sd-cluster
    subnet_ids: [subnet-0a, subnet-0b]
    authentication_mode: API
    wait: false

- name: Wait for it, after other things were made
  stable_diffusion.eks.eks_cluster:
    name: sd
    wait_timeout: 1200
"""

RETURN = r"""
cluster:
  description: The cluster as EKS describes it, keys in snake case; C({}) when there is none.
  returned: always
  type: dict
  contains:
    arn:
      description: ARN of the cluster.
      type: str
    endpoint:
      description: URL of the API server; missing until the cluster is active.
      type: str
    status:
      description: CREATING, ACTIVE, UPDATING, DELETING or FAILED.
      type: str
    version:
      description: Kubernetes version.
      type: str
changes:
  description: What was (in check mode, would be) done, one line each.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.stable_diffusion.eks.plugins.module_utils import eks, eks_cluster
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import TAGS_SPEC, Result, client, doing, run
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import wait

# Options that are properties of the cluster; one that is not given is not looked at.
_LISTS = ("subnet_ids", "security_group_ids", "public_access_cidrs", "logging")
_PROPERTIES = (
    "version",
    "role_arn",
    "endpoint_public_access",
    "endpoint_private_access",
    "authentication_mode",
    "support_type",
    "deletion_protection",
)


def wanted(params: dict[str, Any], current_tags: dict[str, str]) -> dict[str, Any] | None:
    """The options as the planner takes them."""
    if params["state"] == "absent":
        return None
    plain = {key: params[key] for key in _PROPERTIES if params[key] is not None}
    lists = {key: sorted(set(params[key])) for key in _LISTS if params[key] is not None}
    return {**plain, **lists, "tags": eks.wanted_tags(current_tags, params["tags"], params["purge_tags"])}


def perform(module: AnsibleAWSModule) -> Result:
    """Look, plan, apply, wait, look."""
    api, params = client(module, "eks"), module.params
    name = params["name"]
    found = eks.describe_cluster(api, name)
    if found and found["status"] == "DELETING":
        found = _outlast_deletion(module, api, name)
    current = eks_cluster.normalised(found) if found else None
    asked = wanted(params, current["tags"] if current else {})
    if asked is not None and current is None:
        for key in ("role_arn", "subnet_ids"):
            if not asked.get(key):
                raise BadInput(f"{key} is required to make the cluster {name}")
    changes = eks_cluster.plan(name, current, asked)
    if not module.check_mode:
        _apply(module, api, name, changes, found)
    cluster = eks.describe_cluster(api, name)
    return Result(changes=changes, facts={"cluster": eks.snake_keys(cluster) if cluster else {}})


def _outlast_deletion(module: AnsibleAWSModule, api: Any, name: str) -> None:
    """An earlier deletion is under way: see it through, so that the name is free."""
    if not module.check_mode and (module.params["wait"] or module.params["state"] == "present"):
        wait(api, eks.CLUSTER_GONE, f"cluster {name}", module.params["wait_timeout"], name=name)


def _apply(module: AnsibleAWSModule, api: Any, name: str, changes: list[Change], found: dict[str, Any] | None) -> None:
    params, what = module.params, f"cluster {name}"
    deadline = params["wait_timeout"]
    updates = [change for change in changes if change.action == "update"]
    if updates:
        # EKS takes no update while it is still busy with the creation or another update.
        wait(api, eks.CLUSTER_ACTIVE, what, deadline, name=name)
    for change in updates:
        _update(api, name, change, found or {}, deadline)
    if any(change.action == "create" for change in changes):
        arguments = eks_cluster.create_arguments(name, changes[0].after, params["bootstrap_admin"])
        with doing(f"create {what}"):
            eks.once_role_is_known(lambda: api.create_cluster(**arguments))
    if any(change.action == "delete" for change in changes):
        wait(api, eks.CLUSTER_SETTLED, what, deadline, name=name)
        with doing(f"delete {what}"):
            api.delete_cluster(name=name)
    if params["wait"] and params["state"] == "present":
        wait(api, eks.CLUSTER_ACTIVE, what, deadline, name=name)
    elif params["wait"] and changes:
        wait(api, eks.CLUSTER_GONE, what, deadline, name=name)


def _update(api: Any, name: str, change: Change, found: dict[str, Any], deadline: float) -> None:
    part, after = change.data, change.after
    if part == "tags":
        eks.set_tags(api, found["arn"], change.before["tags"], after["tags"])
    elif part == "version":
        version = after["version"]
        eks.update_and_wait(
            api, change.key, deadline, lambda: api.update_cluster_version(name=name, version=version), name=name
        )
    else:
        arguments = eks_cluster.update_arguments(part, after)
        eks.update_and_wait(
            api, change.key, deadline, lambda: api.update_cluster_config(name=name, **arguments), name=name
        )


def main() -> None:
    """Ansible's entry point."""
    text = {"type": "str"}
    texts = {"type": "list", "elements": "str"}
    run(
        perform,
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "version": text,
            "role_arn": text,
            "subnet_ids": texts,
            "security_group_ids": texts,
            "endpoint_public_access": {"type": "bool"},
            "endpoint_private_access": {"type": "bool"},
            "public_access_cidrs": texts,
            "authentication_mode": {"type": "str", "choices": list(eks_cluster.AUTHENTICATION_MODES)},
            "bootstrap_admin": {"type": "bool", "default": True},
            "logging": {"type": "list", "elements": "str", "choices": list(eks_cluster.LOG_TYPES)},
            "support_type": {"type": "str", "choices": ["STANDARD", "EXTENDED"]},
            "deletion_protection": {"type": "bool"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 1800},
            **TAGS_SPEC,
        },
    )


if __name__ == "__main__":
    main()
