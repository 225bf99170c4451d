"""The embedded EC2's instances as Nodes: joined, kept alive by leases, and deleted when the instance is gone.

Deleting is what the cloud controller manager does on EKS; what was bound to the node is then Kubernetes' to clear away
(the pod garbage collector takes 40 to 60 s for it, here as there).
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.kubernetes.kubelet.addresses import Pool
from sandbox.kubernetes.kubelet.api import UNREACHABLE, Api, ApiError
from sandbox.kubernetes.kubelet.instances import Instance, Instances
from sandbox.kubernetes.kubelet.mirror import Mirror
from sandbox.kubernetes.kubelet.node import Node, lease, node_object
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Nodes"]

_log = logging.getLogger(__name__)

_POLL_S = 0.5
_RENEW_S = 10.0
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class Nodes:
    """All nodes of the sandbox.

    Args:
        api: the API server.
        instances: the embedded EC2.
        mirror: the Nodes that the API server has.
        net: second octet of the nodes' addresses.
        boot: seconds from an instance's launch to its joining.
        joined: called with each node that has joined.
        lost: called with each node whose instance is gone.

    Attributes:
        items: the nodes by name.
    """

    def __init__(
        self,
        api: Api,
        instances: Instances,
        mirror: Mirror,
        *,
        net: int,
        boot: float,
        joined: Callable[[Node], None],
        lost: Callable[[Node], None],
    ) -> None:
        self.items: dict[str, Node] = {}
        self._api = api
        self._instances = instances
        self._mirror = mirror
        self._pool = Pool(net)
        self._boot = datetime.timedelta(seconds=boot)
        self._joined = joined
        self._lost = lost
        self._complaints: set[str] = set()

    def owns(self, host: str) -> bool:
        """Whether an address is a node's."""
        return self._pool.owns(host)

    async def run(self) -> None:
        """Follow the instances for ever; the embedded AWS's absence is waited out."""
        while True:
            try:
                await self._follow()
                self._complaints.discard("instances")
            except (BotoCoreError, ClientError, ApiError, *UNREACHABLE) as error:
                self._complain("instances", error)
            await asyncio.sleep(_POLL_S)

    async def renew(self) -> None:
        """Send every node's heartbeat, for ever."""
        while True:
            await asyncio.sleep(_RENEW_S)
            await asyncio.gather(*(self._renew(name) for name in list(self.items)))

    async def _follow(self) -> None:
        live = {instance["InstanceId"]: instance for instance in await asyncio.to_thread(self._instances.running)}
        for node in [node for node in self.items.values() if node.instance not in live]:
            self._lose(node)
        await self._delete_gone(live)
        known = {node.instance for node in self.items.values()}
        now = datetime.datetime.now(datetime.UTC)
        ready = [one for one in live.values() if one["InstanceId"] not in known and now - _launched(one) >= self._boot]
        told = {one["InstanceId"] for one in ready if ("", one["PrivateDnsName"]) in self._mirror.items}
        # Those that an earlier kubelet has told of keep their addresses, so they come first.
        for group in (told, {one["InstanceId"] for one in ready} - told):
            results = await asyncio.gather(*(self._join(live[name]) for name in group), return_exceptions=True)
            for name, result in zip(group, results, strict=True):
                if isinstance(result, Exception):
                    self._complain(name, result)

    def _complain(self, about: str, error: Exception) -> None:
        # Once, not twice a second.
        if about not in self._complaints:
            _log.warning("%s: %s, tried again", about, error or type(error).__name__)
            self._complaints.add(about)

    async def _join(self, instance: Instance) -> None:
        name = instance["PrivateDnsName"]
        if name in self.items:
            return  # another instance still has the name; it is gone with the next look or the one after
        before = self._mirror.items.get(("", name))
        if before and not _is_of(before, instance):
            return
        os_image, group = await asyncio.gather(
            asyncio.to_thread(self._instances.os_image, instance), asyncio.to_thread(self._instances.group, instance)
        )
        size = await asyncio.to_thread(self._instances.size, instance, os_image)
        kept = _address(before) if before else None
        address = kept if kept and self._pool.keep(kept) else self._pool.take()
        told = await self._tell(node_object(instance, size, address, os_image, group))
        node = Node(name, instance["InstanceId"], address, size.allocatable)
        self.items[name] = node
        _log.info("node %s joined: %s, %s", name, instance["InstanceType"], instance["InstanceId"])
        await self._renew(name, told["metadata"]["uid"])
        self._joined(node)

    async def _tell(self, obj: Json) -> Json:
        name = obj["metadata"]["name"]
        try:
            return await self._api.call("POST", "/api/v1/nodes", obj)
        except ApiError as error:
            if error.status != 409:
                raise
        # An earlier kubelet has told of it: labels and taints have got other owners since.
        return await self._api.patch(f"/api/v1/nodes/{name}/status", {"status": obj["status"]})

    async def _renew(self, name: str, uid: str = "") -> None:
        known = self._mirror.items.get(("", name))
        uid = uid or (known["metadata"]["uid"] if known else "")
        if not uid:
            return  # its Node was deleted: a kubelet does not bring it back
        body = lease(name, uid)
        path = f"{_LEASES}/{name}"
        try:
            try:
                await self._api.call("PATCH", path, {"spec": body["spec"]}, kind="application/merge-patch+json")
            except ApiError as error:
                if error.status != 404:
                    raise
                await self._api.call("POST", _LEASES, body)
        except (ApiError, *UNREACHABLE) as error:
            _log.warning("lease of %s: %s", name, error or type(error).__name__)

    def _lose(self, node: Node) -> None:
        _log.info("node %s is gone: %s", node.name, node.instance)
        del self.items[node.name]
        self._pool.free(node.address)
        self._lost(node)

    async def _delete_gone(self, live: dict[str, Instance]) -> None:
        for obj in list(self._mirror.items.values()):
            provider = str(obj["spec"].get("providerID", ""))
            if not provider.startswith("aws:///") or provider.rpartition("/")[2] in live:
                continue
            # Karpenter's finalizer keeps it for a moment; once is enough.
            if "deletionTimestamp" in obj["metadata"]:
                continue
            try:
                await self._api.call("DELETE", f"/api/v1/nodes/{obj['metadata']['name']}")
            except ApiError as error:
                if error.status != 404:
                    raise


def _launched(instance: Instance) -> datetime.datetime:
    when: datetime.datetime = instance["LaunchTime"]
    return when


def _is_of(obj: Json, instance: Instance) -> bool:
    return str(obj["spec"].get("providerID", "")).endswith(f"/{instance['InstanceId']}")


def _address(obj: Json) -> str | None:
    addresses = (obj.get("status") or {}).get("addresses") or []
    return next((one["address"] for one in addresses if one["type"] == "InternalIP"), None)
