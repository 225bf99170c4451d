"""The request to stop, made by a signal and seen by whoever waits."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable

__all__ = ["Stop"]


class Stop:
    """Set once; `wake` is the one thing that everything in the main thread waits on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # SimpleQueue.put is reentrant: the only such primitive that a signal handler may use.
        self.wake: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.requested_at: float | None = None
        self._clock = clock

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self.requested_at is not None

    def request(self) -> None:
        """Ask for a stop; the first request counts."""
        if self.requested_at is None:
            self.requested_at = self._clock()
            self.wake.put(None)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond a request to stop."""
        if not self.requested:
            try:
                self.wake.get(timeout=seconds)
            except queue.Empty:
                return

    def install(self) -> None:
        """SIGTERM and SIGINT ask for a stop (this also makes the process correct as PID 1)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_ignored: self.request())
