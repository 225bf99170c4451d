"""Which config maps and secrets a pod spec names, so that a change of one reaches the pods that use it."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["CONFIG_MAP", "SECRET", "references"]

CONFIG_MAP = "configMap"
SECRET = "secret"


def references(spec: Json) -> frozenset[tuple[str, str]]:
    """Kind and name of each config map and secret in volumes and environments."""
    return frozenset((kind, name) for kind, name in _found(spec) if name)


def _found(spec: Json) -> Iterator[tuple[str, str]]:
    for volume in spec.get("volumes") or []:
        sources = (volume.get("projected") or {}).get("sources") or [volume]
        for source in sources:
            yield CONFIG_MAP, (source.get("configMap") or {}).get("name", "")
            secret = source.get("secret") or {}
            yield SECRET, secret.get("secretName") or secret.get("name", "")
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        for source in container.get("envFrom") or []:
            yield CONFIG_MAP, (source.get("configMapRef") or {}).get("name", "")
            yield SECRET, (source.get("secretRef") or {}).get("name", "")
        for entry in container.get("env") or []:
            origin = entry.get("valueFrom") or {}
            yield CONFIG_MAP, (origin.get("configMapKeyRef") or {}).get("name", "")
            yield SECRET, (origin.get("secretKeyRef") or {}).get("name", "")
