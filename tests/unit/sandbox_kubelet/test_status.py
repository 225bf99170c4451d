"""A pod's status from what its containers do."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.kubernetes.kubelet.order import Role
from sandbox.kubernetes.kubelet.status import PodView, View, phase, pod_status

RUNNING = {"running": {"startedAt": "t"}}
CREATING: dict[str, Any] = {}


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code}}


def view(role: Role, name: str = "c", **fields: Any) -> View:
    base: dict[str, Any] = {
        "spec": {"name": name, "image": "python:3"},
        "role": role,
        "state": CREATING,
        "last": {},
        "ready": False,
        "started": False,
        "restart_count": 0,
        "image_id": "",
        "container_id": "",
    }
    if role is Role.SIDECAR:
        base["spec"] = {**base["spec"], "restartPolicy": "Always"}
    return View(**{**base, **fields})


def pod(*views: View, policy: str = "Always", over: bool = False) -> PodView:
    spec = {"restartPolicy": policy, "containers": []}
    return PodView(spec=spec, containers=views, address="10.64.0.1", node_address="10.66.0.1", begun="b", over=over)


def main(state: dict[str, Any], **fields: Any) -> View:
    return view(Role.MAIN, "main", state=state, **fields)


def init(state: dict[str, Any], **fields: Any) -> View:
    return view(Role.INIT, "init", state=state, **fields)


def car(state: dict[str, Any], **fields: Any) -> View:
    return view(Role.SIDECAR, "car", state=state, **fields)


BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}


@pytest.mark.parametrize(
    ("views", "policy", "word"),
    [
        ([main(CREATING)], "Always", "Pending"),
        ([main(RUNNING)], "Always", "Running"),
        ([main(RUNNING), main(CREATING)], "Always", "Pending"),
        ([main(RUNNING), main(ended(0))], "Never", "Running"),
        ([main(ended(0))], "Never", "Succeeded"),
        ([main(ended(0)), main(ended(1))], "Never", "Failed"),
        ([main(ended(0))], "OnFailure", "Succeeded"),
        ([main(ended(1))], "OnFailure", "Running"),
        ([main(ended(0))], "Always", "Running"),
        ([main(BACK_OFF, last=ended(1))], "Always", "Running"),
        ([init(RUNNING), main(CREATING)], "Always", "Pending"),
        ([init(ended(1)), main(CREATING)], "Always", "Pending"),
        ([init(BACK_OFF, last=ended(1)), main(CREATING)], "Always", "Pending"),
        ([init(ended(1)), main(CREATING)], "Never", "Failed"),
        ([init(ended(0), ready=True), main(CREATING)], "Never", "Pending"),
        ([car(RUNNING), main(CREATING)], "Always", "Pending"),
        ([car(RUNNING, started=True), main(RUNNING)], "Never", "Running"),
        # The main container is done, the sidecar not stopped yet.
        ([car(RUNNING, started=True), main(ended(0))], "Never", "Running"),
        ([car(ended(143)), main(ended(0))], "Never", "Succeeded"),
        ([car(ended(0)), main(ended(1))], "Never", "Failed"),
        # A sidecar that restarts does not put the pod back.
        ([car(BACK_OFF, last=ended(1)), main(RUNNING)], "Always", "Running"),
    ],
)
def test_phase(views: list[View], policy: str, word: str) -> None:
    assert phase(pod(*views, policy=policy)) == word


@pytest.mark.parametrize(("code", "word"), [(0, "Succeeded"), (143, "Failed")])
def test_pod_that_was_stopped_for_good(code: int, word: str) -> None:
    assert phase(pod(main(ended(code)), over=True)) == word


def conditions(found: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found["conditions"]}


def test_ready_pod() -> None:
    found = pod_status(pod(main(RUNNING, ready=True, started=True, container_id="process://7")), [], "now")
    assert found["phase"] == "Running"
    assert (found["podIP"], found["hostIP"], found["startTime"]) == ("10.64.0.1", "10.66.0.1", "b")
    assert found["containerStatuses"] == [
        {
            "name": "main",
            "image": "python:3",
            "imageID": "",
            "state": RUNNING,
            "lastState": {},
            "ready": True,
            "started": True,
            "restartCount": 0,
            "containerID": "process://7",
        }
    ]
    assert "initContainerStatuses" not in found
    assert {status for status, _ignored, _ignored in conditions(found).values()} == {"True"}


def test_initializing_pod_says_what_it_waits_for() -> None:
    found = pod_status(pod(init(RUNNING), car(CREATING), main(CREATING)), [], "now")
    assert conditions(found)["Initialized"] == (
        "False",
        "ContainersNotInitialized",
        "containers with incomplete status: [init car]",
    )
    assert conditions(found)["Ready"][1:] == ("ContainersNotReady", "containers with unready status: [car main]")
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert [one["name"] for one in found["initContainerStatuses"]] == ["init", "car"]


def test_unready_sidecar_makes_the_pod_unready() -> None:
    found = pod_status(pod(car(RUNNING, started=True), main(RUNNING, ready=True, started=True)), [], "now")
    assert conditions(found)["Ready"] == ("False", "ContainersNotReady", "containers with unready status: [car]")
    assert conditions(found)["Initialized"][0] == "True"


def test_succeeded_pod_is_completed() -> None:
    found = pod_status(pod(main(ended(0)), policy="Never"), [], "now")
    assert conditions(found)["Ready"] == ("False", "PodCompleted", None)
    assert conditions(found)["Initialized"] == ("True", "PodCompleted", None)


def test_condition_keeps_its_time_until_it_flips() -> None:
    first = pod_status(pod(main(CREATING)), [], "t1")
    second = pod_status(pod(main(RUNNING, ready=True)), first["conditions"], "t2")
    times = {one["type"]: one["lastTransitionTime"] for one in second["conditions"]}
    assert times == {"Initialized": "t1", "PodReadyToStartContainers": "t1", "ContainersReady": "t2", "Ready": "t2"}


def test_container_that_was_not_tried_is_creating() -> None:
    found = pod_status(pod(main(CREATING)), [], "now")
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
