"""What a pod's containers can ask about their pod: fieldRef and resourceFieldRef (the downward API).

https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sandbox.kubernetes.kubelet import quantity
from sandbox.kubernetes.kubelet.addresses import local
from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.objects import Json
from sandbox.kubernetes.kubelet.order import containers

__all__ = ["Facts"]

_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


@dataclass
class Facts:
    """A pod and the place where it runs.

    Attributes:
        obj: the pod, as the API server last told it.
        spec: its spec, with what EKS injects.
        address: the pod's, in the API's form.
        node_address: its node's, in the API's form.
        allocatable: what the node offers, by resource.
    """

    obj: Json
    spec: Json
    address: str
    node_address: str
    allocatable: Mapping[str, str]

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return str(self.obj["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.obj["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self.obj["metadata"]["uid"])

    @property
    def service_account(self) -> str:
        """The name of its service account."""
        return str(self.spec.get("serviceAccountName") or "default")

    def field(self, path: str) -> str:
        """A field of the pod; addresses are those that its processes can use.

        Raises:
            Blocked: there is no such field.
        """
        metadata = self.obj["metadata"]
        if keyed := _KEYED.fullmatch(path):
            return str((metadata.get(keyed[1]) or {}).get(keyed[2], ""))
        if path in ("metadata.labels", "metadata.annotations"):
            pairs = metadata.get(path.partition(".")[2]) or {}
            return "\n".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(pairs.items()))
        known = {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "metadata.uid": self.uid,
            "spec.nodeName": str(self.spec.get("nodeName", "")),
            "spec.serviceAccountName": self.service_account,
            "status.podIP": local(self.address),
            "status.podIPs": local(self.address),
            "status.hostIP": local(self.node_address),
            "status.hostIPs": local(self.node_address),
        }
        if path not in known:
            raise Blocked(f"unsupported fieldPath: {path}", reason="CreateContainerConfigError")
        return known[path]

    def resource(self, ref: Json, container: Json | None) -> str:
        """A request or a limit of a container; a limit that is not set is what the node offers.

        Raises:
            Blocked: there is no such container or resource.
        """
        if named := ref.get("containerName"):
            container = next((one for _ignored, one in containers(self.spec) if one["name"] == named), None)
        if container is None:
            raise Blocked(f"container {named} not found", reason="CreateContainerConfigError")
        kind, _ignored, resource = str(ref["resource"]).partition(".")
        resources = container.get("resources") or {}
        value = (resources.get(kind) or {}).get(resource)
        if value is None:
            # A request that is not set is its limit: the API server fills that in; a limit falls back to the node's.
            value = (resources.get("limits") or {}).get(resource)
        if value is None and kind == "limits":
            value = self.allocatable.get(resource)
        try:
            return str(
                quantity.in_units(quantity.parse(value) if value is not None else Decimal(0), ref.get("divisor"))
            )
        except ValueError as error:
            raise Blocked(str(error), reason="CreateContainerConfigError") from error
