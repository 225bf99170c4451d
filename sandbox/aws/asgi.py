"""ASGI in small pieces: read a whole body, call an application on it, answer with bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["App", "Message", "Receive", "Response", "Scope", "Send", "call", "header", "read_body", "reply", "request"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Response:
    """A whole HTTP response."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @classmethod
    def json(cls, value: object, status: int = 200) -> Response:
        """A JSON document."""
        return cls(status, json.dumps(value).encode(), [(b"content-type", b"application/json")])


def header(scope: Scope, name: str) -> str:
    """The first header of that (lower-case) name, or an empty string."""
    wanted = name.encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted), "")


async def read_body(receive: Receive) -> bytes:
    """The request's whole body; what had come when the client went away."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


async def call(app: App, scope: Scope, body: bytes) -> Response:
    """Run an application on a whole body and collect what it answers."""
    response = Response(status=500)
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            # The client stays connected: an application that waits for its going away waits until it is cancelled.
            await asyncio.Event().wait()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status, response.headers = message["status"], list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            response.body += message.get("body", b"")

    await app(scope, receive, send)
    return response


async def reply(send: Send, response: Response) -> None:
    """Send a response, with the content length that its body has now."""
    headers = [(key, value) for key, value in response.headers if key.lower() != b"content-length"]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def request(method: str, path: str, headers: Mapping[str, str], query: str = "") -> Scope:
    """The scope of a request that the gateway itself makes."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "headers": [(key.lower().encode(), value.encode("latin-1")) for key, value in headers.items()],
    }
