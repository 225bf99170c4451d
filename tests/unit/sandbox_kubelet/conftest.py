"""An API server that holds just as much as a kubelet's part needs for its test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from sandbox.kubernetes.kubelet.api import Api


class ApiServer:
    """Answers lists and watches from `objects` and `stream`, and notes what is written.

    Attributes:
        objects: what a list answers.
        streams: one list of events for each watch, in turn; the last one stays open.
        written: method, path and body of each change.
        refuse: status by method and path for those that are refused.
        answers: by path, what is answered there.
    """

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.streams: list[list[dict[str, Any]]] = []
        self.asked: list[dict[str, str]] = []
        self.written: list[tuple[str, str, dict[str, Any]]] = []
        self.refuse: dict[tuple[str, str], int] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if status := self.refuse.get((request.method, request.path)):
            return web.json_response({"reason": "Refused", "message": "no"}, status=status)
        if request.method != "GET":
            self.written.append((request.method, request.path, json.loads(await request.text() or "{}")))
            self.changed.set()
            return web.json_response(self.answers.get(request.path, {"metadata": {"name": "x", "uid": "u"}}))
        if request.path in self.answers:
            return web.json_response(self.answers[request.path])
        self.asked.append(dict(request.query))
        if "watch" not in request.query:
            return web.json_response({"items": self.objects, "metadata": {"resourceVersion": "10"}})
        answer = web.StreamResponse()
        await answer.prepare(request)
        stream = self.streams.pop(0) if self.streams else []
        data = b"".join(json.dumps(event).encode() + b"\n" for event in stream)
        # In odd pieces: an event may come in several, several in one.
        for at in range(0, len(data), 7):
            await answer.write(data[at : at + 7])
        if not self.streams:
            await asyncio.sleep(60)
        return answer

    async def until_written(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.written) < count:
                await self.changed.wait()
                self.changed.clear()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    server = ApiServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    write_kubeconfig(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield server
    await runner.cleanup()


@pytest.fixture
async def api(server: ApiServer, tmp_path: Path) -> AsyncIterator[Api]:
    async with Api(tmp_path / "kubeconfig") as api:
        yield api


def write_kubeconfig(directory: Path, url: str) -> None:
    from sandbox.kubernetes import pki
    from sandbox.state import PORTS, State

    ports = dict.fromkeys(PORTS, 1)
    state = State(directory / "state", "123456789012", "us-east-1", 0, ports)
    state.directory.mkdir()
    pki.write(state)
    config = yaml.safe_load((state.directory / "kubelet.kubeconfig").read_text())
    config["clusters"][0]["cluster"]["server"] = url
    (directory / "kubeconfig").write_text(yaml.safe_dump(config))
