"""Has a node the image? imagePullPolicy, back-off and events as kubelet's image manager has them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from sandbox.kubernetes.kubelet.backoff import BackOff
from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.images import Reference
from sandbox.kubernetes.kubelet.objects import Json
from sandbox.kubernetes.kubelet.registry import Pulled, PullError, Registry

__all__ = ["Puller", "Tell"]

# For so long ErrImagePull is shown before ImagePullBackOff takes its place.
_SHOWN_S = 1.0


class Tell(Protocol):
    """Tells an event about a container."""

    def __call__(self, container: Json, reason: str, message: str, *, warning: bool = False) -> None:
        """Tell it."""


class Puller:
    """Gets the images of one pod.

    Args:
        registry: every registry that can be reached.
        present: the images on the pod's node by full name; what is pulled is added.
        tell: takes events.
        clock: seconds.
    """

    def __init__(
        self,
        registry: Registry,
        present: dict[str, Pulled],
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._present = present
        self._tell = tell
        self._clock = clock
        self._failed: dict[str, tuple[float, str]] = {}
        self._back_off: dict[str, BackOff] = {}

    async def ensure(self, container: Json) -> Pulled:
        """The container's image, pulled if its policy says so.

        Raises:
            Blocked: it cannot be had now.
        """
        name, policy = container["image"], container.get("imagePullPolicy") or "IfNotPresent"
        try:
            reference = Reference.parse(name)
        except ValueError as error:
            message = f'Failed to apply default image tag "{name}": {error}'
            self._tell(container, "InspectFailed", message, warning=True)
            raise Blocked(message, reason="InvalidImageName", told="Error: InvalidImageName") from error
        known = self._present.get(str(reference))
        if known and policy != "Always":
            self._tell(container, "Pulled", f'Container image "{name}" already present on machine')
            return known
        if policy == "Never":
            message = f'Container image "{name}" is not present with pull policy of Never'
            self._tell(container, "ErrImageNeverPull", message, warning=True)
            raise Blocked(message, reason="ErrImageNeverPull", told="Error: ErrImageNeverPull")
        return await self._pull(container, reference)

    async def _pull(self, container: Json, reference: Reference) -> Pulled:
        name = container["image"]
        until, failure = self._failed.get(name, (0.0, ""))
        if self._clock() < until:
            message = f'Back-off pulling image "{name}"'
            self._tell(container, "BackOff", message)
            raise Blocked(
                f"{message}: {failure}",
                reason="ImagePullBackOff",
                told="Error: ImagePullBackOff",
                retry=until - self._clock(),
            )
        self._tell(container, "Pulling", f'Pulling image "{name}"')
        begun = self._clock()
        try:
            pulled = await self._registry.pull(reference)
        except PullError as error:
            self._tell(container, "Failed", f'Failed to pull image "{name}": {error}', warning=True)
            now = self._clock()
            delay = self._back_off.setdefault(name, BackOff(free=0)).delay(now)
            self._failed[name] = now + delay, f"{error.reason}: {error}"
            raise Blocked(str(error), reason=error.reason, told=f"Error: {error.reason}", retry=_SHOWN_S) from error
        took = f"{round((self._clock() - begun) * 1000)}ms"
        size = f"Image size: {pulled.size} bytes."
        self._tell(
            container, "Pulled", f'Successfully pulled image "{name}" in {took} ({took} including waiting). {size}'
        )
        self._present[str(reference)] = pulled
        return pulled
