"""The order of start and stop, restarts, and what an earlier kubelet left."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.kubernetes.kubelet.order import Role, Step, containers, restarts, start_steps, stop_waves
from sandbox.kubernetes.kubelet.recovery import recover


def one(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "python:3", **fields}


def car(name: str) -> dict[str, Any]:
    return one(name, restartPolicy="Always")


SPEC = {
    "initContainers": [car("car1"), one("init"), car("car2")],
    "containers": [one("main"), one("other")],
    "restartPolicy": "Never",
}


def test_start_is_one_by_one_then_all_main_containers() -> None:
    assert start_steps(SPEC) == [
        Step(Role.SIDECAR, ("car1",)),
        Step(Role.INIT, ("init",)),
        Step(Role.SIDECAR, ("car2",)),
        Step(Role.MAIN, ("main", "other")),
    ]
    assert start_steps({"containers": [one("main")]}) == [Step(Role.MAIN, ("main",))]


def test_stop_is_main_first_sidecars_in_reverse() -> None:
    assert stop_waves(SPEC) == [("init", "main", "other"), ("car2",), ("car1",)]
    assert stop_waves({"containers": [one("main")]}) == [("main",)]


def test_roles() -> None:
    assert [(role, container["name"]) for role, container in containers(SPEC)] == [
        (Role.SIDECAR, "car1"),
        (Role.INIT, "init"),
        (Role.SIDECAR, "car2"),
        (Role.MAIN, "main"),
        (Role.MAIN, "other"),
    ]


@pytest.mark.parametrize(
    ("policy", "role", "code", "again"),
    [
        ("Always", Role.MAIN, 0, True),
        ("Always", Role.MAIN, 1, True),
        ("OnFailure", Role.MAIN, 0, False),
        ("OnFailure", Role.MAIN, 1, True),
        ("Never", Role.MAIN, 1, False),
        ("Always", Role.INIT, 0, False),
        ("Always", Role.INIT, 1, True),
        ("OnFailure", Role.INIT, 1, True),
        ("Never", Role.INIT, 1, False),
    ],
)
def test_restarts_follow_the_pods_policy(policy: str, role: Role, code: int, again: bool) -> None:
    assert restarts({"restartPolicy": policy}, role, one("c"), code) is again


def test_sidecar_and_container_with_a_policy_of_its_own() -> None:
    assert restarts({"restartPolicy": "Never"}, Role.SIDECAR, car("c"), 0)
    assert restarts({"restartPolicy": "Never"}, Role.MAIN, one("c", restartPolicy="OnFailure"), 1)
    assert restarts({}, Role.MAIN, one("c"), 0)


def told(name: str, state: dict[str, Any], count: int = 0, last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "lastState": last or {},
        "restartCount": count,
        "containerID": "process://1",
    }


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code}}


def test_running_container_is_lost_and_started_again() -> None:
    spec = {"containers": [one("main")], "restartPolicy": "Always"}
    found = recover(spec, {"containerStatuses": [told("main", RUNNING, 2)]})["main"]
    assert (found.runs, found.done) == (3, False)
    assert found.last["terminated"] == {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "startedAt": "2026-01-01T00:00:00Z",
    }


def test_lost_container_of_a_pod_that_never_restarts_is_done() -> None:
    spec = {"containers": [one("main")], "restartPolicy": "Never"}
    assert recover(spec, {"containerStatuses": [told("main", RUNNING)]})["main"].done


def test_ended_containers_stay_ended_by_policy() -> None:
    spec = {"containers": [one("a"), one("b")], "restartPolicy": "OnFailure"}
    found = recover(spec, {"containerStatuses": [told("a", ended(0)), told("b", ended(1))]})
    assert (found["a"].done, found["b"].done) == (True, False)


def test_init_containers_run_again() -> None:
    statuses = [told("car1", RUNNING), told("init", ended(0))]
    found = recover({**SPEC, "restartPolicy": "Always"}, {"initContainerStatuses": statuses})
    assert not found["car1"].done
    assert not found["init"].done


def test_what_never_ran_is_not_recovered() -> None:
    waiting = {"name": "main", "state": {"waiting": {}}, "restartCount": 0}
    assert recover({"containers": [one("main")]}, {"containerStatuses": [waiting]}) == {}
    assert recover({"containers": [one("main")]}, {}) == {}


def test_backing_off_container_keeps_its_last_state() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    found = recover({"containers": [one("main")]}, {"containerStatuses": [told("main", waiting, 4, ended(3))]})["main"]
    assert (found.runs, found.last, found.done) == (5, ended(3), False)
