#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: eks_access_entry
short_description: Say which IAM principals may do what in an EKS cluster
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes, updates or deletes the access entries of an EKS cluster with their access policies, as many as O(entries)
    lists, in one call of the module. Entries of principals that are not listed are left alone.
  - Needs the actions C(eks:DescribeAccessEntry), C(eks:CreateAccessEntry), C(eks:UpdateAccessEntry),
    C(eks:DeleteAccessEntry), C(eks:ListAssociatedAccessPolicies), C(eks:AssociateAccessPolicy),
    C(eks:DisassociateAccessPolicy) and C(eks:TagResource).
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  entries:
    description: The access entries.
    type: list
    elements: dict
    required: true
    suboptions:
      principal_arn:
        description: ARN of an IAM role or user.
        type: str
        required: true
      type:
        description:
          - V(STANDARD) for people and programs; the other types are for the roles of nodes, and take neither groups
            nor policies.
          - It can't be changed later.
        type: str
        choices: [STANDARD, EC2, EC2_LINUX, EC2_WINDOWS, FARGATE_LINUX, HYBRID_LINUX]
        default: STANDARD
      groups:
        description: Kubernetes groups of the principal; others are removed.
        type: list
        elements: str
        default: []
      policies:
        description: Access policies of the principal; others are removed.
        type: list
        elements: dict
        default: []
        suboptions:
          policy:
            description: An access policy of EKS, by its name such as V(AmazonEKSViewPolicy), or by its ARN.
            type: str
            required: true
          namespaces:
            description: Where the policy holds; an empty list means the whole cluster.
            type: list
            elements: str
            default: []
  state:
    description: Whether the listed entries shall exist.
    type: str
    choices: [present, absent]
    default: present
  tags:
    description: Tags of the entries that are made.
    type: dict
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Returns what would be done.
    support: full
  diff_mode:
    description: Shows every property that differs.
    support: full
"""

EXAMPLES = r"""
- name: Let Karpenter's nodes join, and the operators look around
  stable_diffusion.eks.eks_access_entry:
    cluster: sd
    entries:
      - principal_arn: arn:aws:iam::123456789012:role/sd-node
        type: EC2_LINUX
      - principal_arn: arn:aws:iam::123456789012:role/operators
        policies:
          - policy: AmazonEKSViewPolicy
            namespaces: [sd]
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, one line each.
  returned: always
  type: list
  elements: str
"""

import functools
import re
from collections import Counter
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.stable_diffusion.eks.plugins.module_utils import eks
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    Result,
    client,
    doing,
    found,
    pages,
    run,
    together,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

KIND = "access entry"


def wanted(params: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
    """The entries by principal; None for those that shall go. Raises BadInput."""
    names = [entry["principal_arn"] for entry in params["entries"]]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(f"entries: {twice[0]} is listed more than once")
    if params["state"] == "absent":
        return dict.fromkeys(names)
    done: dict[str, dict[str, Any] | None] = {}
    for entry in params["entries"]:
        name = entry["principal_arn"]
        if not re.fullmatch(r"arn:[^:]+:iam::\d*:[^:]+", name):
            raise BadInput(f'entries: "{name}" is not the ARN of a role or user')
        if entry["type"] != "STANDARD" and (entry["groups"] or entry["policies"]):
            raise BadInput(f"entries: {name} is of type {entry['type']}, which takes neither groups nor policies")
        policies = {policy_arn(policy["policy"], name): sorted(policy["namespaces"]) for policy in entry["policies"]}
        done[name] = {"type": entry["type"], "policies": policies}
        if entry["type"] == "STANDARD":
            # EKS gives nodes a group of its own.
            done[name]["groups"] = sorted(entry["groups"])
    return done


def policy_arn(policy: str, principal: str) -> str:
    """The ARN of an access policy that is told by its name, in the principal's partition."""
    partition = principal.split(":")[1]
    return policy if policy.startswith("arn:") else f"arn:{partition}:eks::aws:cluster-access-policy/{policy}"


