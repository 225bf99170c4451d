"""Just enough of a Kubernetes client to list and to watch; the real one takes a second to import."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from sandbox.demo.errors import DemoError

__all__ = ["Cluster", "Expired"]

_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5)


class Expired(Exception):
    """The watch's starting point is too old, or the connection broke: list again."""


class Cluster:
    """The API server that a kubeconfig names; an asynchronous context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        """Read the kubeconfig's current context.

        Raises:
            DemoError: there is none, or it is not one that holds its certificates.
        """
        try:
            config = yaml.safe_load(kubeconfig.read_text())
            cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
            self._server = str(cluster["server"])
            self._tls = _context(cluster, user)
        except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
            raise DemoError(
                f"{kubeconfig} is no usable kubeconfig ({error}); `sandbox env` names the right one."
            ) from error
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Cluster:
        connector = aiohttp.TCPConnector(ssl=self._tls)
        self._session = aiohttp.ClientSession(self._server, connector=connector, timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_ignored: object) -> None:
        if self._session:
            await self._session.close()

    async def list(self, path: str) -> tuple[list[dict[str, Any]], str]:
        """The objects at a path of the API, and the version to watch from.

        Raises:
            DemoError: the cluster has no such objects, or does not answer.
        """
        try:
            async with self._open().get(path) as response:
                if response.status != 200:
                    raise DemoError(
                        f"The cluster answers {response.status} for {path}; has playbooks/site.yml run to its end?"
                    )
                reply = await response.json()
        except (aiohttp.ClientError, OSError) as error:
            raise DemoError(f"The cluster does not answer ({error}); `sandbox status` shows what runs.") from error
        return reply["items"], reply["metadata"]["resourceVersion"]

    async def watch(self, path: str, version: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Changes since a version: their kinds (ADDED, MODIFIED, DELETED) and objects.

        Raises:
            Expired: the stream has ended.
        """
        query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        try:
            async with self._open().get(path, params=query) as response:
                if response.status != 200:
                    raise Expired
                async for line in _lines(response):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise Expired
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise Expired from error
        raise Expired

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the cluster as an asynchronous context manager")
        return self._session


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    # Not by readline: an object may be longer than its limit of a line.
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


def _context(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    # The ssl module takes a client's certificate from a file only.
    with tempfile.NamedTemporaryFile() as file:
        file.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
        file.write(base64.b64decode(user["client-key-data"]))
        file.flush()
        context.load_cert_chain(file.name)
    return context
