"""The sentence that tells why an answer is late."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.demo.diagnosis import Picture, explain

ACCEPTED = {"1": {"status": "accepted"}}
SCALED = {"default": {"spec": {"replicas": 1}}}
WAITING: dict[str, Any] = {"p": {"spec": {}, "status": {}}}
BOUND: dict[str, Any] = {"p": {"spec": {"nodeName": "ip-1"}, "status": {}}}


def _conditions(**statuses: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": status} for kind, status in statuses.items()]}}


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ({}, "the task table has no row"),
        ({"depths": {"sd-default-dlq": (1, 0)}}, "sd-default-dlq holds a dead-lettered message"),
        ({"rows": {"1": {"status": "running", "worker": "p-1"}}}, "p-1 has the task"),
        ({"rows": {"1": {"status": "completed", "answer": "{}"}}}, "has not come through the output topic"),
        ({"rows": ACCEPTED}, "no runtime deployed"),
        ({"rows": ACCEPTED, "deployments": {"default": {"spec": {"replicas": 0}}}}, "KEDA has not scaled"),
        ({"rows": ACCEPTED, "deployments": SCALED}, "has no pod"),
        ({"rows": ACCEPTED, "deployments": SCALED, "pods": WAITING}, "Karpenter has claimed none"),
        (
            {
                "rows": ACCEPTED,
                "deployments": SCALED,
                "pods": WAITING,
                "claims": {
                    "c": {"status": {"conditions": [{"type": "Launched", "status": "False", "message": "no capacity"}]}}
                },
            },
            "NodeClaim c was not launched (no capacity)",
        ),
        (
            {"rows": ACCEPTED, "deployments": SCALED, "pods": WAITING, "claims": {"c": _conditions(Launched="True")}},
            "has not joined",
        ),
        (
            {
                "rows": ACCEPTED,
                "deployments": SCALED,
                "pods": WAITING,
                "claims": {"c": _conditions(Launched="True", Registered="True")},
            },
            "pod p was not placed",
        ),
        ({"rows": ACCEPTED, "deployments": SCALED, "pods": BOUND}, "pod p is on its node but not ready"),
        ({"rows": ACCEPTED, "pods": {"p": {"spec": {}, **_conditions(Ready="True")}}}, "taken no message"),
        (
            {
                "rows": ACCEPTED,
                "pods": {
                    "p": {
                        "spec": {},
                        "status": {
                            "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
                        },
                    }
                },
            },
            "pod p a waits with CrashLoopBackOff",
        ),
    ],
)
def test_the_first_stage_that_is_missing(picture: dict[str, Any], words: str) -> None:
    sentence = explain(Picture(**picture), ["1"])
    assert words in sentence
    assert sentence.endswith((".", "?"))


def test_only_the_late_tasks_count() -> None:
    rows = {"1": {"status": "accepted"}, "2": {"status": "completed", "answer": "{}"}}
    assert "output topic" not in explain(Picture(rows=rows), ["1"])
