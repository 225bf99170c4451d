"""Sends a pod's status in the background: always the newest, never twice the same, never two at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sandbox.kubernetes.kubelet.api import UNREACHABLE, Api, ApiError
from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["StatusWriter"]

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
# The pod is gone, or it is another one of the same name.
_GONE = (404, 409)


class StatusWriter:
    """Writes the status of one pod.

    Args:
        api: the API server.
        path: of the pod.
        uid: of the pod; another one of its name is left alone.
        build: gives the status of now.
    """

    def __init__(self, api: Api, path: str, uid: str, build: Callable[[], Json]) -> None:
        self._api = api
        self._path = path
        self._uid = uid
        self._build = build
        self._sent: Json | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def sent(self) -> Json | None:
        """What was sent last."""
        return self._sent

    def changed(self) -> None:
        """The status may have changed: send it soon."""
        if not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._send())

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True

    async def flush(self) -> None:
        """Return when the newest status is sent."""
        self.changed()
        if self._task:
            await self._task

    async def _send(self) -> None:
        while not self._closed:
            status = self._build()
            if status == self._sent:
                return
            try:
                await self._api.patch(f"{self._path}/status", {"metadata": {"uid": self._uid}, "status": status})
                self._sent = status
            except ApiError as error:
                if error.status not in _GONE:
                    _log.error("status of %s: %s", self._path, error)
                return
            except UNREACHABLE as error:
                _log.warning("status of %s: %s", self._path, error or type(error).__name__)
                await asyncio.sleep(_RETRY_S)
