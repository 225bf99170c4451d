"""What the agent asks of any WebUI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sd_agent.contract.task import Task
from sd_agent.worker.pictures import Picture

__all__ = ["Generation", "WebUI"]


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A checked result. response: the WebUI's reply without image bytes; times in seconds."""

    pictures: Sequence[Picture]
    response: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = ()
    gpu_seconds: float = 0.0
    switch_seconds: float = 0.0


class WebUI(Protocol):
    """One WebUI, next to the agent."""

    def ready(self) -> bool:
        """Whether it answers at all (quick, never raises)."""

    def run(self, task: Task, body: dict[str, Any]) -> Generation:
        """Switch the model if need be, generate, check the result. Raises TaskError. Never sends a generation twice."""

    def interrupt(self) -> None:
        """End the running generation early, as far as the WebUI can (quick, never raises)."""
