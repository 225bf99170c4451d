"""Two connections made one."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["splice"]

_CHUNK = 1 << 16


async def splice(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    onward: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Copy both ways until both have ended; an end or a break on one side is passed on to the other."""
    try:
        await asyncio.gather(_pump(reader, onward[1]), _pump(onward[0], writer))
    except asyncio.CancelledError:
        # The kubelet ends; Python's stream server would log this as an error of its own.
        return
    finally:
        for end in (writer, onward[1]):
            end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        # A reset is passed on as one: the other side must not take it for a proper end.
        with contextlib.suppress(OSError):
            writer.transport.abort()
