"""A grace period that several waits share and that can become shorter while they wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

__all__ = ["Deadline"]


class Deadline:
    """A moment, in the time of the running event loop.

    Args:
        seconds: from now.
        least: seconds that each wait of `end` gets even after the moment has passed.
    """

    def __init__(self, seconds: float, *, least: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._when = self._loop.time() + seconds
        self._least = least
        self._open: set[asyncio.Timeout] = set()

    def shorten(self, seconds: float) -> None:
        """Let it come in so many seconds from now if that is earlier."""
        when = self._loop.time() + seconds
        if when >= self._when:
            return
        self._when = when
        for timeout in self._open:
            # One that fires at this very moment cannot be changed any more, and need not.
            with contextlib.suppress(RuntimeError):
                timeout.reschedule(max(when, self._loop.time()))

    @property
    def remaining(self) -> float:
        """Seconds until it comes, never negative."""
        return max(0.0, self._when - self._loop.time())

    async def wait(self, awaitable: Awaitable[object], *, least: bool = False) -> bool:
        """Wait for something (it is cancelled at the deadline); whether it came in time.

        Args:
            awaitable: what is waited for.
            least: whether the wait gets its least time even when the deadline has passed.
        """
        floor = self._loop.time() + self._least if least else self._when
        try:
            async with asyncio.timeout_at(max(self._when, floor)) as timeout:
                self._open.add(timeout)
                try:
                    await awaitable
                finally:
                    self._open.discard(timeout)
        except TimeoutError:
            return False
        return True
