"""In which order a pod's containers start, stop and start again; the rules are Kubernetes' for native sidecars.

https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Role", "Step", "containers", "restarts", "start_steps", "stop_waves"]


class Role(Enum):
    """What a container is to its pod."""

    INIT = "init"
    SIDECAR = "sidecar"
    MAIN = "main"


@dataclass(frozen=True)
class Step:
    """Containers that start together; the next step starts when an INIT has ended well, a SIDECAR has started."""

    role: Role
    names: tuple[str, ...]


def containers(spec: Json) -> list[tuple[Role, Json]]:
    """Every container of a pod spec with its role, in the order of the spec."""
    inits = [
        (Role.SIDECAR if one.get("restartPolicy") == "Always" else Role.INIT, one)
        for one in spec.get("initContainers") or []
    ]
    return inits + [(Role.MAIN, one) for one in spec["containers"]]


def start_steps(spec: Json) -> list[Step]:
    """Init containers and sidecars one by one, then all main containers at once."""
    every = containers(spec)
    steps = [Step(role, (one["name"],)) for role, one in every if role is not Role.MAIN]
    return [*steps, Step(Role.MAIN, tuple(one["name"] for role, one in every if role is Role.MAIN))]


def stop_waves(spec: Json) -> list[tuple[str, ...]]:
    """Names that get SIGTERM together; a wave waits until the one before has ended: sidecars last, in reverse order."""
    every = containers(spec)
    first = tuple(one["name"] for role, one in every if role is not Role.SIDECAR)
    return [first, *((one["name"],) for role, one in reversed(every) if role is Role.SIDECAR)]


def restarts(spec: Json, role: Role, container: Json, code: int) -> bool:
    """Whether a container that ended with this exit code is started again."""
    policy = container.get("restartPolicy") or spec.get("restartPolicy", "Always")
    if role is Role.INIT:
        return code != 0 and policy != "Never"
    return policy == "Always" or (policy == "OnFailure" and code != 0)
