"""Prices of instance types: not the price list, but near enough (about 15 %) to put types in its order."""

from __future__ import annotations

import hashlib

from moto.ec2.models.instance_types import INSTANCE_TYPES

__all__ = ["on_demand", "spot"]

# US dollars an hour in us-east-1, fitted to the public prices of m5.large, g4dn.xlarge, g5.xlarge and g6.xlarge.
_VCPU = 0.035
_GIB = 0.0045
_GPU = {"T4": 0.35, "T4g": 0.3, "L4": 0.6, "A10G": 0.8, "L40S": 1.6, "V100": 2.6, "A100": 3.5, "H100": 7.0}
_OTHER_GPU = 9.0
# A Spot price is this share of the On-demand price, differing by type and zone as it does on AWS.
_SPOT_FLOOR, _SPOT_SPREAD = 0.30, 0.15


def on_demand(instance_type: str) -> float:
    """US dollars an hour; a type that moto doesn't know costs as much as the dearest."""
    info = INSTANCE_TYPES.get(instance_type)
    if info is None:
        return 100.0
    gpus = sum(_GPU.get(gpu["Name"], _OTHER_GPU) * gpu["Count"] for gpu in info.get("GpuInfo", {}).get("Gpus", []))
    vcpus, mib = info["VCpuInfo"]["DefaultVCpus"], info["MemoryInfo"]["SizeInMiB"]
    return float(vcpus * _VCPU + mib / 1024 * _GIB + gpus)


def spot(instance_type: str, zone: str) -> float:
    """US dollars an hour; the same in every run."""
    digest = hashlib.sha256(f"{instance_type} {zone}".encode()).digest()
    return on_demand(instance_type) * (_SPOT_FLOOR + _SPOT_SPREAD * digest[0] / 255)
