"""Services: each address listens on loopback and leads to the endpoints that Kubernetes says are ready (kube-proxy)."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator, Mapping

from sandbox.kubernetes.kubelet.addresses import local
from sandbox.kubernetes.kubelet.names import served_port
from sandbox.kubernetes.kubelet.objects import Json, Key, key
from sandbox.kubernetes.kubelet.splice import splice

__all__ = ["Address", "Services", "endpoints"]

_log = logging.getLogger(__name__)

Address = tuple[str, int]

_SERVICE_LABEL = "kubernetes.io/service-name"
_API_SERVER: Key = ("default", "kubernetes")


def endpoints(service: Json, port: int, slices: Iterator[Json]) -> list[Address]:
    """Addresses (of the API's form) and ports that a service's port leads to now.

    Args:
        service: the service.
        port: one of its ports.
        slices: the EndpointSlices of its namespace.
    """
    name = next((one.get("name", "") for one in service["spec"].get("ports") or [] if one["port"] == port), None)
    if name is None:
        return []
    found = []
    for one in slices:
        labels = one["metadata"].get("labels") or {}
        if labels.get(_SERVICE_LABEL) != service["metadata"]["name"]:
            continue
        numbers = [each["port"] for each in one.get("ports") or [] if (each.get("name") or "") == name]
        for endpoint in one.get("endpoints") or []:
            # Unknown is ready, says the API.
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                found += [(endpoint["addresses"][0], number) for number in numbers]
    return found


class Services:
    """The listeners of all services.

    Args:
        services: what the API server holds of them, by namespace and name.
        slices: its EndpointSlices.
        net: second octet of the services' addresses.
        api_server: where `kubernetes.default` leads.
    """

    def __init__(
        self,
        services: Mapping[Key, Json],
        slices: Mapping[Key, Json],
        net: int,
        api_server: Address,
    ) -> None:
        self._services = services
        self._slices = slices
        self._prefix = f"10.{net}."
        self._api_server = api_server
        self._listeners: dict[Address, asyncio.Server] = {}
        self._dirty = asyncio.Event()
        self._turn = itertools.count()

    def changed(self) -> None:
        """A service has come, changed or gone."""
        self._dirty.set()

    async def run(self) -> None:
        """Listen for what services there are, for ever."""
        try:
            while True:
                await self._dirty.wait()
                self._dirty.clear()
                await self._listen()
        finally:
            for server in self._listeners.values():
                server.close()

    def is_service(self, host: str) -> bool:
        """Whether an address (of the API's form) is of the services' net."""
        return host.startswith(self._prefix)

    def backend(self, host: str, port: int) -> Address | None:
        """Where a connection to a service's address goes; the endpoints take turns."""
        for service in self._services.values():
            if service["spec"].get("clusterIP") != host:
                continue
            if key(service) == _API_SERVER:
                return self._api_server
            namespace = service["metadata"]["namespace"]
            slices = (one for (where, _ignored), one in self._slices.items() if where == namespace)
            found = endpoints(service, port, slices)
            if not found:
                return None
            address, number = found[next(self._turn) % len(found)]
            return local(address), number
        return None

    async def _listen(self) -> None:
        wanted = {
            (service["spec"]["clusterIP"], port["port"])
            for service in self._services.values()
            for port in service["spec"].get("ports") or []
            if str(service["spec"].get("clusterIP", "")).startswith(self._prefix)
            and port.get("protocol", "TCP") == "TCP"
        }
        for gone in set(self._listeners) - wanted:
            self._listeners.pop(gone).close()
        for host, port in wanted - set(self._listeners):
            try:
                self._listeners[host, port] = await self._serve(host, port)
            except OSError as error:
                _log.error("service %s:%d has no listener: %s", host, port, error)

    async def _serve(self, host: str, port: int) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            backend = self.backend(host, port)
            try:
                if backend is None:
                    raise ConnectionRefusedError
                onward = await asyncio.open_connection(*backend)
            except OSError:
                # Refused, as kube-proxy has it for a service without endpoints.
                writer.transport.abort()
                return
            await splice(reader, writer, onward)

        return await asyncio.start_server(connected, local(host), served_port(port))
