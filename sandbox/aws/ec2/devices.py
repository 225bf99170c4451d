"""Block devices of a launch: the image's, changed by the launch template's, with throughput and IOPS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["merged", "set_performance"]

Mapped = Mapping[str, Any]


def merged(image: Sequence[Mapped], template: Sequence[Mapped]) -> list[dict[str, Any]]:
    """The image's mappings with those of the template over them, by device name, as RunInstances does it."""
    devices: dict[str, dict[str, Any]] = {}
    for mapping in (*image, *template):
        name = mapping["DeviceName"]
        volume = {**devices.get(name, {}).get("Ebs", {}), **mapping.get("Ebs", {})}
        devices[name] = {**mapping, "Ebs": _numbers(volume)}
    return [mapping for mapping in devices.values() if "NoDevice" not in mapping]


def set_performance(backend: Any, instance: Any, mappings: Sequence[Mapped]) -> None:
    """Note on the instance's volumes what was asked for."""
    for mapping in mappings:
        device = instance.block_device_mapping.get(mapping["DeviceName"])
        if device is None:
            continue
        volume = backend.volumes[device.volume_id]
        for key, attribute in (("Throughput", "throughput"), ("Iops", "iops")):
            if mapping["Ebs"].get(key):
                setattr(volume, attribute, mapping["Ebs"][key])


def _numbers(volume: Mapped) -> dict[str, Any]:
    """EC2's query protocol carries text; moto wants numbers and truth values as such."""
    values: dict[str, Any] = dict(volume)
    for key in ("VolumeSize", "Iops", "Throughput"):
        if values.get(key) is not None:
            values[key] = int(values[key])
    for key in ("DeleteOnTermination", "Encrypted"):
        if isinstance(values.get(key), str):
            values[key] = values[key].lower() == "true"
    return values
