"""What goes to and from the API server: mirrors, status, events, and the ways to pods and services."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.kubernetes.kubelet import connect
from sandbox.kubernetes.kubelet.api import Api, ApiError
from sandbox.kubernetes.kubelet.events import Recorder
from sandbox.kubernetes.kubelet.mirror import Mirror
from sandbox.kubernetes.kubelet.order import Role
from sandbox.kubernetes.kubelet.server import Server, run_of, tls
from sandbox.kubernetes.kubelet.services import Services
from sandbox.kubernetes.kubelet.status import View
from sandbox.kubernetes.kubelet.writer import StatusWriter
from support.waiting import until


def obj(name: str, version: int, uid: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": name, "uid": uid or name, "resourceVersion": str(version)}
    return {"metadata": metadata, **fields}


def event(what: str, one: dict[str, Any]) -> dict[str, Any]:
    return {"type": what, "object": one}


async def follow(mirror: Mirror, told: list[tuple[str, str]], count: int) -> None:
    task = asyncio.create_task(mirror.run())
    try:
        await until(lambda: len(told) >= count)
    finally:
        task.cancel()


async def test_mirror_follows_list_and_watch(server: Any, api: Api) -> None:
    server.objects = [obj("a", 1), obj("b", 2)]
    server.streams = [
        [event("MODIFIED", obj("a", 11, size=1)), event("DELETED", obj("b", 12)), event("BOOKMARK", obj("", 15))],
        [event("ADDED", obj("c", 16, text="é" * 5000))],
    ]
    told: list[tuple[str, str]] = []
    mirror = Mirror(api, "/api/v1/things", lambda what, one: told.append((what, one["metadata"]["name"])), q="1")
    await follow(mirror, told, 5)
    assert told == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b"), ("ADDED", "c")]
    assert set(mirror.items) == {("ns", "a"), ("ns", "c")}
    assert mirror.items["ns", "a"]["size"] == 1
    assert mirror.synced.is_set()
    # A watch that ended goes on from its last version; every request has the query.
    assert [query.get("resourceVersion") for query in server.asked] == [None, "10", "15"]
    assert {query["q"] for query in server.asked} == {"1"}


async def test_mirror_lists_again_when_its_version_is_gone(
    server: Any, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.kubernetes.kubelet.mirror._RETRY_S", 0)
    server.objects = [obj("a", 1), obj("b", 1)]
    server.streams = [[event("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})], []]
    told: list[tuple[str, str]] = []

    def changed(what: str, one: dict[str, Any]) -> None:
        told.append((what, one["metadata"]["uid"]))
        if len(told) == 2:
            server.objects = [obj("a", 20, uid="new")]

    await follow(Mirror(api, "/api/v1/things", changed), told, 5)
    assert told[2:] == [("DELETED", "b"), ("DELETED", "a"), ("ADDED", "new")]


async def test_odd_object_does_not_end_the_watch(server: Any, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    server.objects = [obj("a", 1), obj("b", 1)]
    told: list[tuple[str, str]] = []

    def changed(what: str, one: dict[str, Any]) -> None:
        told.append((what, one["metadata"]["name"]))
        if one["metadata"]["name"] == "a":
            raise KeyError("odd")

    await follow(Mirror(api, "/api/v1/things", changed), told, 2)
    assert "ADDED ns/a of /api/v1/things" in caplog.text


async def test_refusal_is_told_with_reason(server: Any, api: Api) -> None:
    server.refuse["GET", "/api/v1/x"] = 404
    with pytest.raises(ApiError, match="404 Refused: no") as caught:
        await api.get("/api/v1/x")
    assert caught.value.status == 404


async def test_status_is_sent_once_and_newest(server: Any, api: Api) -> None:
    state = {"n": 0}
    writer = StatusWriter(api, "/api/v1/namespaces/ns/pods/p", "u1", lambda: dict(state))
    for number in (1, 2, 3):
        state["n"] = number
        writer.changed()
    await writer.flush()
    await writer.flush()
    assert server.written == [
        ("PATCH", "/api/v1/namespaces/ns/pods/p/status", {"metadata": {"uid": "u1"}, "status": {"n": 3}})
    ]
    writer.close()
    state["n"] = 4
    await writer.flush()
    assert len(server.written) == 1


async def test_status_of_a_pod_that_is_gone_is_dropped(server: Any, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    server.refuse["PATCH", "/p/status"] = 404
    await StatusWriter(api, "/p", "u1", lambda: {"n": 1}).flush()
    server.refuse["PATCH", "/p/status"] = 422
    await StatusWriter(api, "/p", "u1", lambda: {"n": 1}).flush()
    assert "422 Refused" in caplog.text
    assert "404" not in caplog.text


async def test_events_are_counted_when_they_repeat(server: Any, api: Api) -> None:
    recorder = Recorder(api)
    about = {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u1"}
    for _ignored in range(2):
        recorder.tell(about, "node", "BackOff", "again", warning=True)
    task = asyncio.create_task(recorder.run())
    await server.until_written(2)
    task.cancel()
    (made, path, body), (patched, _ignored, change) = server.written
    assert (made, path) == ("POST", "/api/v1/namespaces/ns/events")
    assert (body["type"], body["reason"], body["message"], body["count"]) == ("Warning", "BackOff", "again", 1)
    assert (body["source"], body["involvedObject"]) == ({"component": "kubelet", "host": "node"}, about)
    assert patched == "PATCH"
    assert change["count"] == 2


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, int]]:
    """Answers everything at its end, in capitals."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(-1)).upper())
        writer.write_eof()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()
    server.close()


