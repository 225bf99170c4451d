#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: iam_roles
short_description: Make, update or delete IAM roles with their policies
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes roles exactly what O(roles) says - who may take them, attached and inline policies, tags - all in one call
    of the module. Roles that are not listed are left alone.
  - Deleting a role also detaches its policies and deletes its instance profiles, which hold nothing else. (Karpenter
    leaves its profiles behind in a VPC without a way out.)
  - Needs the actions C(iam:GetRole), C(iam:ListAttachedRolePolicies), C(iam:ListRolePolicies), C(iam:GetRolePolicy),
    C(iam:CreateRole), C(iam:UpdateRole), C(iam:UpdateAssumeRolePolicy), C(iam:AttachRolePolicy),
    C(iam:DetachRolePolicy), C(iam:PutRolePolicy), C(iam:DeleteRolePolicy), C(iam:TagRole), C(iam:UntagRole),
    C(iam:DeleteRole) and C(iam:ListInstanceProfilesForRole) on the roles, and C(iam:RemoveRoleFromInstanceProfile) and
    C(iam:DeleteInstanceProfile) on their instance profiles.
options:
  roles:
    description: The roles.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      description:
        description: What the role is for.
        type: str
      services:
        description: AWS services that may take the role, such as V(pods.eks.amazonaws.com) for EKS Pod Identity.
        type: list
        elements: str
        default: []
      trust_policy:
        description: A whole trust policy, instead of O(roles[].services).
        type: dict
      managed_policies:
        description:
          - The attached policies; others are detached.
          - ARNs, or for AWS's own policies the name alone, such as V(AmazonEKSClusterPolicy).
        type: list
        elements: str
        default: []
      policies:
        description: Inline policies, by name, each a list of statements; others are removed.
        type: dict
        default: {}
      tags:
        description: Tags of the role. Without it they are left alone.
        type: dict
  state:
    description: Whether the listed roles shall exist.
    type: str
    choices: [present, absent]
    default: present
  purge_tags:
    description: Whether tags that are not listed are removed.
    type: bool
    default: true
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
- name: Make the role of a workload
  stable_diffusion.eks.iam_roles:
    roles:
      - name: sd-keda
        description: Reads the length of the queues of sd
        services: [pods.eks.amazonaws.com]
        policies:
          queues:
            - Effect: Allow
              Action: sqs:GetQueueAttributes
              Resource: arn:aws:sqs:us-west-2:123456789012:sd-*
"""

RETURN = r"""
roles:
  description: ARNs of the listed roles that exist now (in check mode - shall exist), by name.
  returned: always
  type: dict
  sample: {sd-keda: 'arn:aws:iam::123456789012:role/sd-keda'}
changes:
  description: What was (in check mode, would be) done, one line each.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.stable_diffusion.eks.plugins.module_utils import iam_roles
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    Result,
    account,
    canonical,
    client,
    doing,
    found,
    pages,
    run,
    together,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

MISSING = "NoSuchEntity"


def described(iam: Any, name: str) -> dict[str, Any] | None:
    """A role as it is, in the module's own words, or None."""
    answer = found(iam.get_role, MISSING, RoleName=name)
    if answer is None:
        return None
    role = answer["Role"]
    inline = pages(iam, "list_role_policies", "PolicyNames", RoleName=name)
    return {
        "description": role.get("Description", ""),
        "trust": role["AssumeRolePolicyDocument"],
        "managed_policies": sorted(
            policy["PolicyArn"]
            for policy in pages(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=name)
        ),
        "policies": {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in inline
        },
        "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags", ())},
    }


def perform(module: AnsibleAWSModule) -> Result:
    """Look, plan, apply."""
    iam, params = client(module, "iam"), module.params
    iam_roles.check(params["roles"])
    names = [role["name"] for role in params["roles"]]
    with doing("look at the roles"):
        current = dict(zip(names, together(lambda name=name: described(iam, name) for name in names), strict=True))
    asked: dict[str, Any] = dict.fromkeys(names)
    where = account(module)
    if params["state"] == "present":
        for role in params["roles"]:
            if bool(role["services"]) == bool(role["trust_policy"]):
                raise BadInput(f"roles: {role['name']} needs one of services and trust_policy")
            tags = (current[role["name"]] or {}).get("tags", {})
            asked[role["name"]] = iam_roles.wanted(role, tags, params["purge_tags"], where.partition)
    changes = iam_roles.plan(current, asked)
    if not module.check_mode:
        together(lambda change=change: _apply(iam, change) for change in changes)
    arns = {name: where.arn("iam", f"role/{name}", region="") for name in names if asked[name] is not None}
    return Result(changes=changes, facts={"roles": arns})


def _apply(iam: Any, change: Change) -> None:
    name, before, after = change.name, change.before or {}, change.after or {}
    with doing(str(change)):
        if change.action == "delete":
            _delete(iam, name, before)
            return
        if change.action == "create":
            iam.create_role(
                RoleName=name,
                AssumeRolePolicyDocument=canonical(after["trust"]),
                Description=after.get("description", ""),
                Tags=[{"Key": key, "Value": value} for key, value in after.get("tags", {}).items()],
            )
        else:
            _update(iam, name, before, after)
        _policies(iam, name, before, after)


def _update(iam: Any, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    if "trust" in after:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=canonical(after["trust"]))
    if "description" in after:
        iam.update_role(RoleName=name, Description=after["description"])
    if "tags" in after:
        gone = sorted(set(before["tags"]) - set(after["tags"]))
        if gone:
            iam.untag_role(RoleName=name, TagKeys=gone)
        if after["tags"]:
            iam.tag_role(RoleName=name, Tags=[{"Key": key, "Value": value} for key, value in after["tags"].items()])


def _policies(iam: Any, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Attach and put first, so that nobody who uses the role stands without."""
    if "managed_policies" in after:
        old, new = set(before.get("managed_policies", ())), set(after["managed_policies"])
        for arn in sorted(new - old):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        for arn in sorted(old - new):
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    if "policies" in after:
        inline = before.get("policies", {})
        for policy, document in after["policies"].items():
            if inline.get(policy) != document:
                iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=canonical(document))
        for policy in sorted(set(inline) - set(after["policies"])):
            iam.delete_role_policy(RoleName=name, PolicyName=policy)


def _delete(iam: Any, name: str, before: dict[str, Any]) -> None:
    for profile in pages(iam, "list_instance_profiles_for_role", "InstanceProfiles", RoleName=name):
        iam.remove_role_from_instance_profile(InstanceProfileName=profile["InstanceProfileName"], RoleName=name)
        iam.delete_instance_profile(InstanceProfileName=profile["InstanceProfileName"])
    for arn in before["managed_policies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in before["policies"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def main() -> None:
    """Ansible's entry point."""
    texts = {"type": "list", "elements": "str", "default": []}
    role = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str"},
        "services": texts,
        "trust_policy": {"type": "dict"},
        "managed_policies": texts,
        "policies": {"type": "dict", "default": {}},
        "tags": {"type": "dict"},
    }
    run(
        perform,
        {
            "roles": {"type": "list", "elements": "dict", "required": True, "options": role},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge_tags": {"type": "bool", "default": True},
        },
    )


if __name__ == "__main__":
    main()
