"""The HTTP side: routes, the three error bodies, authentication, and a shutdown that waits for the run."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.typedefs import Handler as Respond
from aiohttp.typedefs import Middleware

from sandbox.webui.a1111 import VERSION
from sandbox.webui.a1111.arguments import credentials
from sandbox.webui.a1111.errors import HTTPException, RequestValidationError, body_of, status_of
from sandbox.webui.a1111.routes import READ, WRITE, Handler
from sandbox.webui.a1111.routes_ui import INTERNAL_READ, INTERNAL_WRITE
from sandbox.webui.a1111.simulator import Simulator

__all__ = ["application"]

log = logging.getLogger(__name__)

_API = "/sdapi/v1/"
_INTERNAL = "/internal/"
# The real one has no limit; several init images of 64 megapixels fit in this one.
_LARGEST_BODY = 512 << 20


def application(simulator: Simulator, *, kill: Callable[[int], None] = os._exit) -> web.Application:
    """The simulator's web application; loading the first model starts with it and keeps nobody from being served.

    Args:
        simulator: the WebUI.
        kill: ends the process at once (--api-server-stop's server-kill); tests pass their own.
    """
    server = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_timed, _erring, _guard(simulator)])
    routes: list[tuple[str, str, Handler]] = [
        *(("GET", _API + name, handler) for name, handler in READ.items()),
        *(("POST", _API + name, handler) for name, handler in WRITE.items()),
    ]
    if simulator.flags.api_server_stop:
        routes += _stop_routes(kill)
    if not simulator.flags.nowebui:
        routes += [
            *(("GET", _INTERNAL + name, handler) for name, handler in INTERNAL_READ.items()),
            *(("POST", _INTERNAL + name, handler) for name, handler in INTERNAL_WRITE.items()),
        ]
    for method, path, handler in routes:
        server.router.add_route(method, path, _json(simulator, handler))
    server.router.add_get("/openapi.json", _openapi(routes), allow_head=False)
    if not simulator.flags.skip_load_model_at_start:
        server.cleanup_ctx.append(_first_load(simulator))
    return server


def _first_load(simulator: Simulator) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(_ignored: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(simulator.loader.start())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return context


def _json(simulator: Simulator, handler: Handler) -> Respond:
    async def respond(request: web.Request) -> web.Response:
        return reply(await handler(simulator, request))

    return respond


def reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response.

    Raises:
        ValueError: not a number, or infinite: JSON has neither.
    """
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


@web.middleware
async def _timed(request: web.Request, handler: Respond) -> web.StreamResponse:
    started = time.monotonic()
    response = await handler(request)
    response.headers["x-process-time"] = str(round(time.monotonic() - started, 4))
    return response


@web.middleware
async def _erring(request: web.Request, handler: Respond) -> web.StreamResponse:
    """The three error bodies: routing's, validation's, and that of everything raised in a handler."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return reply({"detail": error.reason}, error.status, headers)
    except RequestValidationError as error:
        return reply({"detail": error.faults}, 422)
    except Exception as error:
        headers = error.headers if isinstance(error, HTTPException) else None
        if not isinstance(error, HTTPException):
            log.warning("%s %s: %s: %s", request.method, request.path, type(error).__name__, error)
        return reply(body_of(error), status_of(error), headers)


def _guard(simulator: Simulator) -> Middleware:
    known = credentials(simulator.flags.api_auth)

    @web.middleware
    async def guard(request: web.Request, handler: Respond) -> web.StreamResponse:
        if known and request.path.startswith(_API) and request.match_info.http_exception is None:
            _authenticate(request.headers.get("Authorization", ""), known)
        return await handler(request)

    return guard


def _authenticate(header: str, known: dict[str, str]) -> None:
    challenge = {"WWW-Authenticate": "Basic"}
    scheme, _ignored, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise HTTPException(401, "Not authenticated", challenge)
    try:
        user, _ignored, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        raise HTTPException(401, "Invalid authentication credentials", challenge) from None
    if user not in known or not hmac.compare_digest(password.encode(), known[user].encode()):
        raise HTTPException(401, "Incorrect username or password", challenge)


def _openapi(routes: list[tuple[str, str, Handler]]) -> Respond:
    paths: dict[str, dict[str, object]] = {}
    for method, path, _ignored in routes:
        paths.setdefault(path, {})[method.lower()] = {"responses": {"200": {"description": "Successful Response"}}}
    document = {"openapi": "3.0.2", "info": {"title": "FastAPI", "version": VERSION}, "paths": paths}

    async def respond(_ignored: web.Request) -> web.Response:
        return reply(document)

    return respond


def _stop_routes(kill: Callable[[int], None]) -> list[tuple[str, str, Handler]]:
    async def server_kill(_ignored: Simulator, __: web.Request) -> object:
        kill(0)
        return None

    async def server_stop(_ignored: Simulator, __: web.Request) -> object:
        # With --nowebui nobody listens to this, and the real one goes on serving too.
        return "Stopping."

    async def server_restart(_ignored: Simulator, __: web.Request) -> object:
        raise HTTPException(501, "Not Implemented")

    return [
        ("POST", _API + "server-kill", server_kill),
        ("POST", _API + "server-stop", server_stop),
        ("POST", _API + "server-restart", server_restart),
    ]
