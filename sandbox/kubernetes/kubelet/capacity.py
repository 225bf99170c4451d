"""What a node of an instance type has and what pods can have of it. Pure.

The reservations are those of Amazon's EKS images, Bottlerocket's included:
https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html and
https://github.com/bottlerocket-os/bottlerocket-core-kit (kube-reserved: 11 MiB per pod and 255 MiB; 100 MiB eviction).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Size", "size"]

_MIB = 2**20
# A kernel sees less than the type's memory; Karpenter assumes the same share by default (VM_MEMORY_OVERHEAD_PERCENT).
_VISIBLE = 0.925
_PER_POD_MIB = 11
_BASE_MIB = 255
_EVICTION_MIB = 100
_DISK_GIB = 80
# Thousandths of a core that are kept back of the 1st, 2nd, 3rd and 4th, and each further core.
_CPU_KEPT = (60.0, 10.0, 5.0, 5.0)
_CPU_KEPT_FURTHER = 2.5
_GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Size:
    """What a node has, by resource."""

    capacity: Mapping[str, str]
    allocatable: Mapping[str, str]


def size(kind: Mapping[str, Any], *, gpus: bool = True) -> Size:
    """The size of a node.

    Args:
        kind: its type as DescribeInstanceTypes has it.
        gpus: whether its image brings NVIDIA's driver and device plugin.
    """
    cores = int(kind["VCpuInfo"]["DefaultVCpus"])
    memory = int(kind["MemoryInfo"]["SizeInMiB"] * _VISIBLE)
    network = kind.get("NetworkInfo") or {}
    # https://github.com/awslabs/amazon-eks-ami: without prefix delegation, two pods use the host's network.
    pods = int(network.get("MaximumNetworkInterfaces", 4)) * (int(network.get("Ipv4AddressesPerInterface", 15)) - 1) + 2
    capacity = {
        "cpu": str(cores),
        "memory": f"{memory}Mi",
        "pods": str(pods),
        "ephemeral-storage": f"{_DISK_GIB}Gi",
    }
    if gpus and (count := _nvidia(kind)):
        capacity[_GPU] = str(count)
    kept = sum(_CPU_KEPT[:cores]) + max(0, cores - len(_CPU_KEPT)) * _CPU_KEPT_FURTHER
    reserved = _PER_POD_MIB * pods + _BASE_MIB + _EVICTION_MIB
    allocatable = {**capacity, "cpu": f"{int(cores * 1000 - kept)}m", "memory": f"{max(0, memory - reserved)}Mi"}
    return Size(capacity, allocatable)


def _nvidia(kind: Mapping[str, Any]) -> int:
    gpus = (kind.get("GpuInfo") or {}).get("Gpus") or []
    return sum(int(gpu.get("Count", 0)) for gpu in gpus if gpu.get("Manufacturer", "NVIDIA").upper() == "NVIDIA")