async def test_connect_leads_where_the_route_says(tmp_path: Path, echo: tuple[str, int]) -> None:
    routes = {("10.64.0.1", 80): echo, ("10.64.0.2", 80): ("127.0.0.1", 1)}
    socket = tmp_path / "s"
    server = await connect.serve(socket, lambda host, port: routes.get((host, port)))

    async def ask(line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(line + b"\r\nHost: x\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " in answer:
            writer.write(b"hello")
            writer.write_eof()
            answer += await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        return answer

    assert await ask(b"CONNECT 10.64.0.1:80 HTTP/1.1") == b"HTTP/1.1 200 Connection established\r\n\r\nHELLO"
    refused = [b"CONNECT 10.64.0.2:80 HTTP/1.1", b"CONNECT 10.64.0.3:80 HTTP/1.1", b"GET / HTTP/1.1"]
    for line in refused:
        assert (await ask(line)).startswith(b"HTTP/1.1 502 ")
    server.close()


async def test_service_listens_and_leads_to_its_endpoints(echo: tuple[str, int]) -> None:
    # A net of its own: nothing else on this machine has these addresses.
    spec = {"clusterIP": "10.251.0.9", "ports": [{"port": 81, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}
    held: dict[tuple[str, str], Any] = {("ns", "web"): obj("web", 1, spec=spec)}
    host, port = echo
    one = {"addresses": ["10." + host.split(".", 1)[1]], "conditions": {"ready": True}}
    slices: dict[tuple[str, str], Any] = {}
    services = Services(held, slices, 251, ("127.0.0.1", 1))
    task = asyncio.create_task(services.run())

    async def ask() -> bytes:
        async with asyncio.timeout(5):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.251.0.9", 20081)
                    break
                except OSError:
                    await asyncio.sleep(0.01)
            try:
                writer.write(b"hello")
                writer.write_eof()
                return await reader.read(-1)
            except OSError:
                return b"refused"
            finally:
                writer.close()

    services.changed()
    assert await ask() in (b"", b"refused")
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"namespace": "ns", "name": "web-1", "labels": labels}
    slices["ns", "web-1"] = {"metadata": metadata, "ports": [{"name": "", "port": port}], "endpoints": [one]}
    assert await ask() == b"HELLO"
    assert services.is_service("10.251.0.9")
    assert services.backend("10.251.0.9", 81) == echo
    assert services.backend("10.251.0.8", 81) is None
    held["default", "kubernetes"] = {**obj("kubernetes", 1, spec={"clusterIP": "10.251.0.1"})}
    held["default", "kubernetes"]["metadata"]["namespace"] = "default"
    assert services.backend("10.251.0.1", 443) == ("127.0.0.1", 1)
    held.clear()
    services.changed()
    async with asyncio.timeout(5):
        while True:
            try:
                _ignored, writer = await asyncio.open_connection("127.251.0.9", 20081)
            except OSError:
                break
            writer.close()
            await asyncio.sleep(0.01)
    task.cancel()


class Pod:
    """A pod with a container `c` whose second run goes on until it is told to end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state: dict[str, Any] = {"running": {}}

    def logs(self, container: str) -> Path:
        return self.directory

    def view(self, container: str) -> View | None:
        return view(self.state, restart_count=1) if container == "c" else None


def view(state: dict[str, Any], last: dict[str, Any] | None = None, restart_count: int = 0) -> View:
    return View(
        spec={},
        role=Role.MAIN,
        state=state,
        last=last or {},
        ready=False,
        started=False,
        restart_count=restart_count,
        image_id="",
        container_id="",
    )


ENDED = {"terminated": {}}
WAITING = {"waiting": {}}


@pytest.mark.parametrize(
    ("one", "now", "previous"),
    [
        (view({}), None, None),
        (view(WAITING), None, None),
        (view({"running": {}}), 0, None),
        (view({"running": {}}, ENDED, 2), 2, 1),
        (view(ENDED, ENDED, 2), 2, 1),
        (view(WAITING, ENDED, 2), 2, 2),
    ],
)
def test_which_runs_log(one: View, now: int | None, previous: int | None) -> None:
    assert (run_of(one), run_of(one, previous=True)) == (now, previous)


async def test_logs_are_served_and_followed(tmp_path: Path) -> None:
    pod: Any = Pod(tmp_path)
    (tmp_path / "0.log").write_text("old\n")
    (tmp_path / "1.log").write_text("one\ntwo\n")
    server = Server(lambda namespace, name: pod if (namespace, name) == ("ns", "p") else None)
    host, port = await server.open(None)
    async with aiohttp.ClientSession(f"http://{host}:{port}") as http:

        async def get(query: str = "", container: str = "c", name: str = "p") -> tuple[int, str]:
            async with http.get(f"/containerLogs/ns/{name}/{container}{query}") as answer:
                return answer.status, await answer.text()

        assert await get() == (200, "one\ntwo\n")
        assert await get("?tailLines=1") == (200, "two\n")
        assert await get("?limitBytes=5") == (200, "one\nt")
        assert await get("?previous=true") == (200, "old\n")
        assert (await get(name="x"))[0] == (await get(container="x"))[0] == 404
        assert (await get("?tailLines=x"))[0] == (await get("?sinceSeconds=5"))[0] == 400
        following = asyncio.create_task(get("?follow=true&tailLines=0"))
        with (tmp_path / "1.log").open("a") as log:
            await asyncio.sleep(0.05)
            log.write("three\n")
        pod.state = ENDED
        assert await following == (200, "three\n")
        async with http.get("/healthz") as answer:
            assert await answer.text() == "ok"
        async with http.get("/exec/ns/p/c") as answer:
            assert answer.status == 404
    await server.close()


async def test_only_the_clusters_own_may_call(tmp_path: Path, server: Any) -> None:
    pki = tmp_path / "state" / "pki"
    kubelet = Server(lambda namespace, name: None)
    host, port = await kubelet.open(tls(pki))
    trust = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            async with http.get(f"https://{host}:{port}/healthz", ssl=trust):
                pass
        trust.load_cert_chain(pki / "apiserver-kubelet-client.crt", pki / "apiserver-kubelet-client.key")
        async with http.get(f"https://{host}:{port}/healthz", ssl=trust) as answer:
            assert answer.status == 200
    await kubelet.close()