def described(api: Any, cluster: str, principal: str) -> dict[str, Any] | None:
    """One entry in the module's own words, or None."""
    answer = found(api.describe_access_entry, eks.MISSING, clusterName=cluster, principalArn=principal)
    if answer is None:
        return None
    entry = answer["accessEntry"]
    kind = entry.get("type", "STANDARD")
    policies = []
    if kind == "STANDARD":
        policies = pages(
            api,
            "list_associated_access_policies",
            "associatedAccessPolicies",
            clusterName=cluster,
            principalArn=principal,
        )
    return {
        "type": kind,
        "groups": sorted(entry.get("kubernetesGroups") or ()),
        "policies": {policy["policyArn"]: sorted(policy["accessScope"].get("namespaces") or ()) for policy in policies},
    }


def plan(current: dict[str, Any], asked: dict[str, Any]) -> list[Change]:
    """The changes; BadInput for a type that would have to change."""
    for name, entry in asked.items():
        now = current.get(name)
        if now and entry and now["type"] != entry["type"]:
            raise BadInput(
                f"entries: the type of {name} can't be changed: it is {now['type']}, asked is {entry['type']}"
            )
    return eks.listed_changes(KIND, current, asked)


def perform(module: AnsibleAWSModule) -> Result:
    """Look, plan, apply."""
    api, params = client(module, "eks"), module.params
    cluster, asked = params["cluster"], wanted(params)
    with doing(f"look at the access entries of cluster {cluster}"):
        entries = together(lambda name=name: described(api, cluster, name) for name in asked)
    changes = plan(dict(zip(asked, entries, strict=True)), asked)
    if not module.check_mode:
        for change in changes:
            with doing(str(change)):
                _apply(api, params, change)
    return Result(changes=changes)


def _apply(api: Any, params: dict[str, Any], change: Change) -> None:
    where = {"clusterName": params["cluster"], "principalArn": change.name}
    before, after = change.before or {}, change.after or {}
    if change.action == "delete":
        api.delete_access_entry(**where)
        return
    if change.action == "create":
        tags = {str(key): str(value) for key, value in (params["tags"] or {}).items()}
        groups = {"kubernetesGroups": after["groups"]} if after.get("groups") else {}
        create = functools.partial(api.create_access_entry, **where, type=after["type"], tags=tags, **groups)
        # EKS makes the entry of a node group's role itself, perhaps since we looked.
        exists = () if after["type"] == "STANDARD" else ("ResourceInUseException",)
        eks.once_role_is_known(lambda: found(create, *exists))
    elif "groups" in after:
        api.update_access_entry(**where, kubernetesGroups=after["groups"])
    old, new = before.get("policies", {}), after.get("policies", {})
    for arn in sorted(set(old) - set(new)) if "policies" in after else ():
        api.disassociate_access_policy(**where, policyArn=arn)
    for arn, namespaces in new.items():
        if old.get(arn) != namespaces:
            scope = {"type": "namespace", "namespaces": namespaces} if namespaces else {"type": "cluster"}
            api.associate_access_policy(**where, policyArn=arn, accessScope=scope)


def main() -> None:
    """Ansible's entry point."""
    texts = {"type": "list", "elements": "str", "default": []}
    policy = {"policy": {"type": "str", "required": True}, "namespaces": texts}
    kinds = ["STANDARD", "EC2", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX"]
    entry = {
        "principal_arn": {"type": "str", "required": True},
        "type": {"type": "str", "choices": kinds, "default": "STANDARD"},
        "groups": texts,
        "policies": {"type": "list", "elements": "dict", "default": [], "options": policy},
    }
    run(
        perform,
        {
            "cluster": {"type": "str", "required": True},
            "entries": {"type": "list", "elements": "dict", "required": True, "options": entry},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "tags": {"type": "dict"},
        },
    )


if __name__ == "__main__":
    main()
