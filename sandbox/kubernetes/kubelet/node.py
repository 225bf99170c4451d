"""A node: what the API server is told of an instance; the objects are pure, `nodes` sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.kubernetes import versions
from sandbox.kubernetes.kubelet.capacity import Size
from sandbox.kubernetes.kubelet.objects import Json, now, now_micro
from sandbox.kubernetes.kubelet.registry import Pulled

__all__ = ["KARPENTER_TAG", "KUBELET_PORT", "LEASE_S", "MANAGED_TAG", "Node", "NodeGroup", "lease", "node_object"]

KARPENTER_TAG = "karpenter.sh/nodepool"
MANAGED_TAG = "eks:nodegroup-name"
KUBELET_PORT = 10250
# Kubelet's lease duration; it is renewed four times in that time.
LEASE_S = 40

_UNREGISTERED = {"key": "karpenter.sh/unregistered", "effect": "NoExecute"}
# EKS' words for the effects (https://docs.aws.amazon.com/eks/latest/APIReference/API_Taint.html).
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


@dataclass(frozen=True)
class Node:
    """A node that has joined.

    Attributes:
        name: the instance's private DNS name.
        instance: its instance id.
        address: in the API's form.
        allocatable: what pods can have, by resource.
        images: on its disk, by full name.
    """

    name: str
    instance: str
    address: str
    allocatable: Mapping[str, str]
    images: dict[str, Pulled] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeGroup:
    """What a managed node group gives its nodes."""

    name: str
    capacity_type: str = "ON_DEMAND"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()


def node_object(instance: Mapping[str, Any], size: Size, address: str, os_image: str, group: NodeGroup | None) -> Json:
    """The Node of an instance, with its status.

    Args:
        instance: as DescribeInstances has it.
        size: of its type.
        address: in the API's form.
        os_image: name of its AMI.
        group: its node group; None for an instance of Karpenter's.
    """
    zone, name = instance["Placement"]["AvailabilityZone"], instance["PrivateDnsName"]
    architecture = {"arm64": "arm64"}.get(instance.get("Architecture", ""), "amd64")
    labels = {
        "kubernetes.io/arch": architecture,
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": instance["InstanceType"],
        "topology.kubernetes.io/region": zone[:-1],
        "topology.kubernetes.io/zone": zone,
    }
    spec: Json = {"providerID": f"aws:///{zone}/{instance['InstanceId']}"}
    if group:
        labels |= {
            "eks.amazonaws.com/nodegroup": group.name,
            "eks.amazonaws.com/nodegroup-image": instance.get("ImageId", ""),
            "eks.amazonaws.com/capacityType": group.capacity_type,
            **group.labels,
        }
        spec["taints"] = [_taint(taint) for taint in group.taints]
    else:
        # Karpenter takes it away when it has given the node the labels and taints of its NodeClaim.
        spec["taints"] = [_UNREGISTERED]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "InternalDNS", "address": name},
                {"type": "Hostname", "address": name},
            ],
            "capacity": dict(size.capacity),
            "allocatable": dict(size.allocatable),
            "conditions": _conditions(),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": {
                "architecture": architecture,
                "bootID": instance["InstanceId"],
                "containerRuntimeVersion": "process://1",
                "kernelVersion": "process",
                "kubeProxyVersion": "",
                "kubeletVersion": f"v{versions.KUBERNETES}",
                "machineID": instance["InstanceId"],
                "operatingSystem": "linux",
                "osImage": os_image,
                "systemUUID": instance["InstanceId"],
            },
        },
    }


def _conditions() -> list[Json]:
    def one(kind: str, status: str, reason: str, message: str) -> Json:
        times = {"lastHeartbeatTime": now(), "lastTransitionTime": now()}
        return {"type": kind, "status": status, "reason": reason, "message": message, **times}

    return [
        one("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        one("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        one("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        one("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]


def _taint(taint: Mapping[str, str]) -> Json:
    found = {"key": taint["key"], "effect": _EFFECTS.get(taint["effect"], taint["effect"])}
    return {**found, "value": taint["value"]} if taint.get("value") else found


def lease(name: str, uid: str) -> Json:
    """The heartbeat of a node, owned by its Node object so that it goes with it."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, "renewTime": now_micro()},
    }
