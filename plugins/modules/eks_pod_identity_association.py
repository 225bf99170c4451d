#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: eks_pod_identity_association
short_description: Say which IAM role the pods of a Kubernetes service account get
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes, moves or deletes EKS Pod Identity associations, as many as O(associations) lists, in one call of the module.
  - An association is known by its namespace and service account; those that are not listed are left alone.
  - The service account need not exist yet. The cluster needs the add-on C(eks-pod-identity-agent).
  - Needs the actions C(eks:ListPodIdentityAssociations), C(eks:DescribePodIdentityAssociation),
    C(eks:CreatePodIdentityAssociation), C(eks:UpdatePodIdentityAssociation), C(eks:DeletePodIdentityAssociation),
    C(eks:TagResource), C(iam:GetRole) and C(iam:PassRole) on the roles.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  associations:
    description: The associations.
    type: list
    elements: dict
    required: true
    suboptions:
      namespace:
        description: Namespace of the service account.
        type: str
        required: true
      service_account:
        description: Name of the service account.
        type: str
        required: true
      role_arn:
        description: ARN of the role that its pods get. Required to make an association.
        type: str
  state:
    description: Whether the listed associations shall exist.
    type: str
    choices: [present, absent]
    default: present
  tags:
    description: Tags of the associations that are made.
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
- name: Give two workloads their roles
  stable_diffusion.eks.eks_pod_identity_association:
    cluster: sd
    associations:
      - namespace: keda
        service_account: keda-operator
        role_arn: arn:aws:iam::123456789012:role/sd-keda
      - namespace: sd
        service_account: anime
        role_arn: arn:aws:iam::123456789012:role/sd-anime-agent
"""

RETURN = r"""
associations:
  description: Ids of the listed associations that exist now, by C(namespace/service account).
  returned: always
  type: dict
  sample: {sd/anime: a-9njjin9gfghecgocd}
changes:
  description: What was (in check mode, would be) done, one line each.
  returned: always
  type: list
  elements: str
"""

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

KIND = "pod identity association"


def wanted(params: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
    """The associations by name; None for those that shall go. Raises BadInput."""
    names = [name_of(entry) for entry in params["associations"]]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(f"associations: {twice[0]} is listed more than once")
    if params["state"] == "absent":
        return dict.fromkeys(names)
    for entry in params["associations"]:
        if not entry["role_arn"]:
            raise BadInput(f"associations: {name_of(entry)} has no role_arn")
    return {name_of(entry): {"role_arn": entry["role_arn"]} for entry in params["associations"]}


def name_of(entry: dict[str, Any]) -> str:
    """How an association is called here."""
    return f"{entry['namespace']}/{entry['service_account']}"


def listed(api: Any, cluster: str, names: set[str]) -> dict[str, dict[str, Any]]:
    """The cluster's associations among names, each as EKS describes it."""
    with doing(f"list the pod identity associations of cluster {cluster}"):
        entries = found(
            lambda: pages(api, "list_pod_identity_associations", "associations", clusterName=cluster), eks.MISSING
        )
        known = {
            name: entry
            for entry in entries or ()
            if (name := name_of({"namespace": entry["namespace"], "service_account": entry["serviceAccount"]})) in names
        }
        # The list tells ids only; the role is in the description.
        described = together(
            lambda id_=entry["associationId"]: api.describe_pod_identity_association(
                clusterName=cluster, associationId=id_
            )["association"]
            for entry in known.values()
        )
    return dict(zip(known, described, strict=True))


def perform(module: AnsibleAWSModule) -> Result:
    """Look, plan, apply."""
    api, params = client(module, "eks"), module.params
    asked = wanted(params)
    current = listed(api, params["cluster"], set(asked))
    ids = {name: entry["associationId"] for name, entry in current.items()}
    now = {name: {"role_arn": entry["roleArn"]} for name, entry in current.items()}
    changes = eks.listed_changes(KIND, now, asked)
    if not module.check_mode:
        for change in changes:
            _apply(api, params, change, ids)
    return Result(changes=changes, facts={"associations": ids})


def _apply(api: Any, params: dict[str, Any], change: Change, ids: dict[str, str]) -> None:
    cluster, name = params["cluster"], change.name
    with doing(str(change)):
        if change.action == "delete":
            api.delete_pod_identity_association(clusterName=cluster, associationId=ids.pop(name))
        elif change.action == "update":
            api.update_pod_identity_association(
                clusterName=cluster, associationId=ids[name], roleArn=change.after["role_arn"]
            )
        else:
            namespace, _slash, account = name.partition("/")
            answer = eks.once_role_is_known(
                lambda: api.create_pod_identity_association(
                    clusterName=cluster,
                    namespace=namespace,
                    serviceAccount=account,
                    roleArn=change.after["role_arn"],
                    tags={str(key): str(value) for key, value in (params["tags"] or {}).items()},
                )
            )
            ids[name] = answer["association"]["associationId"]


def main() -> None:
    """Ansible's entry point."""
    association = {
        "namespace": {"type": "str", "required": True},
        "service_account": {"type": "str", "required": True},
        "role_arn": {"type": "str"},
    }
    run(
        perform,
        {
            "cluster": {"type": "str", "required": True},
            "associations": {"type": "list", "elements": "dict", "required": True, "options": association},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "tags": {"type": "dict"},
        },
    )


if __name__ == "__main__":
    main()
