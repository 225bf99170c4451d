"""What a pod's last told status means for a kubelet that finds none of its processes: it was started anew."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.kubernetes.kubelet.objects import Json
from sandbox.kubernetes.kubelet.order import Role, containers, restarts

__all__ = ["Recovered", "recover"]

# Kubelet's own words for a container that it cannot find any more.
_LOST = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
}


@dataclass(frozen=True)
class Recovered:
    """What is known of a container's earlier runs.

    Attributes:
        runs: how often it was started.
        last: the state of its latest run.
        done: whether it is not started again.
    """

    runs: int
    last: Json
    done: bool


def recover(spec: Json, status: Json) -> dict[str, Recovered]:
    """By name, the containers of a pod that have run; those that are missing never did.

    Args:
        spec: the pod's.
        status: the pod's, as the API server has it.
    """
    told = {
        one["name"]: one
        for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    }
    found = {}
    for role, container in containers(spec):
        one = told.get(container["name"])
        if not one or not one.get("containerID"):
            continue
        state = one.get("state") or {}
        ended = state.get("terminated") or (one.get("lastState") or {}).get("terminated")
        if "running" in state or ended is None:
            ended = {**_LOST, **(state.get("running") or {})}
        again = restarts(spec, role, container, int(ended["exitCode"]))
        # Init containers run again with a new sandbox of the pod, as after a reboot of a node; so do sidecars.
        done = not again and (role is Role.MAIN or int(ended["exitCode"]) != 0)
        found[container["name"]] = Recovered(int(one.get("restartCount") or 0) + 1, {"terminated": ended}, done)
    return found
