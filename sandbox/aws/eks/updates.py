"""UpdateClusterConfig, UpdateClusterVersion, UpdateNodegroupConfig and DescribeUpdate (ministack has none of them).

https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterConfig.html
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from sandbox.aws.eks.clusters import check_version
from sandbox.aws.eks.errors import EksError, invalid_parameter
from sandbox.aws.eks.node_groups import NodeGroups, check_scaling
from sandbox.aws.eks.records import Record, Records

__all__ = ["Updates"]

_TYPES = {
    "resourcesVpcConfig": "VpcConfigUpdate",
    "logging": "LoggingUpdate",
    "accessConfig": "AccessConfigUpdate",
    "upgradePolicy": "UpgradePolicyUpdate",
    "deletionProtection": "DeletionProtectionUpdate",
}


class Updates:
    """Changes records in place; an update is successful at once."""

    def __init__(self, records: Records, node_groups: NodeGroups) -> None:
        self._records = records
        self._node_groups = node_groups
        self._updates: dict[str, Record] = {}

    def cluster_config(self, name: str, request: dict[str, Any]) -> Record:
        """UpdateClusterConfig: one kind of change at a time, and a real one."""
        cluster = self._cluster(name)
        kinds = [key for key in _TYPES if key in request]
        if len(kinds) != 1:
            raise invalid_parameter("Only one type of update can be allowed.")
        kind = kinds[0]
        old = cluster.get(kind)
        new = {**(old or {}), **request[kind]} if isinstance(request[kind], dict) else request[kind]
        if new == old:
            raise invalid_parameter(f"No changes needed for the {kind} provided")
        cluster[kind] = new
        return self._done(_TYPES[kind], {kind: request[kind]}, name)

    def cluster_version(self, name: str, request: dict[str, Any]) -> Record:
        """UpdateClusterVersion: the sandbox has one version only."""
        cluster = self._cluster(name)
        check_version(request.get("version", ""))
        if cluster["version"] == request["version"]:
            raise invalid_parameter(f"Cluster is already at the desired version: {request['version']}")
        cluster["version"] = request["version"]
        return self._done("VersionUpdate", {"Version": request["version"]}, name)

    def node_group_config(self, cluster: str, name: str, request: dict[str, Any]) -> Record:
        """UpdateNodegroupConfig: sizes, labels, taints, update and repair settings."""
        group = self._node_group(cluster, name)
        scaling = {**group["scalingConfig"], **request.get("scalingConfig", {})}
        check_scaling(scaling)
        group["scalingConfig"] = scaling
        labels = request.get("labels", {})
        kept = {key: value for key, value in group["labels"].items() if key not in labels.get("removeLabels", [])}
        group["labels"] = {**kept, **labels.get("addOrUpdateLabels", {})}
        group["taints"] = _with_taints(group["taints"], request.get("taints", {}))
        for key in ("updateConfig", "nodeRepairConfig"):
            if key in request:
                group[key] = request[key]
        group["modifiedAt"] = int(time.time())
        self._node_groups.reconcile()
        asked = {key: value for key, value in request.items() if key != "clientRequestToken"}
        return self._done("ConfigUpdate", asked, f"{cluster}/{name}")

    def node_group_version(self, cluster: str, name: str, request: dict[str, Any]) -> Record:
        """UpdateNodegroupVersion: the sandbox's nodes have one version only; release and template are noted."""
        group = self._node_group(cluster, name)
        if "version" in request:
            check_version(request["version"])
        for key in ("releaseVersion", "launchTemplate"):
            if key in request:
                group[key] = request[key]
        return self._done("VersionUpdate", request, f"{cluster}/{name}")

    def describe(self, owner: str, update_id: str) -> Record:
        """DescribeUpdate."""
        record = self._updates.get(update_id)
        if record is None or record["owner"].split("/")[0] != owner:
            raise EksError(404, "ResourceNotFoundException", f"No update found for ID: {update_id}")
        return _shown(record)

    def list(self, owner: str) -> dict[str, Any]:
        """ListUpdates."""
        return {"updateIds": [key for key, record in self._updates.items() if record["owner"] == owner]}

    def _cluster(self, name: str) -> Record:
        cluster = self._records.cluster(name)
        if cluster is None:
            raise EksError(404, "ResourceNotFoundException", f"No cluster found for name: {name}.")
        return cluster

    def _node_group(self, cluster: str, name: str) -> Record:
        group = self._records.node_group(cluster, name)
        if group is None:
            raise EksError(404, "ResourceNotFoundException", f"No node group found for name: {name}.")
        return group

    def _done(self, kind: str, params: dict[str, Any], owner: str) -> Record:
        update_id = str(uuid.uuid4())
        self._updates[update_id] = {
            "id": update_id,
            "status": "Successful",
            "type": kind,
            "params": [
                {"type": key, "value": value if isinstance(value, str) else json.dumps(value)}
                for key, value in params.items()
            ],
            "createdAt": int(time.time()),
            "errors": [],
            "owner": owner,
        }
        return _shown(self._updates[update_id])


def _shown(record: Record) -> Record:
    return {"update": {key: value for key, value in record.items() if key != "owner"}}


def _with_taints(taints: list[Record], change: dict[str, Any]) -> list[Record]:
    """A taint is known by its key and effect."""
    gone = {(taint["key"], taint["effect"]) for taint in change.get("removeTaints", [])}
    new = {(taint["key"], taint["effect"]): taint for taint in change.get("addOrUpdateTaints", [])}
    kept = {(taint["key"], taint["effect"]): taint for taint in taints}
    return [taint for key, taint in {**kept, **new}.items() if key not in gone]
