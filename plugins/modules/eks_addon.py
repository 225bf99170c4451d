#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: eks_addon
short_description: Install, update or remove add-ons of an EKS cluster
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes the add-ons of an EKS cluster what O(addons) says, all in one call of the module; others are left alone.
  - Needs the actions C(eks:DescribeAddon), C(eks:CreateAddon), C(eks:UpdateAddon), C(eks:DeleteAddon) and
    C(eks:TagResource).
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  addons:
    description: The add-ons.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the add-on, such as V(eks-pod-identity-agent).
        type: str
        required: true
      version:
        description: Version, such as V(v1.3.10-eksbuild.2). Without it EKS takes its default, which then stays.
        type: str
      configuration:
        description: Values of the add-on's own schema. Without it they are left alone.
        type: dict
  state:
    description: Whether the listed add-ons shall be installed.
    type: str
    choices: [present, absent]
    default: present
  resolve_conflicts:
    description: What happens to settings that somebody changed in the cluster.
    type: str
    choices: [NONE, OVERWRITE, PRESERVE]
    default: OVERWRITE
  tags:
    description: Tags of the add-ons that are installed.
    type: dict
  wait:
    description: Whether to wait until the add-ons are active, or gone. One whose pods find no node is not active.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most, for each add-on.
    type: int
    default: 900
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
- name: Install what Pod Identity needs
  stable_diffusion.eks.eks_addon:
    cluster: sd
    addons:
      - name: eks-pod-identity-agent
    wait: false
"""

RETURN = r"""
addons:
  description: Versions of the listed add-ons that are installed now, by name.
  returned: always
  type: dict
  sample: {eks-pod-identity-agent: v1.3.10-eksbuild.2}
changes:
  description: What was (in check mode, would be) done, one line each.
  returned: always
  type: list
  elements: str
"""

import json
from collections import Counter
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.stable_diffusion.eks.plugins.module_utils import eks
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    Result,
    canonical,
    client,
    doing,
    found,
    run,
    together,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import wait


def wanted(params: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
    """The add-ons by name; None for those that shall go. Raises BadInput."""
    names = [entry["name"] for entry in params["addons"]]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(f"addons: {twice[0]} is listed more than once")
    if params["state"] == "absent":
        return dict.fromkeys(names)
    return {
        entry["name"]: {key: entry[key] for key in ("version", "configuration") if entry[key] is not None}
        for entry in params["addons"]
    }


def described(api: Any, cluster: str, name: str) -> dict[str, Any] | None:
    """One add-on in the module's own words, or None."""
    answer = found(api.describe_addon, eks.MISSING, clusterName=cluster, addonName=name)
    if answer is None or answer["addon"].get("status") == "DELETING":
        return None
    addon = answer["addon"]
    return {
        "version": addon.get("addonVersion"),
        "configuration": json.loads(addon.get("configurationValues") or "{}"),
    }


def perform(module: AnsibleAWSModule) -> Result:
    """Look, plan, apply, wait, look."""
    api, params = client(module, "eks"), module.params
    cluster, asked = params["cluster"], wanted(params)
    changes = eks.listed_changes("add-on", _look(api, cluster, asked), asked)
    if not module.check_mode:
        for change in changes:
            with doing(str(change)):
                _apply(api, params, change)
        if params["wait"]:
            _wait(api, params, asked, changes)
    now = _look(api, cluster, asked)
    return Result(changes=changes, facts={"addons": {name: addon["version"] for name, addon in now.items() if addon}})


def _look(api: Any, cluster: str, asked: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
    with doing(f"look at the add-ons of cluster {cluster}"):
        return dict(
            zip(asked, together(lambda name=name: described(api, cluster, name) for name in asked), strict=True)
        )


def _apply(api: Any, params: dict[str, Any], change: Change) -> None:
    where = {"clusterName": params["cluster"], "addonName": change.name}
    if change.action == "delete":
        api.delete_addon(**where)
        return
    arguments = {**where, "resolveConflicts": params["resolve_conflicts"]}
    if "version" in change.after:
        arguments["addonVersion"] = change.after["version"]
    if "configuration" in change.after:
        arguments["configurationValues"] = canonical(change.after["configuration"])
    if change.action == "update":
        api.update_addon(**arguments)
        return
    if arguments["resolveConflicts"] == "PRESERVE":
        # Nothing is there yet to preserve, and the API refuses the word.
        arguments["resolveConflicts"] = "NONE"
    tags = {str(key): str(value) for key, value in (params["tags"] or {}).items()}
    eks.once_role_is_known(lambda: api.create_addon(**arguments, tags=tags))


def _wait(api: Any, params: dict[str, Any], asked: dict[str, Any], changes: list[Change]) -> None:
    waiter = eks.ADDON_GONE if params["state"] == "absent" else eks.ADDON_ACTIVE
    names = [change.name for change in changes] if params["state"] == "absent" else list(asked)
    for name in names:
        where = {"clusterName": params["cluster"], "addonName": name}
        wait(api, waiter, f"add-on {name}", params["wait_timeout"], **where)


def main() -> None:
    """Ansible's entry point."""
    addon = {
        "name": {"type": "str", "required": True},
        "version": {"type": "str"},
        "configuration": {"type": "dict"},
    }
    run(
        perform,
        {
            "cluster": {"type": "str", "required": True},
            "addons": {"type": "list", "elements": "dict", "required": True, "options": addon},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "resolve_conflicts": {"type": "str", "choices": ["NONE", "OVERWRITE", "PRESERVE"], "default": "OVERWRITE"},
            "tags": {"type": "dict"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 900},
        },
    )


if __name__ == "__main__":
    main()
