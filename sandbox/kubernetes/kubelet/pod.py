"""One pod: its containers in Kubernetes' order, its status, its end."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from sandbox.kubernetes.kubelet.actions import Target
from sandbox.kubernetes.kubelet.addresses import local
from sandbox.kubernetes.kubelet.api import UNREACHABLE, ApiError
from sandbox.kubernetes.kubelet.cluster import Cluster
from sandbox.kubernetes.kubelet.container import LEAST_S, Container
from sandbox.kubernetes.kubelet.deadline import Deadline
from sandbox.kubernetes.kubelet.facts import Facts
from sandbox.kubernetes.kubelet.launch import Launch
from sandbox.kubernetes.kubelet.node import Node
from sandbox.kubernetes.kubelet.objects import Json, now
from sandbox.kubernetes.kubelet.order import Role, containers, start_steps, stop_waves
from sandbox.kubernetes.kubelet.preparation import Preparation
from sandbox.kubernetes.kubelet.recovery import recover
from sandbox.kubernetes.kubelet.references import references
from sandbox.kubernetes.kubelet.status import PodView, View, pod_status
from sandbox.kubernetes.kubelet.writer import StatusWriter

__all__ = ["Pod"]

_log = logging.getLogger(__name__)

_DEFAULT_GRACE_S = 30.0
_RETRY_S = 1.0


class Pod:
    """A pod that runs on a node of ours.

    Args:
        cluster: what pods share.
        node: its node.
        obj: the pod, as the API server has it.
        address: its address in the API's form.
        ending: whether it was on its way out when it was found: nothing of it is started any more.
    """

    def __init__(self, cluster: Cluster, node: Node, obj: Json, address: str, *, ending: bool = False) -> None:
        self.node = node
        self.address = address
        self._cluster = cluster
        self._spec: Json = obj["spec"]
        self._facts = Facts(obj, self._spec, address, node.address, node.allocatable)
        self._preparation = Preparation(cluster, node, self._facts, self.tell)
        self._references = references(self._spec)
        self._begun = str((obj.get("status") or {}).get("startTime") or now())
        known = recover(self._spec, obj.get("status") or {})
        self._containers = {
            one["name"]: Container(self, role, one, known.get(one["name"])) for role, one in containers(self._spec)
        }
        if ending:
            for container in self._containers.values():
                container.halt()
        self._conditions: list[Json] = (obj.get("status") or {}).get("conditions") or []
        self._over = False
        self._path = f"/api/v1/namespaces/{self._facts.namespace}/pods/{self._facts.name}"
        self._writer = StatusWriter(cluster.api, self._path, self._facts.uid, self._status)
        self._deadline: Deadline | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._sidecars: list[asyncio.Task[bool]] = []
        self._background: set[asyncio.Task[None]] = set()
        self._life = asyncio.create_task(self._live())
        self._deletion: asyncio.Task[None] | None = None

    # What the containers need of their pod (see owner.Owner).

    @property
    def spec(self) -> Json:
        """The pod's spec."""
        return self._spec

    @property
    def label(self) -> str:
        """namespace/name."""
        return f"{self._facts.namespace}/{self._facts.name}"

    @property
    def full_name(self) -> str:
        """name_namespace(uid), as kubelet's messages have it."""
        return f"{self._facts.name}_{self._facts.namespace}({self._facts.uid})"

    @property
    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        asked = self._spec.get("terminationGracePeriodSeconds")
        return _DEFAULT_GRACE_S if asked is None else float(asked)

    async def prepare(self, container: Json) -> tuple[Launch, str]:
        """How to start a container, and its image's id; raises Blocked."""
        return await self._preparation.prepare(container)

    def target(self, container: Json, launch: Launch) -> Target:
        """The container as probes and hooks reach it."""
        return Target(local(self.address), container, launch, self._cluster.http)

    def log_file(self, container: Json, run: int) -> Path:
        """Where the output of a run goes."""
        return self.logs(container["name"]) / f"{run}.log"

    def tell(self, container: Json, reason: str, message: str, *, warning: bool = False) -> None:
        """Tell a Kubernetes event about a container."""
        kind = "containers" if container in self._spec["containers"] else "initContainers"
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": self._facts.namespace,
            "name": self._facts.name,
            "uid": self._facts.uid,
        }
        # Volumes are the pod's, everything else is a container's.
        if reason != "FailedMount":
            about["fieldPath"] = f"spec.{kind}{{{container['name']}}}"
        self._cluster.recorder.tell(about, self.node.name, reason, message, warning=warning)

    def changed(self) -> None:
        """The status may have changed."""
        self._writer.changed()

    # What the kubelet asks of a pod.

    @property
    def names(self) -> tuple[str, str]:
        """Namespace and name."""
        return self._facts.namespace, self._facts.name

    @property
    def renewable(self) -> bool:
        """Whether it holds tokens, which end."""
        return not self._over and self._preparation.volumes.renewable

    def logs(self, container: str) -> Path:
        """Directory of a container's logs, one file per run."""
        uid = self._facts.uid
        return self._cluster.state.logs / "pods" / f"{self._facts.namespace}_{self._facts.name}_{uid}" / container

    def view(self, container: str) -> View | None:
        """What a container is doing; None if it is none of the pod's."""
        found = self._containers.get(container)
        return found.view() if found else None

    def update(self, obj: Json) -> None:
        """Take the pod as the API server has it now."""
        before, self._facts.obj = self._facts.obj, obj
        if any(before["metadata"].get(field) != obj["metadata"].get(field) for field in ("labels", "annotations")):
            self._refresh()

    def uses(self, kind: str, name: str) -> bool:
        """Whether its spec names this config map or secret (of its namespace)."""
        return (kind, name) in self._references

    def source_changed(self) -> None:
        """A config map or secret that it uses has changed."""
        for container in self._containers.values():
            container.wake()
        self._refresh()

    async def refresh(self) -> None:
        """Bring its volumes up to date."""
        if not self._over:
            await self._preparation.refresh()

    def delete(self, grace: float) -> asyncio.Task[None]:
        """End it within so many seconds, then tell the API server that it is gone."""
        if self._deletion is None:
            self._deletion = asyncio.create_task(self._delete(grace))
        elif self._deadline:
            self._deadline.shorten(grace)
        return self._deletion

    async def stop(self, grace: float) -> None:
        """End it within so many seconds without a word to the API server: this kubelet ends."""
        self._writer.close()
        await self._stop(Deadline(grace))

    async def forget(self, grace: float) -> None:
        """The API server has it no more: end what runs, remove its files (the logs stay)."""
        self._writer.close()
        if self._deletion:
            self._deletion.cancel()
        await self._stop(Deadline(grace, least=LEAST_S))
        await asyncio.shield(self._life)
        self._over = True
        for task in self._background:
            task.cancel()
        await asyncio.to_thread(shutil.rmtree, self._preparation.directory, ignore_errors=True)

    def switch_off(self) -> None:
        """Its machine is gone: everything ends at once, and nobody is left to tell it. `forget` cleans up after it."""
        self._writer.close()
        for container in self._containers.values():
            container.kill()

    # Its life.

    async def _live(self) -> None:
        try:
            self.changed()
            await asyncio.to_thread(self._preparation.directory.mkdir, mode=0o700, parents=True, exist_ok=True)
            mains = [one for one in self._containers.values() if one.role is Role.MAIN]
            # An earlier kubelet may have seen the end of them.
            if not all(container.done for container in mains) and await self._initialize():
                await asyncio.gather(*(container.run() for container in mains))
            # Whatever still runs now are sidecars, and nothing is left that they could help.
            await self._stop(Deadline(self.grace, least=LEAST_S))
            await asyncio.gather(*self._sidecars)
            self._over = True
            self.changed()
        except Exception:
            _log.exception("pod %s", self.label)

    async def _initialize(self) -> bool:
        """Init containers and sidecars in their order; whether the main containers may start."""
        for step in start_steps(self._spec):
            if step.role is Role.MAIN:
                return True
            container = self._containers[step.names[0]]
            if step.role is Role.INIT:
                if not await container.run():
                    return False
                continue
            task = asyncio.create_task(container.run())
            self._sidecars.append(task)
            started = asyncio.create_task(container.started.wait())
            await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
            # A sidecar's run ends only when it is stopped.
            if task.done():
                started.cancel()
                return False
        return True

    async def _stop(self, deadline: Deadline) -> None:
        if self._stopping is None:
            self._deadline = deadline
            self._stopping = asyncio.create_task(self._stop_in_order(deadline))
        elif self._deadline:
            self._deadline.shorten(deadline.remaining)
        # Who waits may be cancelled; the stop goes on.
        await asyncio.shield(self._stopping)

    async def _stop_in_order(self, deadline: Deadline) -> None:
        for container in self._containers.values():
            container.halt()
        stops = []
        before: list[Container] = []
        for wave in stop_waves(self._spec):
            members = [self._containers[name] for name in wave]
            stops += [container.stop(deadline, tuple(before)) for container in members]
            before += members
        await asyncio.gather(*stops)

    async def _delete(self, grace: float) -> None:
        await self._stop(Deadline(grace, least=LEAST_S))
        await asyncio.shield(self._life)
        await self._writer.flush()
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        options["preconditions"] = {"uid": self._facts.uid}
        while True:
            try:
                await self._cluster.api.call("DELETE", self._path, options)
                return
            except (ApiError, *UNREACHABLE) as error:
                # 404: it is gone; 409: it is another one of the same name.
                if isinstance(error, ApiError) and error.status in (404, 409):
                    return
                _log.warning("pod %s cannot be removed yet: %s", self.label, error or type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    def _refresh(self) -> None:
        if not self._over:
            task = asyncio.create_task(self._preparation.refresh())
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    def _status(self) -> Json:
        view = PodView(
            spec=self._spec,
            containers=[container.view() for container in self._containers.values()],
            address=self.address,
            node_address=self.node.address,
            begun=self._begun,
            over=self._over,
        )
        status = pod_status(view, self._conditions, now())
        self._conditions = status["conditions"]
        return status
