"""Listing and watching, against an API server of aiohttp behind the sandbox's own certificates."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sandbox.demo.cluster import Cluster, Expired
from sandbox.demo.errors import DemoError
from sandbox.kubernetes import pki
from sandbox.state import ACCOUNT, PORTS, REGION, State

LONG = "x" * 300_000


async def _nodes(request: web.Request) -> web.StreamResponse:
    if "watch" not in request.query:
        return web.json_response({"items": [{"metadata": {"name": "ip-1"}}], "metadata": {"resourceVersion": "7"}})
    if request.query["resourceVersion"] != "7":
        return web.json_response({}, status=410)
    response = web.StreamResponse()
    await response.prepare(request)
    events = [
        {"type": "ADDED", "object": {"metadata": {"name": "ip-2", "note": LONG}}},
        {"type": "BOOKMARK", "object": {}},
        {"type": "DELETED", "object": {"metadata": {"name": "ip-1"}}},
        {"type": "ERROR", "object": {"code": 410}},
    ]
    text = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    for start in range(0, len(text), 100_001):
        await response.write(text[start : start + 100_001])
    return response


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    application = web.Application()
    application.router.add_get("/api/v1/nodes", _nodes)
    runner = web.AppRunner(application)
    await runner.setup()
    state = State(tmp_path, ACCOUNT, REGION, 0, dict.fromkeys(PORTS, 0))
    pki.write(state)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(state.pki / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(state.pki / "apiserver.crt", state.pki / "apiserver.key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    text = state.admin_kubeconfig.read_text().replace("https://127.0.0.1:0", f"https://127.0.0.1:{port}")
    state.admin_kubeconfig.write_text(text)
    async with Cluster(state.admin_kubeconfig) as opened:
        yield opened
    await runner.cleanup()


async def test_list_and_watch(cluster: Cluster) -> None:
    items, version = await cluster.list("/api/v1/nodes")
    assert ([item["metadata"]["name"] for item in items], version) == (["ip-1"], "7")
    seen: list[tuple[str, Any]] = []
    with pytest.raises(Expired):
        async for kind, item in cluster.watch("/api/v1/nodes", version):
            seen.append((kind, item["metadata"]["name"]))
    assert seen == [("ADDED", "ip-2"), ("DELETED", "ip-1")]


async def test_a_version_that_is_too_old(cluster: Cluster) -> None:
    with pytest.raises(Expired):
        await anext(cluster.watch("/api/v1/nodes", "1"))


async def test_what_the_cluster_does_not_have(cluster: Cluster) -> None:
    with pytest.raises(DemoError, match="answers 404"):
        await cluster.list("/apis/karpenter.sh/v1/nodeclaims")


@pytest.mark.parametrize("text", ["", "a: b", "clusters: []", "clusters: {"])
def test_no_kubeconfig(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    if text:
        path.write_text(text)
    with pytest.raises(DemoError, match="no usable kubeconfig"):
        Cluster(path)


async def test_a_cluster_that_is_away(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        state = State(tmp_path, ACCOUNT, REGION, 0, dict.fromkeys(PORTS, holder.getsockname()[1]))
        pki.write(state)
        # Bound, but nobody listens.
        async with Cluster(state.admin_kubeconfig) as cluster:
            with pytest.raises(DemoError, match="does not answer"):
                await cluster.list("/api/v1/nodes")
