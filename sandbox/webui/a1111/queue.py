"""One generation at a time, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Queue"]

_REMEMBERED = 16


class Queue:
    """The lock around everything that uses the model, and the task ids that wait for it.

    asyncio.Lock wakes its waiters in the order in which they came.
    """

    def __init__(self) -> None:
        self.pending: list[str] = []
        self.active: str | None = None
        self.finished: deque[str] = deque(maxlen=_REMEMBERED)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the lock without being a task: extras and model switches."""
        async with self._lock:
            yield

    @asynccontextmanager
    async def task(self, name: str) -> AsyncIterator[None]:
        """Wait for the lock as a task; two tasks may have one name."""
        self.pending.append(name)
        try:
            await self._lock.acquire()
        finally:
            self.pending.remove(name)
        self.active = name
        try:
            yield
        finally:
            self.active = None
            self.finished.append(name)
            self._lock.release()
