"""What Kubernetes objects say about a task's way, as facts: pure functions of the objects as the API gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sandbox.demo.timeline import Fact

__all__ = ["STUCK", "deployment", "node", "node_claim", "pod", "stuck_reason"]

Object = dict[str, Any]
Facts = Callable[[Object], Iterator[Fact]]

# Reasons of a waiting container that do not go away by themselves.
STUCK = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)

_CAPACITY = "karpenter.sh/capacity-type"
_TYPE = "node.kubernetes.io/instance-type"
_ZONE = "topology.kubernetes.io/zone"


def deployment(item: Object) -> Iterator[Fact]:
    """How many replicas a runtime is to have."""
    name, replicas = _name(item), item["spec"].get("replicas", 0)
    yield Fact(("deployment", name), "scale", f"{name}: {replicas} {'replica' if replicas == 1 else 'replicas'}")


def node_claim(item: Object) -> Iterator[Fact]:
    """Karpenter's wish for a node, and the instance that it got."""
    name = _name(item)
    yield Fact(("claim", name, "created"), "claim", f"{name} created")
    if _condition(item, "Launched"):
        labels = item["metadata"].get("labels", {})
        instance = str(item.get("status", {}).get("providerID", "")).rpartition("/")[2]
        found = [instance, labels.get(_TYPE, ""), labels.get(_CAPACITY, ""), labels.get(_ZONE, "")]
        yield Fact(("claim", name, "launched"), "claim", f"{name} launched: {' '.join(filter(None, found))}")


def node(item: Object) -> Iterator[Fact]:
    """A machine in the cluster."""
    name = _name(item)
    yield Fact(("node", name, "joined"), "node", f"{name} joined")
    if _condition(item, "Ready"):
        yield Fact(("node", name, "ready"), "node", f"{name} ready")


def pod(item: Object) -> Iterator[Fact]:
    """A pod from its place on a node to readiness, its containers each for itself."""
    name, status = _name(item), item.get("status", {})
    if item["metadata"].get("deletionTimestamp"):
        yield Fact(("pod", name, "ending"), "pod", f"{name} is ending")
        return
    if host := item["spec"].get("nodeName"):
        yield Fact(("pod", name, "bound"), "pod", f"{name} bound to {host}")
    sidecars = {
        entry["name"] for entry in item["spec"].get("initContainers", ()) if entry.get("restartPolicy") == "Always"
    }
    for container in _containers(status):
        label = container["name"]
        if "running" in container.get("state", {}):
            yield Fact(("pod", name, label, "running"), "pod", f"{name} {label} started")
        # `started` means that the startup probe has passed.
        if label in sidecars and container.get("started"):
            yield Fact(("pod", name, label, "serving"), label, f"{name} {label} ready")
    if reason := stuck_reason(item):
        yield Fact(("pod", name, "stuck"), "pod", f"{name} {reason}")
    if _condition(item, "Ready"):
        yield Fact(("pod", name, "ready"), "pod", f"{name} ready")


def stuck_reason(item: Object) -> str | None:
    """Why a pod cannot run, if there is a reason that does not go away by itself."""
    for container in _containers(item.get("status", {})):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in STUCK:
            message = f" ({waiting['message']})" if waiting.get("message") else ""
            return f"{container['name']} waits with {waiting['reason']}{message}"
    return None


def _containers(status: Object) -> list[Object]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _condition(item: Object, kind: str) -> bool:
    conditions = item.get("status", {}).get("conditions") or ()
    return any(entry["type"] == kind and entry["status"] == "True" for entry in conditions)
