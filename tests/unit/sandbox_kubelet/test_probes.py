"""Probes: fields, thresholds, actions, grace periods."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.kubernetes.kubelet import actions
from sandbox.kubernetes.kubelet.actions import Outcome, Target
from sandbox.kubernetes.kubelet.deadline import Deadline
from sandbox.kubernetes.kubelet.launch import Launch, Place
from sandbox.kubernetes.kubelet.mounts import Mounts
from sandbox.kubernetes.kubelet.prober import follow
from sandbox.kubernetes.kubelet.probes import Kind, Probe, Tally, probes


def test_defaults_are_kubernetes_own() -> None:
    assert Probe.parse(Kind.LIVENESS, {"exec": {}}) == Probe(Kind.LIVENESS, {"exec": {}}, 0, 10, 1, 1, 3, None)


def test_fields() -> None:
    spec = {
        "initialDelaySeconds": 5,
        "periodSeconds": 2,
        "timeoutSeconds": 3,
        "successThreshold": 4,
        "failureThreshold": 6,
        "terminationGracePeriodSeconds": 7,
    }
    assert Probe.parse(Kind.STARTUP, spec) == Probe(Kind.STARTUP, spec, 5, 2, 3, 4, 6, 7)


def test_probes_of_a_container() -> None:
    container = {"livenessProbe": {"exec": {}}, "startupProbe": {"exec": {}}, "readinessProbe": None}
    assert [probe.kind for probe in probes(container)] == [Kind.STARTUP, Kind.LIVENESS]


@pytest.mark.parametrize(
    ("success", "failure", "results", "said"),
    [
        (1, 3, "+", "+"),
        (1, 3, "---", "..-"),
        (1, 3, "--+--", "..+.."),
        (1, 3, "----", "..--"),
        (2, 1, "++-+", ".+-."),
        (3, 2, "+-+-+++", "......+"),
    ],
)
def test_thresholds_count_results_in_a_row(success: int, failure: int, results: str, said: str) -> None:
    tally = Tally(Probe(Kind.READINESS, {}, 0, 1, 1, success, failure, None))
    words = {True: "+", False: "-", None: "."}
    assert "".join(words[tally.record(result == "+")] for result in results) == said


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def target(http: aiohttp.ClientSession, directory: Path, *, port: int = 0) -> Target:
    mounts = Mounts({"/here": directory})
    place = Place(directory=directory, words={}, base={}, mounts=mounts, names=lambda text: text)
    launch = Launch(argv=[], env=dict(os.environ), directory=directory, place=place)
    return Target("127.0.0.1", {"ports": [{"name": "http", "containerPort": port}]}, launch, http)


@pytest.fixture
async def server() -> AsyncIterator[int]:
    async def handle(request: web.Request) -> web.Response:
        seen = request.headers
        if request.path == "/slow":
            await asyncio.sleep(10)
        status = 200 if (seen.get("X-Key"), seen["User-Agent"]) == ("k", "kube-probe/1.35") else 503
        return web.Response(status=302 if request.path == "/moved" else status)

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


KEY = {"httpHeaders": [{"name": "X-Key", "value": "k"}]}


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ({"httpGet": {"port": "http", "path": "/a", **KEY}}, Outcome(True)),
        ({"httpGet": {"port": "http", "path": "a", **KEY}}, Outcome(True)),
        ({"httpGet": {"port": "http"}}, Outcome(False, "HTTP probe failed with statuscode: 503")),
        ({"httpGet": {"port": "http", "path": "/moved"}}, Outcome(True)),
        ({"tcpSocket": {"port": "http"}}, Outcome(True)),
        ({"exec": {"command": ["test", "-d", "/here"]}}, Outcome(True)),
        ({"exec": {"command": ["sh", "-c", "echo why; exit 3"]}}, Outcome(False, "why\n")),
        ({"sleep": {"seconds": 0}}, Outcome(True)),
        ({"grpc": {"port": 1}}, Outcome(False, "the sandbox has httpGet, tcpSocket, exec and sleep only")),
        ({"tcpSocket": {"port": "none"}}, Outcome(False, "invalid literal for int() with base 10: 'none'")),
    ],
)
async def test_actions(
    http: aiohttp.ClientSession, tmp_path: Path, server: int, action: dict[str, Any], outcome: Outcome
) -> None:
    assert await actions.run(action, target(http, tmp_path, port=server), 5) == outcome


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"httpGet": {"port": "http", "path": "/slow"}}, "context deadline exceeded"),
        ({"exec": {"command": ["sleep", "10"]}}, "timed out after 0.05s"),
    ],
)
async def test_timeouts(
    http: aiohttp.ClientSession, tmp_path: Path, server: int, action: dict[str, Any], text: str
) -> None:
    outcome = await actions.run(action, target(http, tmp_path, port=server), 0.05)
    assert not outcome.good
    assert text in outcome.output


async def test_refused_connections(http: aiohttp.ClientSession, tmp_path: Path, unused_tcp_port: int) -> None:
    aim = target(http, tmp_path, port=unused_tcp_port)
    tcp = await actions.run({"tcpSocket": {"port": str(unused_tcp_port)}}, aim, 1)
    get = await actions.run({"httpGet": {"port": unused_tcp_port}}, aim, 1)
    missing = await actions.run({"exec": {"command": ["/no/such"]}}, aim, 1)
    assert not (tcp.good or get.good or missing.good)
    assert f"dial tcp 127.0.0.1:{unused_tcp_port}: connect: " in tcp.output
    assert get.output.startswith(f'Get "http://127.0.0.1:{unused_tcp_port}/": ')


async def test_probe_is_followed_until_it_has_said_its_last(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    probe = Probe(Kind.LIVENESS, {"exec": {"command": ["test", "-e", "/here/well"]}}, 0, 0.01, 1, 1, 2, None)
    (tmp_path / "well").touch()
    told: list[bool] = []
    failures: list[str] = []

    def settled(good: bool) -> bool:
        told.append(good)
        (tmp_path / "well").unlink(missing_ok=True)
        return good

    begun = asyncio.get_running_loop().time()
    assert await follow(probe, target(http, tmp_path), begun, settled, failures.append) is False
    assert told == [True, False]
    assert len(failures) == 2


async def test_deadline_passes_or_is_met() -> None:
    ready = asyncio.Event()
    ready.set()
    assert await Deadline(5).wait(ready.wait())
    assert not await Deadline(0).wait(asyncio.Event().wait())
    assert await Deadline(0, least=5).wait(asyncio.sleep(0.01), least=True)


async def test_deadline_can_come_sooner_for_those_who_wait() -> None:
    deadline = Deadline(60)
    waiting = asyncio.create_task(deadline.wait(asyncio.Event().wait()))
    await asyncio.sleep(0)
    deadline.shorten(90)
    assert 59 < deadline.remaining <= 60
    deadline.shorten(0)
    assert await waiting is False
    assert deadline.remaining == 0
