"""What every pod needs of the rest of the kubelet, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from sandbox.kubernetes.kubelet import names
from sandbox.kubernetes.kubelet.api import Api
from sandbox.kubernetes.kubelet.events import Recorder
from sandbox.kubernetes.kubelet.identity import Identity
from sandbox.kubernetes.kubelet.registry import Registry
from sandbox.state import State

if TYPE_CHECKING:
    from sandbox.kubernetes.kubelet.mirror import Mirror

__all__ = ["Cluster"]


@dataclass(frozen=True)
class Cluster:
    """Shared by all pods.

    Attributes:
        state: the sandbox.
        api: its API server.
        http: a session for probes, which check no certificates.
        recorder: takes events.
        registry: knows which images are there.
        identity: knows which service accounts have a role.
        config_maps, secrets, services: what the API server holds of them.
    """

    state: State
    api: Api
    http: aiohttp.ClientSession
    recorder: Recorder
    registry: Registry
    identity: Identity
    config_maps: Mirror
    secrets: Mirror
    services: Mirror

    def rewrite(self, text: str) -> str:
        """In-cluster names replaced by the addresses at which this machine's processes reach them."""
        return names.rewrite(text, self._cluster_ip)

    def _cluster_ip(self, namespace: str, name: str) -> str | None:
        service = self.services.items.get((namespace, name))
        address = service["spec"].get("clusterIP") if service else None
        return None if address in (None, "", "None") else str(address)
