"""Kubernetes Events, told in the background so that nothing waits for them; repetitions are counted, not repeated."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict

from sandbox.kubernetes.kubelet.api import UNREACHABLE, Api, ApiError
from sandbox.kubernetes.kubelet.objects import Json, now

__all__ = ["Recorder"]

_log = logging.getLogger(__name__)

_WAITING_MOST = 2000
_REMEMBERED_MOST = 4000


class Recorder:
    """Tells the API server what happens.

    Args:
        api: the API server.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._queue: asyncio.Queue[tuple[Json, str]] = asyncio.Queue(_WAITING_MOST)
        self._told: OrderedDict[tuple[str, ...], Json] = OrderedDict()

    def tell(self, about: Json, host: str, reason: str, message: str, *, warning: bool = False) -> None:
        """Note an event.

        Args:
            about: an ObjectReference; for a container with its fieldPath.
            host: the node it happened on.
            reason: one word.
            message: for people.
            warning: whether its type is Warning.
        """
        moment = now()
        event = {
            "involvedObject": about,
            "reason": reason,
            "message": message[:1024],
            "type": "Warning" if warning else "Normal",
            "source": {"component": "kubelet", "host": host},
            "reportingComponent": "kubelet",
            "reportingInstance": host,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            self._queue.put_nowait((event, about.get("namespace") or "default"))
        except asyncio.QueueFull:
            _log.warning("event dropped: %s %s", reason, message)

    async def run(self) -> None:
        """Write what was noted, for ever."""
        while True:
            event, namespace = await self._queue.get()
            try:
                await self._write(event, namespace)
            except ApiError as error:
                # The namespace is going away, mostly; an event is not worth more than one try.
                _log.debug("event %s: %s", event["reason"], error)
            except UNREACHABLE as error:
                _log.debug("event %s: %s", event["reason"], error)

    async def _write(self, event: Json, namespace: str) -> None:
        about, path = event["involvedObject"], f"/api/v1/namespaces/{namespace}/events"
        same = (about.get("uid", ""), about.get("fieldPath", ""), event["reason"], event["message"])
        if known := self._told.get(same):
            known["count"] += 1
            known["lastTimestamp"] = event["lastTimestamp"]
            change = {"count": known["count"], "lastTimestamp": known["lastTimestamp"]}
            try:
                await self._api.patch(f"{path}/{known['metadata']['name']}", change)
                return
            except ApiError as error:
                if error.status != 404:  # 404: it has expired (events live for an hour), so it is told anew
                    raise
        name = f"{about['name']}.{secrets.token_hex(8)}"
        event["metadata"] = {"name": name, "namespace": namespace}
        await self._api.call("POST", path, {"apiVersion": "v1", "kind": "Event", **event})
        self._told[same] = event
        if len(self._told) > _REMEMBERED_MOST:
            self._told.popitem(last=False)
