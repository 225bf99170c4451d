"""A simulator behind aiohttp's test client, with a clock that tests hold and release."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web_runner import BaseRunner
from PIL import Image

from sandbox.webui.a1111.arguments import parse
from sandbox.webui.a1111.knobs import Knobs
from sandbox.webui.a1111.server import application
from sandbox.webui.a1111.simulator import Simulator

MODELS = (
    "v1-5-pruned-emaonly.safetensors",
    "dreamshaper_8.safetensors",
    "nan.safetensors",
    "broken.safetensors",
    "copy-of-dreamshaper.safetensors=dreamshaper_8.safetensors",
)


class _Server(TestServer):
    """Serves as web.AppRunner does: a client that hangs up cancels nothing (aiohttp's test server would)."""

    async def _make_runner(self, **settings: Any) -> BaseRunner[web.Request]:
        return await super()._make_runner(**{**settings, "handler_cancellation": False})


class Pace:
    """Stands in for asyncio.sleep: work takes no time, or stops at its next step until it is let go."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._open = asyncio.Event()
        self._open.set()
        self._waiting = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self._open.is_set():
            self._waiting.release()
            await self._open.wait()
        await asyncio.sleep(0)

    def hold(self) -> None:
        """From now on every step waits."""
        self._open.clear()

    async def reached(self) -> None:
        """Return when somebody waits in a step."""
        await asyncio.wait_for(self._waiting.acquire(), 5)

    def release(self) -> None:
        """Let all steps go."""
        self._open.set()

    async def step(self) -> None:
        """Let the waiting step go and hold the next one."""
        self.release()
        self.hold()
        await self.reached()


@dataclass
class WebUI:
    """A simulator, its clock and a client."""

    simulator: Simulator
    pace: Pace
    client: TestClient[Any, Any]

    async def get(self, path: str) -> Any:
        async with self.client.get(f"/sdapi/v1/{path}") as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and body of a POST."""
        async with self.client.post(f"/sdapi/v1/{path}", json=body) as response:
            return response.status, await response.json()

    async def post(self, path: str, body: Any = None) -> Any:
        """Body of a POST that succeeds."""
        status, reply = await self.call(path, body)
        assert status == 200, reply
        return reply

    def start(self, path: str, body: Any) -> asyncio.Task[Any]:
        """A POST under way."""
        return asyncio.create_task(self.post(path, body))

    @staticmethod
    def opened(text: str) -> Image.Image:
        """An image of a reply: bare base64, without a data: prefix."""
        return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))

    @staticmethod
    def encoded(image: Image.Image, kind: str = "PNG") -> str:
        """An image for a request."""
        buffer = io.BytesIO()
        image.save(buffer, kind)
        return base64.b64encode(buffer.getvalue()).decode()

    @staticmethod
    def info(reply: dict[str, Any]) -> dict[str, Any]:
        """The reply's `info`, which is a JSON string."""
        assert isinstance(reply["info"], str)
        return dict(json.loads(reply["info"]))


Make = Callable[..., Awaitable[WebUI]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes simulators: flags as on the command line, knobs as keywords."""
    clients: list[TestClient[Any, Any]] = []
    paces: list[Pace] = []

    async def factory(*flags: str, nowebui: bool = True, held: bool = False, **knobs: Any) -> WebUI:
        pace = Pace()
        paces.append(pace)
        if held:
            pace.hold()
        arguments = ["--api", *(["--nowebui"] if nowebui else []), *flags]
        settings = Knobs(**{"step_seconds": 0.0, "load_seconds": 0.0, "models": MODELS, **knobs})
        simulator = Simulator(parse(arguments), settings, sleep=pace)
        client = TestClient(_Server(application(simulator, kill=lambda status: None)))
        await client.start_server()
        clients.append(client)
        return WebUI(simulator, pace, client)

    yield factory
    for pace in paces:
        pace.release()
    for client in clients:
        await client.close()


@pytest.fixture
async def webui(make: Make) -> WebUI:
    """A simulator with nothing special."""
    return await make()


@pytest.fixture
def small() -> Callable[..., dict[str, Any]]:
    """A request that is quick to draw."""
    return lambda **fields: {"prompt": "A dog", "steps": 3, "width": 64, "height": 64, "seed": 7, **fields}
