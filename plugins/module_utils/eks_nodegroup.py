# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What takes a managed node group from what it is to what it shall be: pure, no call is made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare, differing
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

# https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html and API_UpdateNodegroupVersion.html
UPDATES: Mapping[str, tuple[str, ...]] = {
    "configuration": ("scaling", "labels", "taints", "max_unavailable"),
    "tags": ("tags",),
    "version": ("version", "release_version"),
}
IMMUTABLE = ("node_role", "subnet_ids", "instance_types", "ami_type", "capacity_type", "disk_size")

# The API spells a taint's effect otherwise than Kubernetes does.
_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}
_KUBERNETES = {theirs: ours for ours, theirs in _EFFECTS.items()}


def normalised(group: Mapping[str, Any]) -> dict[str, Any]:
    """A node group of DescribeNodegroup in the module's own words."""
    scaling = group.get("scalingConfig") or {}
    return {
        "node_role": group.get("nodeRole"),
        "subnet_ids": sorted(group.get("subnets") or ()),
        "instance_types": list(group.get("instanceTypes") or ()),
        "ami_type": group.get("amiType"),
        "capacity_type": group.get("capacityType"),
        "disk_size": group.get("diskSize"),
        "scaling": {
            "min": scaling.get("minSize"),
            "desired": scaling.get("desiredSize"),
            "max": scaling.get("maxSize"),
        },
        "labels": dict(group.get("labels") or {}),
        "taints": taints(
            {"key": taint["key"], "value": taint.get("value") or "", "effect": _KUBERNETES[taint["effect"]]}
            for taint in group.get("taints") or ()
        ),
        "max_unavailable": (group.get("updateConfig") or {}).get("maxUnavailable"),
        "version": group.get("version"),
        "release_version": group.get("releaseVersion"),
        "tags": {key: value for key, value in (group.get("tags") or {}).items() if not key.startswith("aws:")},
    }


def taints(entries: Any) -> list[dict[str, str]]:
    """Taints in one fixed order, so that lists compare."""
    return sorted(
        ({"key": entry["key"], "value": entry.get("value") or "", "effect": entry["effect"]} for entry in entries),
        key=lambda entry: (entry["key"], entry["effect"]),
    )


def plan(name: str, current: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[Change]:
    """The changes, in the order in which to make them; BadInput for what EKS can't change in place."""
    if current is None or wanted is None:
        return compare("node group", name, current, wanted)
    for key in IMMUTABLE:
        if key in wanted and wanted[key] != current[key]:
            raise BadInput(
                f"{key} of node group {name} can't be changed: it is {current[key]}, asked is {wanted[key]};"
                " make a second group under another name, then delete this one"
            )
    changes = []
    for part, keys in UPDATES.items():
        before, after = differing(current, {key: wanted[key] for key in keys if key in wanted})
        if after:
            changes.append(Change("update", "node group", f"{name} {part}", before, after, part))
    return changes


def check_scaling(name: str, scaling: Mapping[str, int]) -> None:
    """Raise BadInput unless min <= desired <= max."""
    if not scaling["min"] <= scaling["desired"] <= scaling["max"]:
        raise BadInput(
            f"scaling of node group {name} does not hold:"
            f" min {scaling['min']} <= desired {scaling['desired']} <= max {scaling['max']}"
        )


def create_arguments(cluster: str, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What CreateNodegroup takes."""
    arguments = {
        "clusterName": cluster,
        "nodegroupName": name,
        "nodeRole": wanted.get("node_role"),
        "subnets": wanted.get("subnet_ids"),
        "instanceTypes": wanted.get("instance_types"),
        "amiType": wanted.get("ami_type"),
        "capacityType": wanted.get("capacity_type"),
        "diskSize": wanted.get("disk_size"),
        "scalingConfig": _scaling(wanted["scaling"]) if wanted.get("scaling") else None,
        "labels": wanted.get("labels") or None,
        "taints": [_taint(entry) for entry in wanted["taints"]] if wanted.get("taints") else None,
        "updateConfig": {"maxUnavailable": wanted["max_unavailable"]} if wanted.get("max_unavailable") else None,
        "version": wanted.get("version"),
        "releaseVersion": wanted.get("release_version"),
        "tags": wanted.get("tags") or None,
    }
    return {key: value for key, value in arguments.items() if value is not None}


def update_arguments(change: Change) -> dict[str, Any]:
    """What UpdateNodegroupConfig or UpdateNodegroupVersion takes beside the names."""
    before, after = change.before, change.after
    if change.data == "version":
        given = {"version": after.get("version"), "releaseVersion": after.get("release_version")}
        return {key: value for key, value in given.items() if value is not None}
    arguments: dict[str, Any] = {}
    if "scaling" in after:
        arguments["scalingConfig"] = _scaling(after["scaling"])
    if "labels" in after:
        gone = sorted(set(before["labels"]) - set(after["labels"]))
        arguments["labels"] = {"addOrUpdateLabels": after["labels"], "removeLabels": gone}
    if "taints" in after:
        kept = {(taint["key"], taint["effect"]) for taint in after["taints"]}
        gone_taints = [taint for taint in before["taints"] if (taint["key"], taint["effect"]) not in kept]
        arguments["taints"] = {
            "addOrUpdateTaints": [_taint(taint) for taint in after["taints"]],
            "removeTaints": [_taint(taint) for taint in gone_taints],
        }
    if "max_unavailable" in after:
        arguments["updateConfig"] = {"maxUnavailable": after["max_unavailable"]}
    return arguments


def _scaling(scaling: Mapping[str, int]) -> dict[str, int]:
    return {"minSize": scaling["min"], "desiredSize": scaling["desired"], "maxSize": scaling["max"]}


def _taint(entry: Mapping[str, str]) -> dict[str, str]:
    return {"key": entry["key"], "value": entry["value"], "effect": _EFFECTS[entry["effect"]]}
