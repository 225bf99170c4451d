"""Facts from Kubernetes objects."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.demo import stages
from sandbox.demo.timeline import Fact


def _item(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **fields.pop("metadata", {})}, "spec": {}, **fields}


def _true(*kinds: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True"} for kind in kinds]


def _texts(facts: Any) -> list[str]:
    return [f"{fact.stage}: {fact.text}" for fact in facts]


@pytest.mark.parametrize(
    ("replicas", "text"), [(0, "default: 0 replicas"), (1, "default: 1 replica"), (2, "default: 2 replicas")]
)
def test_deployment(replicas: int, text: str) -> None:
    facts = list(stages.deployment(_item("default", spec={"replicas": replicas})))
    # One key for every number of replicas: each change is news.
    assert facts == [Fact(("deployment", "default"), "scale", text)]


def test_node_claim() -> None:
    assert _texts(stages.node_claim(_item("sd-default-x"))) == ["claim: sd-default-x created"]
    labels = {
        "node.kubernetes.io/instance-type": "g5.xlarge",
        "karpenter.sh/capacity-type": "spot",
        "topology.kubernetes.io/zone": "us-east-1a",
    }
    status = {"conditions": _true("Launched"), "providerID": "aws:///us-east-1a/i-0123"}
    launched = _item("sd-default-x", metadata={"labels": labels}, status=status)
    assert _texts(stages.node_claim(launched))[1] == "claim: sd-default-x launched: i-0123 g5.xlarge spot us-east-1a"


def test_node() -> None:
    assert _texts(stages.node(_item("ip-1"))) == ["node: ip-1 joined"]
    assert _texts(stages.node(_item("ip-1", status={"conditions": _true("Ready")})))[1] == "node: ip-1 ready"
    not_ready = {"conditions": [{"type": "Ready", "status": "False"}]}
    assert len(_texts(stages.node(_item("ip-1", status=not_ready)))) == 1


def test_pod_from_bound_to_ready() -> None:
    spec = {"nodeName": "ip-1", "initContainers": [{"name": "webui", "restartPolicy": "Always"}, {"name": "setup"}]}
    assert _texts(stages.pod(_item("p", spec={**spec, "nodeName": None}))) == []
    running = {"state": {"running": {}}, "started": True}
    status = {
        "initContainerStatuses": [{"name": "webui", **running}, {"name": "setup", **running}],
        "containerStatuses": [{"name": "agent", **running}],
        "conditions": _true("Ready"),
    }
    assert _texts(stages.pod(_item("p", spec=spec, status=status))) == [
        "pod: p bound to ip-1",
        "pod: p webui started",
        "webui: p webui ready",
        "pod: p setup started",
        "pod: p agent started",
        "pod: p ready",
    ]


def test_a_sidecar_that_does_not_serve_yet() -> None:
    spec = {"nodeName": "ip-1", "initContainers": [{"name": "webui", "restartPolicy": "Always"}]}
    status = {"initContainerStatuses": [{"name": "webui", "state": {"running": {}}, "started": False}]}
    assert "webui: p webui ready" not in _texts(stages.pod(_item("p", spec=spec, status=status)))


def test_a_pod_that_cannot_run() -> None:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    pod = _item("p", status={"containerStatuses": [{"name": "agent", "state": {"waiting": waiting}}]})
    assert stages.stuck_reason(pod) == "agent waits with ErrImagePull (not found)"
    assert _texts(stages.pod(pod)) == ["pod: p agent waits with ErrImagePull (not found)"]
    starting = {"containerStatuses": [{"name": "agent", "state": {"waiting": {"reason": "PodInitializing"}}}]}
    assert stages.stuck_reason(_item("p", status=starting)) is None


def test_a_pod_that_ends() -> None:
    pod = _item("p", metadata={"deletionTimestamp": "now"}, status={"conditions": _true("Ready")})
    assert _texts(stages.pod(pod)) == ["pod: p is ending"]
