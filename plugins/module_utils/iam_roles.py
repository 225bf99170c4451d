# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What takes an IAM role from what it is to what it shall be: pure, no call is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

POLICY_VERSION = "2012-10-17"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
NAME_LONGEST = 64
INLINE_LONGEST = 10240


def trust(services: Sequence[str]) -> dict[str, Any]:
    """A trust policy for AWS services; EKS Pod Identity also has to tag the session that it gives to a pod.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
    """
    actions = ["sts:AssumeRole", "sts:TagSession"] if "pods.eks.amazonaws.com" in services else ["sts:AssumeRole"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": _one_or_list(services)},
        "Action": _one_or_list(actions),
    }
    return {"Version": POLICY_VERSION, "Statement": [statement]}


def document(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A policy of these statements."""
    return {"Version": POLICY_VERSION, "Statement": [dict(statement) for statement in statements]}


def check(roles: Sequence[Mapping[str, Any]]) -> None:
    """Raise BadInput for names or policies that IAM would refuse, naming the role."""
    twice = [name for name, count in Counter(role["name"] for role in roles).items() if count > 1]
    if twice:
        raise BadInput(f"roles: {twice[0]} is listed more than once")
    for role in roles:
        if len(role["name"]) > NAME_LONGEST:
            raise BadInput(f"roles: {role['name']} has {len(role['name'])} characters, IAM allows {NAME_LONGEST}")


def policy_arn(policy: str, partition: str) -> str:
    """The ARN of a managed policy: AWS's own may be told by their names alone."""
    return policy if policy.startswith("arn:") else f"arn:{partition}:iam::aws:policy/{policy}"


def wanted(
    role: Mapping[str, Any], current_tags: Mapping[str, str], purge_tags: bool, partition: str = "aws"
) -> dict[str, Any]:
    """An entry of the module's option in the form that is compared; keys that are not given are left out."""
    managed = {policy_arn(policy, partition) for policy in role.get("managed_policies") or ()}
    asked: dict[str, Any] = {
        "trust": role.get("trust_policy") or trust(role["services"]),
        "managed_policies": sorted(managed),
        "policies": {name: document(statements) for name, statements in (role.get("policies") or {}).items()},
    }
    if role.get("description") is not None:
        asked["description"] = role["description"]
    if role.get("tags") is not None:
        tags = {str(key): str(value) for key, value in role["tags"].items()}
        asked["tags"] = tags if purge_tags else {**current_tags, **tags}
    return asked


def plan(current: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Change]:
    """One change per role that differs; both by name, None for absent."""
    return [change for name, role in asked.items() for change in compare("role", name, current.get(name), role)]


def _one_or_list(values: Sequence[str]) -> str | list[str]:
    # IAM gives a list of one back as it was written, so one spelling has to be kept.
    return values[0] if len(values) == 1 else list(values)
