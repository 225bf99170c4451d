"""The application behind the one port: it sends each request to ministack, to moto or to the sandbox's own routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote

from sandbox.aws.asgi import App, Receive, Response, Scope, Send, call, read_body, reply
from sandbox.aws.scopes import execute_api_path, service_of

__all__ = ["MOTO_SERVICES", "Gateway", "Route"]

# What moto answers; everything else is ministack's.
MOTO_SERVICES = frozenset({"ec2", "ssm", "elasticfilesystem", "datasync", "xray", "application-autoscaling"})

Route = Callable[[Scope, bytes], Awaitable[Response]]
Observer = Callable[[Scope, bytes, Response], Awaitable[None]]


class Gateway:
    """An ASGI application.

    Args:
        ministack: serves everything that nothing else takes, streamed untouched.
        moto: serves MOTO_SERVICES.
        routes: the sandbox's own paths; a key that ends with `/` takes everything below it.
        observers: by service, what must see its requests and their answers (IAM is mirrored that way).
    """

    def __init__(
        self,
        *,
        ministack: App,
        moto: App,
        routes: Mapping[str, Route],
        observers: Mapping[str, Observer],
    ) -> None:
        self._ministack = ministack
        self._moto = moto
        self._routes = dict(routes)
        self._observers = dict(observers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._ministack(scope, receive, send)
            return
        if route := self._route(scope["path"]):
            await reply(send, await route(scope, await read_body(receive)))
            return
        if path := execute_api_path(scope):
            scope = {**scope, "path": path, "raw_path": quote(path).encode()}
        service = service_of(scope)
        if service in MOTO_SERVICES:
            await reply(send, await self._observed(self._moto, service, scope, await read_body(receive)))
        elif service in self._observers:
            await reply(send, await self._observed(self._ministack, service, scope, await read_body(receive)))
        else:
            await self._ministack(scope, receive, send)

    def _route(self, path: str) -> Route | None:
        if path in self._routes:
            return self._routes[path]
        return next(
            (route for prefix, route in self._routes.items() if prefix.endswith("/") and path.startswith(prefix)), None
        )

    async def _observed(self, app: App, service: str, scope: Scope, body: bytes) -> Response:
        response = await call(app, scope, body)
        if observer := self._observers.get(service):
            await observer(scope, body, response)
        return response
