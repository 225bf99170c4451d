"""A pod as its containers see it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sandbox.kubernetes.kubelet.actions import Target
from sandbox.kubernetes.kubelet.launch import Launch
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["Owner"]


class Owner(Protocol):
    """What a container needs of its pod."""

    @property
    def spec(self) -> Json:
        """The pod's spec."""

    @property
    def label(self) -> str:
        """namespace/name, for the log."""

    @property
    def full_name(self) -> str:
        """name_namespace(uid), for messages."""

    @property
    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""

    async def prepare(self, container: Json) -> tuple[Launch, str]:
        """How to start a container, and its image's id; raises Blocked."""

    def target(self, container: Json, launch: Launch) -> Target:
        """The container as probes and hooks reach it."""

    def log_file(self, container: Json, run: int) -> Path:
        """Where the output of a run goes."""

    def tell(self, container: Json, reason: str, message: str, *, warning: bool = False) -> None:
        """Tell a Kubernetes event."""

    def changed(self) -> None:
        """Note that the status has changed."""
