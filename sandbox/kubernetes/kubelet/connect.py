"""The API server's way to pods, services and nodes: HTTP CONNECT on a Unix socket (--egress-selector-config-file)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from sandbox.kubernetes.kubelet.services import Address
from sandbox.kubernetes.kubelet.splice import splice

__all__ = ["serve"]

_REQUEST = re.compile(rb"CONNECT ([^ :]+):(\d+) HTTP/")
_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


async def serve(path: Path, route: Callable[[str, int], Address | None]) -> asyncio.Server:
    """Take the API server's connections.

    Args:
        path: of the socket; nothing must be there.
        route: where an address and port of the API lead on this machine; None if nowhere.
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            match = _REQUEST.match(await reader.readuntil(b"\r\n\r\n"))
            to = route(match[1].decode(), int(match[2])) if match else None
            if to is None:
                raise ConnectionRefusedError
            onward = await asyncio.open_connection(*to)
            writer.write(_OPEN)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            with contextlib.suppress(OSError):
                writer.write(_REFUSED)
                await writer.drain()
            writer.close()
            return
        await splice(reader, writer, onward)

    return await asyncio.start_unix_server(connected, path)
