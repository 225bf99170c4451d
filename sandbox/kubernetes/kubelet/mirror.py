"""A copy of everything the API server holds of one kind, kept by list and watch.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

from sandbox.kubernetes.kubelet.api import UNREACHABLE, Api, ApiError
from sandbox.kubernetes.kubelet.objects import Json, Key, key

__all__ = ["Mirror"]

_log = logging.getLogger(__name__)

# Between two tries while the API server is away.
_RETRY_S = 1.0
# The server closes a watch after this; it goes on from the last version.
_WATCH_S = 600

Changed = Callable[[str, Json], None]


class Mirror:
    """One kind.

    Args:
        api: the API server.
        path: of the list, over all namespaces.
        changed: called with ADDED, MODIFIED or DELETED and the object, after `items` has followed.
        query: of the list, such as a fieldSelector.

    Attributes:
        items: the objects by namespace and name.
        synced: set once the first list is in.
    """

    def __init__(self, api: Api, path: str, changed: Changed | None = None, **query: str) -> None:
        self.items: dict[Key, Json] = {}
        self.synced = asyncio.Event()
        self._api = api
        self._path = path
        self._changed = changed
        self._query = query

    async def run(self) -> None:
        """Follow the API server for ever; its absence is waited out."""
        while True:
            try:
                version = await self._list()
                while True:
                    version = await self._watch(version)
            except (ApiError, ValueError, *UNREACHABLE) as error:
                _log.warning("watch of %s: %s", self._path, error or type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    async def _list(self) -> str:
        answer = await self._api.get(self._path, **self._query)
        fresh = {key(obj): obj for obj in answer.get("items") or []}
        for gone in set(self.items) - set(fresh):
            self._tell("DELETED", self.items.pop(gone))
        for name, obj in fresh.items():
            known = self.items.get(name)
            # The same name may be another object by now: its watchers must hear of both.
            if known and known["metadata"]["uid"] != obj["metadata"]["uid"]:
                self._tell("DELETED", known)
            self.items[name] = obj
            self._tell("ADDED", obj)
        self.synced.set()
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        options = {"resourceVersion": version, "timeoutSeconds": str(_WATCH_S), "allowWatchBookmarks": "true"}
        async with self._api.watch(self._path, **self._query, **options) as stream:
            if stream.status >= 400:
                raise ApiError(stream.status, "WatchRefused", (await stream.text())[:200])
            rest = b""
            # By chunk: one event can be larger than any limit of a line reader.
            async for chunk in stream.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    version = self._take(json.loads(line))
        return version

    def _take(self, event: Json) -> str:
        what, obj = event["type"], event["object"]
        if what == "ERROR":
            raise ApiError(int(obj.get("code", 410)), str(obj.get("reason")), str(obj.get("message")))
        if what == "DELETED":
            self.items.pop(key(obj), None)
        elif what != "BOOKMARK":
            self.items[key(obj)] = obj
        if what != "BOOKMARK":
            self._tell(what, obj)
        return str(obj["metadata"]["resourceVersion"])

    def _tell(self, what: str, obj: Json) -> None:
        if self._changed is None:
            return
        try:
            self._changed(what, obj)
        except Exception:
            # One odd object must not end the watch of all the others.
            _log.exception("%s %s of %s", what, "/".join(key(obj)), self._path)
