"""The kubelet as a whole: pods go to their nodes, changes to whom they concern, and everything ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import boto3
from botocore.config import Config

from sandbox.kubernetes.kubelet import connect
from sandbox.kubernetes.kubelet.addresses import Pool, local
from sandbox.kubernetes.kubelet.api import Api
from sandbox.kubernetes.kubelet.cluster import Cluster
from sandbox.kubernetes.kubelet.events import Recorder
from sandbox.kubernetes.kubelet.identity import Identity
from sandbox.kubernetes.kubelet.instances import Instances
from sandbox.kubernetes.kubelet.mirror import Mirror
from sandbox.kubernetes.kubelet.node import KUBELET_PORT, Node
from sandbox.kubernetes.kubelet.nodes import Nodes
from sandbox.kubernetes.kubelet.objects import Json, key
from sandbox.kubernetes.kubelet.pod import Pod
from sandbox.kubernetes.kubelet.process import end_leftovers
from sandbox.kubernetes.kubelet.references import CONFIG_MAP, SECRET
from sandbox.kubernetes.kubelet.registry import Registry
from sandbox.kubernetes.kubelet.server import Server, tls
from sandbox.kubernetes.kubelet.services import Address, Services
from sandbox.state import State

__all__ = ["run"]

_log = logging.getLogger(__name__)

_TERMINAL = ("Succeeded", "Failed")
# Tokens are renewed in time if they are looked at so often (the shortest lives 10 minutes).
_REFRESH_S = 60.0
# `sandbox down` gives the kubelet 15 s.
_LAST_GRACE_S = 4.0
_LAST_WAIT_S = 8.0
_THREADS = 32


async def run(state: State, stop: asyncio.Event, *, boot: float) -> None:
    """Be the kubelet of every node until `stop` is set; then end every pod's processes.

    Args:
        state: the sandbox, whose control plane is up.
        stop: set from outside.
        boot: seconds from an instance's launch until its node joins.

    Raises:
        OSError: a file or a certificate of the sandbox cannot be read, or an address is taken.
    """
    loop = asyncio.get_running_loop()
    # AWS calls and file writes wait in threads; the default has too few of them for a burst of pods.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    if ended := await asyncio.to_thread(end_leftovers, state.directory):
        _log.info("%d processes of an earlier kubelet ended", ended)
    async with Api(state.directory / "kubelet.kubeconfig") as api, _probe_session() as http:
        kubelet = _Kubelet(state, api, http, boot)
        await kubelet.run(stop)


def _probe_session() -> aiohttp.ClientSession:
    # As kubelet's probes: no certificates checked, no connection kept.
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False, force_close=True, limit=0))


class _Kubelet:
    def __init__(self, state: State, api: Api, http: aiohttp.ClientSession, boot: float) -> None:
        self._state = state
        self._pods: dict[str, Pod] = {}
        self._addresses: dict[str, str] = {}
        self._pool = Pool(state.pod_net)
        self._background: set[asyncio.Task[None]] = set()
        self._kubelet_address: Address | None = None

        def core(kind: str, changed: Any = None, **query: str) -> Mirror:
            return Mirror(api, f"/api/v1/{kind}", changed, **query)

        config_maps = core("configmaps", lambda _ignored, obj: self._source_changed(CONFIG_MAP, obj))
        # Helm keeps its releases, which are large, in secrets that no pod uses.
        secrets = core(
            "secrets", lambda _ignored, obj: self._source_changed(SECRET, obj), fieldSelector="type!=helm.sh/release.v1"
        )
        services = core("services", lambda _ignored, __: self._services.changed())
        slices = Mirror(api, "/apis/discovery.k8s.io/v1/endpointslices")
        nodes = core("nodes")
        self._mirror = core("pods", self._pod_changed)
        self._mirrors = (config_maps, secrets, services, slices, nodes, self._mirror)
        self._services: Services = Services(
            services.items,
            slices.items,
            state.service_net,
            ("127.0.0.1", state.ports["apiserver"]),
        )
        self._nodes = Nodes(
            api,
            Instances(_client(state, "ec2"), _client(state, "eks")),
            nodes,
            net=state.node_net,
            boot=boot,
            joined=self._joined,
            lost=self._lost,
        )
        self._recorder = Recorder(api)
        self._cluster = Cluster(
            state=state,
            api=api,
            http=http,
            recorder=self._recorder,
            registry=Registry(_client(state, "ecr"), state.account, state.region),
            identity=Identity(_client(state, "eks")),
            config_maps=config_maps,
            secrets=secrets,
            services=services,
        )

    async def run(self, stop: asyncio.Event) -> None:
        server = Server(self._pod)
        self._kubelet_address = await server.open(tls(self._state.pki))
        tasks = [asyncio.create_task(mirror.run()) for mirror in self._mirrors]
        stopped = asyncio.create_task(stop.wait())
        synced = asyncio.gather(*(mirror.synced.wait() for mirror in self._mirrors))
        await asyncio.wait((stopped, synced), return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            self._keep_addresses()
            await asyncio.to_thread(self._remove_old_files)
            running = (self._services.run(), self._recorder.run(), self._nodes.run(), self._nodes.renew())
            tasks += [asyncio.create_task(each) for each in (*running, self._refresh())]
            # Last, as it says that the kubelet is ready.
            socket = await connect.serve(self._state.connect_socket, self._route)
            _log.info("ready")
            await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
            socket.close()
        await self._end(tasks)
        await server.close()
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    # Pods.

    def _pod_changed(self, what: str, obj: Json) -> None:
        uid = obj["metadata"]["uid"]
        pod = self._pods.get(uid)
        if what == "DELETED":
            if pod:
                self._forget(uid, pod, float(obj["metadata"].get("deletionGracePeriodSeconds") or 0))
            elif address := self._addresses.pop(uid, None):
                self._pool.free(address)
            return
        if pod is None:
            self._adopt(obj)
        else:
            pod.update(obj)
        self._delete_if_asked(obj)

    def _adopt(self, obj: Json) -> None:
        """Take a pod that is bound to one of our nodes."""
        node = self._nodes.items.get(obj["spec"].get("nodeName", ""))
        if node is None or (obj.get("status") or {}).get("phase") in _TERMINAL:
            return
        uid = obj["metadata"]["uid"]
        if obj["spec"].get("hostNetwork"):
            address = node.address
        else:
            address = self._addresses.get(uid) or self._pool.take()
            self._addresses[uid] = address
        # One that is on its way out has no processes any more, and must not get new ones.
        self._pods[uid] = Pod(self._cluster, node, obj, address, ending="deletionTimestamp" in obj["metadata"])

    def _delete_if_asked(self, obj: Json) -> None:
        pod = self._pods.get(obj["metadata"]["uid"])
        if pod and "deletionTimestamp" in obj["metadata"]:
            pod.delete(float(obj["metadata"].get("deletionGracePeriodSeconds") or 0))

    def _forget(self, uid: str, pod: Pod, grace: float) -> None:
        del self._pods[uid]
        self._later(self._clear(uid, pod, grace))

    async def _clear(self, uid: str, pod: Pod, grace: float) -> None:
        await pod.forget(grace)
        if address := self._addresses.pop(uid, None):
            self._pool.free(address)

    def _pod(self, namespace: str, name: str) -> Pod | None:
        return next((pod for pod in self._pods.values() if pod.names == (namespace, name)), None)

    def _source_changed(self, kind: str, obj: Json) -> None:
        namespace, name = key(obj)
        for pod in self._pods.values():
            if pod.names[0] == namespace and pod.uses(kind, name):
                pod.source_changed()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH_S)
            await asyncio.gather(*(pod.refresh() for pod in list(self._pods.values()) if pod.renewable))

    # Nodes.

    def _joined(self, node: Node) -> None:
        for obj in list(self._mirror.items.values()):
            if obj["spec"].get("nodeName") == node.name and obj["metadata"]["uid"] not in self._pods:
                self._adopt(obj)
                self._delete_if_asked(obj)

    def _lost(self, node: Node) -> None:
        gone = [(uid, pod) for uid, pod in self._pods.items() if pod.node == node]
        for _ignored, pod in gone:
            pod.switch_off()
        for uid, pod in gone:
            self._forget(uid, pod, 0)

    # Ways.

    def _route(self, host: str, port: int) -> Address | None:
        if self._services.is_service(host):
            return self._services.backend(host, port)
        if self._nodes.owns(host) and port == KUBELET_PORT:
            return self._kubelet_address
        if self._nodes.owns(host) or self._pool.owns(host):
            return local(host), port
        # An admission webhook's own URL can name this machine; nothing else is in reach.
        return (host, port) if host.startswith("127.") else None

    # Beginning and end.

    def _keep_addresses(self) -> None:
        for obj in self._mirror.items.values():
            status = obj.get("status") or {}
            address = status.get("podIP")
            if address and status.get("phase") not in _TERMINAL and self._pool.keep(address):
                self._addresses[obj["metadata"]["uid"]] = address

    def _remove_old_files(self) -> None:
        directory = self._state.kubelet / "pods"
        directory.mkdir(parents=True, exist_ok=True)
        known = {obj["metadata"]["uid"] for obj in self._mirror.items.values()}
        for old in directory.iterdir():
            if old.name not in known:
                shutil.rmtree(old, ignore_errors=True)
        socket = self._state.connect_socket
        socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket.unlink(missing_ok=True)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        stops = [asyncio.create_task(pod.stop(_LAST_GRACE_S)) for pod in self._pods.values()]
        if stops:
            _log.info("ending %d pods", len(stops))
            await asyncio.wait(stops, timeout=_LAST_WAIT_S)
        for pod in self._pods.values():
            pod.switch_off()
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(self._state.connect_socket.unlink)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _client(state: State, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=state.aws_url,
        region_name=state.region,
        # The root user's key of the embedded AWS.
        aws_access_key_id=state.account,
        aws_secret_access_key="test",
        config=Config(connect_timeout=2, read_timeout=20, retries={"max_attempts": 1}, max_pool_connections=_THREADS),
    )
