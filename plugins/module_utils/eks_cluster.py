# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What takes an EKS cluster from what it is to what it shall be: pure, no call is made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare, differing
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

# Properties that EKS changes in place, by the call that takes them: it takes one kind of change at a time.
# https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
UPDATES: Mapping[str, tuple[str, ...]] = {
    "access": ("authentication_mode",),
    "endpoint": ("endpoint_public_access", "endpoint_private_access", "public_access_cidrs"),
    "network": ("subnet_ids", "security_group_ids"),
    "logging": ("logging",),
    "upgrade policy": ("support_type",),
    "deletion protection": ("deletion_protection",),
    "tags": ("tags",),
    # Last, because it takes longest and everything else holds for the new version as well.
    "version": ("version",),
}
IMMUTABLE = ("role_arn",)
# Only this way: https://docs.aws.amazon.com/eks/latest/userguide/setting-up-access-entries.html
AUTHENTICATION_MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def normalised(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """A cluster of DescribeCluster in the module's own words."""
    vpc = cluster.get("resourcesVpcConfig") or {}
    logs = (cluster.get("logging") or {}).get("clusterLogging") or []
    return {
        "version": cluster.get("version"),
        "role_arn": cluster.get("roleArn"),
        "subnet_ids": sorted(vpc.get("subnetIds") or ()),
        "security_group_ids": sorted(vpc.get("securityGroupIds") or ()),
        "endpoint_public_access": vpc.get("endpointPublicAccess", True),
        "endpoint_private_access": vpc.get("endpointPrivateAccess", False),
        "public_access_cidrs": sorted(vpc.get("publicAccessCidrs") or ()),
        "authentication_mode": (cluster.get("accessConfig") or {}).get("authenticationMode"),
        "logging": sorted(kind for entry in logs if entry.get("enabled") for kind in entry.get("types") or ()),
        "support_type": (cluster.get("upgradePolicy") or {}).get("supportType"),
        "deletion_protection": bool(cluster.get("deletionProtection", False)),
        "tags": {key: value for key, value in (cluster.get("tags") or {}).items() if not key.startswith("aws:")},
    }


def plan(name: str, current: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[Change]:
    """The changes, in the order in which to make them.

    current: normalised(), or None. wanted: the same keys, those that are None left out; None for absent.
    Raises BadInput for what EKS can't change.
    """
    if current is None or wanted is None:
        return compare("cluster", name, current, wanted)
    for key in IMMUTABLE:
        if key in wanted and wanted[key] != current[key]:
            raise BadInput(
                f"{key} of cluster {name} can't be changed: it is {current[key]}, asked is {wanted[key]};"
                " make a new cluster or keep the old value"
            )
    changes = []
    for part, keys in UPDATES.items():
        before, after = differing(current, {key: wanted[key] for key in keys if key in wanted})
        if after:
            _check(name, before, after)
            changes.append(Change("update", "cluster", f"{name} {part}", before, after, part))
    return changes


def _check(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    if "authentication_mode" in after:
        old, new = before["authentication_mode"], after["authentication_mode"]
        if old in AUTHENTICATION_MODES and AUTHENTICATION_MODES.index(new) < AUTHENTICATION_MODES.index(old):
            raise BadInput(f"authentication_mode of cluster {name} can't go back from {old} to {new}")
    if "version" in after:
        old, new = _minor(before["version"]), _minor(after["version"])
        if new < old:
            raise BadInput(f"cluster {name} can't go back from Kubernetes {before['version']} to {after['version']}")
        if new[0] != old[0] or new[1] - old[1] > 1:
            raise BadInput(
                f"cluster {name} has Kubernetes {before['version']}; EKS goes one minor version at a time,"
                f" not at once to {after['version']}"
            )


def _minor(version: str) -> tuple[int, int]:
    major, _dot, minor = version.partition(".")
    return int(major), int(minor)


def create_arguments(name: str, wanted: Mapping[str, Any], bootstrap_admin: bool) -> dict[str, Any]:
    """What CreateCluster takes."""
    vpc = {
        "subnetIds": wanted.get("subnet_ids"),
        "securityGroupIds": wanted.get("security_group_ids"),
        **endpoint_arguments(wanted),
    }
    access = {
        "authenticationMode": wanted.get("authentication_mode"),
        "bootstrapClusterCreatorAdminPermissions": bootstrap_admin,
    }
    arguments = {
        "name": name,
        "version": wanted.get("version"),
        "roleArn": wanted.get("role_arn"),
        "resourcesVpcConfig": _given(vpc),
        "accessConfig": _given(access),
        "tags": wanted.get("tags") or None,
        "upgradePolicy": {"supportType": wanted["support_type"]} if wanted.get("support_type") else None,
        "deletionProtection": wanted.get("deletion_protection") or None,
        "logging": logging_arguments(wanted["logging"]) if wanted.get("logging") else None,
    }
    return _given(arguments)


def endpoint_arguments(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The part of resourcesVpcConfig that says from where the API server can be reached."""
    return _given(
        {
            "endpointPublicAccess": wanted.get("endpoint_public_access"),
            "endpointPrivateAccess": wanted.get("endpoint_private_access"),
            "publicAccessCidrs": wanted.get("public_access_cidrs"),
        }
    )


def logging_arguments(kinds: list[str]) -> dict[str, Any]:
    """Logging with exactly these kinds on."""
    off = [kind for kind in LOG_TYPES if kind not in kinds]
    entries = [{"types": list(kinds), "enabled": True}, {"types": off, "enabled": False}]
    return {"clusterLogging": [entry for entry in entries if entry["types"]]}


def update_arguments(part: str, after: Mapping[str, Any]) -> dict[str, Any]:
    """What UpdateClusterConfig takes for one part of UPDATES (tags and version have calls of their own)."""
    if part == "access":
        return {"accessConfig": {"authenticationMode": after["authentication_mode"]}}
    if part == "endpoint":
        return {"resourcesVpcConfig": endpoint_arguments(after)}
    if part == "network":
        network = {"subnetIds": after.get("subnet_ids"), "securityGroupIds": after.get("security_group_ids")}
        return {"resourcesVpcConfig": _given(network)}
    if part == "logging":
        return {"logging": logging_arguments(after["logging"])}
    if part == "deletion protection":
        return {"deletionProtection": after["deletion_protection"]}
    return {"upgradePolicy": {"supportType": after["support_type"]}}


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if value is not None}
