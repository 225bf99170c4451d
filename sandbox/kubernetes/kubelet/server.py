"""The kubelet's own API, which the API server calls: logs (`kubectl logs`) and health; nothing else is served."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from sandbox.kubernetes.kubelet import logtail
from sandbox.kubernetes.kubelet.pod import Pod
from sandbox.kubernetes.kubelet.services import Address
from sandbox.kubernetes.kubelet.status import View

__all__ = ["Server", "run_of", "tls"]

_FOLLOW_S = 0.2


def tls(pki: Path) -> ssl.SSLContext:
    """Serve with the kubelet's certificate; only who has one of the cluster's may call."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "kubelet.crt", pki / "kubelet.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Server:
    """Serves until it is closed.

    Args:
        pods: finds a pod by namespace and name.
    """

    def __init__(self, pods: Callable[[str, str], Pod | None]) -> None:
        self._pods = pods
        application = web.Application()
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)

    async def open(self, context: ssl.SSLContext | None) -> Address:
        """Listen on a free port; where."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        host, port = self._runner.addresses[0][:2]
        return str(host), int(port)

    async def close(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        query, place = request.query, request.match_info
        if query.get("sinceSeconds") or query.get("sinceTime") or query.get("timestamps") == "true":
            raise web.HTTPBadRequest(text="The sandbox's logs have no times: leave --since and --timestamps away.")
        try:
            lines = int(query["tailLines"]) if "tailLines" in query else None
            limit = int(query.get("limitBytes") or logtail.MOST)
        except ValueError as error:
            raise web.HTTPBadRequest(text="tailLines and limitBytes are numbers.") from error
        name = place["container"]
        pod = self._pods(place["namespace"], place["pod"])
        view = pod.view(name) if pod else None
        if pod is None or view is None:
            raise web.HTTPNotFound(text=f'container "{name}" of pod "{place["pod"]}" is not here')
        run = run_of(view, previous=query.get("previous") == "true")
        path = pod.logs(name) / f"{run}.log"
        if run is None or not path.exists():
            raise web.HTTPBadRequest(text=f'container "{name}" in pod "{place["pod"]}" has no such run')
        answer = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await answer.prepare(request)

        def goes_on() -> bool:
            now = pod.view(name)
            return query.get("follow") == "true" and now is not None and run_of(now) == run and "running" in now.state

        with contextlib.suppress(ConnectionError):
            await _send(answer, path, logtail.start_of(path, lines), limit, goes_on)
        return answer


def run_of(view: View, *, previous: bool = False) -> int | None:
    """Which run's log is asked for: the present or latest one, or the one before it; None if there is none.

    While a container waits for its restart, its latest run is its previous one too (kubelet's rule).
    """
    waits = "waiting" in view.state and "terminated" in view.last
    if previous and not waits:
        return view.restart_count - 1 if view.restart_count else None
    return view.restart_count if waits or "running" in view.state or "terminated" in view.state else None


async def _send(answer: web.StreamResponse, path: Path, offset: int, limit: int, goes_on: Callable[[], bool]) -> None:
    while limit > 0:
        # Asked before the reading: what a process writes last is there when it has ended.
        more = goes_on()
        chunk = logtail.read_from(path, offset)[:limit]
        if chunk:
            await answer.write(chunk)
            offset += len(chunk)
            limit -= len(chunk)
        elif more:
            await asyncio.sleep(_FOLLOW_S)
        else:
            break
    await answer.write_eof()
