"""A pod's status from what its containers do; pure, after kubelet's own rules (kubelet_pods.go, status/generate.go)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.kubernetes.kubelet.objects import Json
from sandbox.kubernetes.kubelet.order import Role, restarts

__all__ = ["PodView", "View", "phase", "pod_status"]


@dataclass(frozen=True, kw_only=True)
class View:
    """What a container is doing.

    Attributes:
        spec: of the container.
        role: what it is to its pod.
        state: the API's ContainerState: one of waiting, running, terminated; empty if it was not tried yet.
        last: the state of its run before, if that has ended.
        ready: whether it may get requests; for an init container: whether it has ended well.
        started: whether its startup probe has succeeded, or it runs and has none.
        restart_count: how often it was started again.
        image_id: of the image it runs.
        container_id: of its present or latest run.
    """

    spec: Json
    role: Role
    state: Json
    last: Json
    ready: bool
    started: bool
    restart_count: int
    image_id: str
    container_id: str


@dataclass(frozen=True, kw_only=True)
class PodView:
    """A pod as a whole.

    Attributes:
        spec: of the pod.
        containers: in the order of the spec.
        address: the pod's.
        node_address: its node's.
        begun: when its node took it.
        over: whether it is ended for good, so that nothing is restarted.
    """

    spec: Json
    containers: Sequence[View]
    address: str
    node_address: str
    begun: str
    over: bool = False


def pod_status(pod: PodView, before: Sequence[Json], moment: str) -> Json:
    """The status to send.

    Args:
        pod: what it says.
        before: the conditions sent before; one that has not flipped keeps its time.
        moment: the time of those that have.
    """
    word = phase(pod)
    mains = [_container_status(view, pod) for view in pod.containers if view.role is Role.MAIN]
    inits = [_container_status(view, pod) for view in pod.containers if view.role is not Role.MAIN]
    status: Json = {
        "phase": word,
        "conditions": _timed(_conditions(pod, word), before, moment),
        "hostIP": pod.node_address,
        "hostIPs": [{"$patch": "replace"}, {"ip": pod.node_address}],
        "podIP": pod.address,
        "podIPs": [{"$patch": "replace"}, {"ip": pod.address}],
        "startTime": pod.begun,
        "containerStatuses": mains,
    }
    if inits:
        status["initContainerStatuses"] = inits
    return status


def phase(pod: PodView) -> str:
    """Pending, Running, Succeeded or Failed."""
    inits = [view for view in pod.containers if view.role is Role.INIT]
    sidecars = [view for view in pod.containers if view.role is Role.SIDECAR]
    mains = [view for view in pod.containers if view.role is Role.MAIN]
    if any(_code(view) and not _comes_back(view, pod) for view in inits):
        return "Failed"
    begun = any("running" in view.state or _ended(view) for view in mains)
    if not begun and any(not _initialized(view) for view in [*inits, *sidecars]):
        return "Pending"
    if any(not _ended(view) and "running" not in view.state for view in mains):
        return "Pending"
    if any("running" in view.state for view in [*mains, *sidecars]):
        return "Running"
    if not pod.over and any(_comes_back(view, pod) for view in mains):
        return "Running"
    good = all("terminated" in view.state and _code(view) == 0 for view in mains)
    return "Succeeded" if good else "Failed"


def _ended(view: View) -> bool:
    """Whether its latest run has ended (it may be waiting for the next)."""
    return "terminated" in view.state or ("waiting" in view.state and "terminated" in view.last)


def _code(view: View) -> int | None:
    """The exit code of the latest run that has ended."""
    if "running" in view.state:
        return None
    ended = view.state.get("terminated") or view.last.get("terminated")
    return int(ended["exitCode"]) if ended else None


def _comes_back(view: View, pod: PodView) -> bool:
    code = _code(view)
    return code is not None and not pod.over and restarts(pod.spec, view.role, view.spec, code)


def _initialized(view: View) -> bool:
    return view.started if view.role is Role.SIDECAR else view.ready


def _container_status(view: View, pod: PodView) -> Json:
    waits = "PodInitializing" if any(one.role is not Role.MAIN for one in pod.containers) else "ContainerCreating"
    status: Json = {
        "name": view.spec["name"],
        "image": view.spec["image"],
        "imageID": view.image_id,
        "state": view.state or {"waiting": {"reason": waits}},
        "lastState": view.last,
        "ready": view.ready,
        "started": view.started,
        "restartCount": view.restart_count,
    }
    if view.container_id:
        status["containerID"] = view.container_id
    return status


def _conditions(pod: PodView, word: str) -> list[Json]:
    completed = {"reason": "PodCompleted"} if word == "Succeeded" else {}
    waiting = [view for view in pod.containers if view.role is not Role.MAIN and not _initialized(view)]
    begun = any("running" in view.state or _ended(view) for view in pod.containers if view.role is Role.MAIN)
    if not waiting or begun or completed:
        initialized: Json = {"type": "Initialized", "status": "True", **completed}
    else:
        initialized = _false("Initialized", "ContainersNotInitialized", "containers with incomplete status", waiting)
    unready = [view for view in pod.containers if view.role is not Role.INIT and not view.ready]
    if word in ("Succeeded", "Failed"):
        ready: Json = {"status": "False", "reason": "PodCompleted" if completed else "PodFailed"}
    elif unready:
        ready = _false("", "ContainersNotReady", "containers with unready status", unready)
    else:
        ready = {"status": "True"}
    return [
        initialized,
        {"type": "PodReadyToStartContainers", "status": str(word not in ("Succeeded", "Failed"))},
        {**ready, "type": "ContainersReady"},
        {**ready, "type": "Ready"},
    ]


def _false(kind: str, reason: str, what: str, views: Sequence[View]) -> Json:
    names = " ".join(view.spec["name"] for view in views)
    return {"type": kind, "status": "False", "reason": reason, "message": f"{what}: [{names}]"}


def _timed(conditions: Sequence[Json], before: Sequence[Json], moment: str) -> list[Json]:
    times = {(one["type"], one["status"]): one["lastTransitionTime"] for one in before}
    return [
        # A condition that was told without reason and message must lose the older ones.
        {"reason": None, "message": None, **one, "lastTransitionTime": times.get((one["type"], one["status"]), moment)}
        for one in conditions
    ]
