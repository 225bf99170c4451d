"""Why an answer is late: the first stage of its way that has not happened, in one sentence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sandbox.demo.stages import stuck_reason

__all__ = ["Picture", "explain"]

_POD_LOGS = "pods' logs are in logs/pods/ of the sandbox's directory"

Objects = dict[str, dict[str, Any]]


@dataclass
class Picture:
    """The last that was seen of everything on a task's way, objects by name."""

    depths: dict[str, tuple[int, int]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    deployments: Objects = field(default_factory=dict)
    claims: Objects = field(default_factory=dict)
    nodes: Objects = field(default_factory=dict)
    pods: Objects = field(default_factory=dict)


def explain(picture: Picture, late: Collection[str]) -> str:
    """What to look at for the tasks that are late, from the end of the way back to its beginning."""
    rows = {task: picture.rows.get(task) for task in late}
    dead = [name for name, depth in picture.depths.items() if name.endswith("-dlq") and any(depth)]
    if dead:
        return f"{dead[0]} holds a dead-lettered message; its attribute `reason` says why."
    stuck = [(name, reason) for name, pod in picture.pods.items() if (reason := stuck_reason(pod))]
    if stuck:
        return f"pod {stuck[0][0]} {stuck[0][1]}; see `sandbox logs kubelet`."
    ended = [task for task, row in rows.items() if row and "answer" in row]
    if ended:
        return f"the task table holds the answer to {ended[0]}, but it has not come through the output topic."
    running = [row for row in rows.values() if row and row.get("status") == "running"]
    if running:
        return f"{running[0].get('worker', 'an agent')} has the task and has not finished; {_POD_LOGS}."
    if not any(rows.values()):
        return "the task table has no row of it; see `sandbox logs aws`."
    ready = [name for name, pod in picture.pods.items() if _is(pod, "Ready")]
    if ready:
        return f"pod {ready[0]} is ready but has taken no message; {_POD_LOGS}."
    return _on_the_way_up(picture)


def _on_the_way_up(picture: Picture) -> str:
    if not picture.deployments:
        return "the namespace has no runtime deployed; has playbooks/site.yml run to its end?"
    if not any(item["spec"].get("replicas") for item in picture.deployments.values()):
        return f"KEDA has not scaled the runtime up; {_POD_LOGS}."
    if not picture.pods:
        return "the deployment has no pod; see `sandbox logs kube-controller-manager`."
    bound = [name for name, pod in picture.pods.items() if pod["spec"].get("nodeName")]
    if bound:
        return f"pod {bound[0]} is on its node but not ready; see `sandbox logs kubelet`."
    if not picture.claims:
        return f"pod {next(iter(picture.pods))} waits for a node and Karpenter has claimed none; {_POD_LOGS}."
    name, claim = next(iter(picture.claims.items()))
    if not _is(claim, "Launched"):
        return f"NodeClaim {name} was not launched{_why(claim, 'Launched')}; {_POD_LOGS}."
    if not _is(claim, "Registered"):
        return f"the instance of NodeClaim {name} has not joined the cluster; see `sandbox logs kubelet`."
    return f"pod {next(iter(picture.pods))} was not placed on a node; see `sandbox logs kube-scheduler`."


def _is(item: dict[str, Any], kind: str) -> bool:
    return any(entry["type"] == kind and entry["status"] == "True" for entry in _conditions(item))


def _why(item: dict[str, Any], kind: str) -> str:
    for entry in _conditions(item):
        if entry["type"] == kind and entry.get("message"):
            return f" ({entry['message']})"
    return ""


def _conditions(item: dict[str, Any]) -> list[dict[str, Any]]:
    return list(item.get("status", {}).get("conditions") or ())
