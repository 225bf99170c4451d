"""The API server, as the kubelet talks to it: single calls here, watches in `mirror`."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from sandbox.kubernetes.kubelet.objects import Json

__all__ = ["UNREACHABLE", "Api", "ApiError"]

# What a call raises when the API server is not there (or not there any more).
UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)

_CALL = aiohttp.ClientTimeout(total=30, sock_connect=5)
# A watch lives for minutes; the server ends it.
_WATCH = aiohttp.ClientTimeout(total=None, sock_connect=5)
_MERGE = "application/strategic-merge-patch+json"


class ApiError(Exception):
    """The API server refused a call.

    Attributes:
        status: of HTTP.
        reason: Kubernetes' word for it, such as NotFound.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class Api:
    """A client with the identity of a kubeconfig; used inside `async with`.

    Args:
        kubeconfig: a file with client certificates, as files or embedded.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster: Json = config["clusters"][0]["cluster"]
        self.url: str = cluster["server"]
        self._tls = _tls(cluster, config["users"][0]["user"])
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls, limit=0), timeout=_CALL)
        return self

    async def __aexit__(self, *_ignored: object) -> None:
        if self._session:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        if self._session is None:
            raise RuntimeError("the client is used inside `async with`")
        return self._session

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Json:
        """One request.

        Raises:
            ApiError: the API server refused it.
            UNREACHABLE: it did not answer.
        """
        data = None if body is None else json.dumps(body)
        async with self.session.request(
            method, self.url + path, data=data, params=query or {}, headers={"Content-Type": kind}
        ) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise _error(answer.status, text)
            parsed: Json = json.loads(text)
            return parsed

    async def get(self, path: str, **query: str) -> Json:
        """Read an object or a list."""
        return await self.call("GET", path, query=query)

    async def patch(self, path: str, body: Json) -> Json:
        """Change an object: lists are merged by Kubernetes' keys."""
        return await self.call("PATCH", path, body, kind=_MERGE)

    def watch(self, path: str, **query: str) -> Any:
        """The open stream of changes, to be used as `async with`; see `mirror`."""
        return self.session.get(self.url + path, params={**query, "watch": "1"}, timeout=_WATCH)


def _error(status: int, text: bytes) -> ApiError:
    try:
        parsed = json.loads(text)
        return ApiError(status, str(parsed.get("reason")), str(parsed.get("message")))
    except (ValueError, AttributeError):
        return ApiError(status, "Unknown", text[:200].decode(errors="replace"))


def _tls(cluster: Json, user: Json) -> ssl.SSLContext:
    if embedded := cluster.get("certificate-authority-data"):
        context = ssl.create_default_context(cadata=base64.b64decode(embedded).decode())
    else:
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    if "client-certificate-data" not in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        return context
    # Python's ssl takes a client certificate from files only; this one is gone again at the end of the block.
    with tempfile.NamedTemporaryFile() as file:
        file.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        file.flush()
        context.load_cert_chain(file.name)
    return context
