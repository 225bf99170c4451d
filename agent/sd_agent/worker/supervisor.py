"""Holding on to a task while it is worked on: the lease, the time limit and the request to stop, all in one wait."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar

from sd_agent.contract.errors import ErrorCode
from sd_agent.worker.errors import Abandoned, TaskError
from sd_agent.worker.stop import Stop

__all__ = ["Beat", "Hold", "Supervisor", "ThreadSupervisor"]

_T = TypeVar("_T")
# What is left of the grace period for interrupting the WebUI and giving the task back.
_RESERVE_S = 5.0
# How long an interrupted WebUI may take to answer (0.4 s for a real one).
_SETTLE_S = 3.0


class Beat(Enum):
    """What prolonging a lease tells."""

    HELD = "held"
    LOST = "lost"
    CANCELLED = "cancelled"


@dataclass(kw_only=True)
class Hold:
    """What keeps a task ours. extend: prolongs lease and visibility; interrupt, alive: the WebUI's; `abandoned` is set
    before an interrupt, so that the work never takes what comes back for a result."""

    extend: Callable[[], Beat]
    interrupt: Callable[[], None]
    alive: Callable[[], bool]
    abandoned: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raises Abandoned in the work of a task that was given up."""
        if self.abandoned.is_set():
            raise Abandoned("the task was given up")


class Supervisor(Protocol):
    """Runs a task's work while it is held."""

    def run(self, work: Callable[[], _T], hold: Hold) -> _T:
        """The work's result or exception; Abandoned or TaskError (timeout) where it was ended from here."""


class ThreadSupervisor:
    """The work in a thread, everything else in the caller's. Times in seconds."""

    def __init__(
        self,
        *,
        stop: Stop,
        beat_s: float,
        timeout_s: float,
        grace_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop = stop
        self._beat = beat_s
        self._timeout = timeout_s
        self._grace = max(grace_s - _RESERVE_S, grace_s / 2)
        self._clock = clock

    def run(self, work: Callable[[], _T], hold: Hold) -> _T:
        """See Supervisor."""
        job = _Job(work, self._stop.wake)
        job.start()
        deadline = self._clock() + self._timeout
        next_beat = self._clock() + self._beat
        while not job.ended:
            until = min(deadline, next_beat, self._stop_at())
            self._wait(until - self._clock())
            now = self._clock()
            if job.ended:
                break
            if now >= self._stop_at():
                self._give_up(job, hold)
                if job.succeeded:
                    break
                raise Abandoned("the agent is stopping")
            if now >= deadline:
                raise self._timed_out(job, hold)
            if now >= next_beat:
                next_beat = now + self._beat
                beat = hold.extend()
                if beat is not Beat.HELD:
                    self._give_up(job, hold)
                    cancelled = beat is Beat.CANCELLED
                    reason = "the task was cancelled" if cancelled else "the lease is lost"
                    raise Abandoned(reason, lost=not cancelled, cancelled=cancelled)
        return job.result()

    def _stop_at(self) -> float:
        return float("inf") if self._stop.requested_at is None else self._stop.requested_at + self._grace

    def _wait(self, seconds: float) -> None:
        try:
            self._stop.wake.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return

    def _give_up(self, job: _Job[_T], hold: Hold) -> None:
        hold.abandoned.set()
        hold.interrupt()
        job.join(_SETTLE_S)

    def _timed_out(self, job: _Job[_T], hold: Hold) -> TaskError:
        alive = hold.alive()
        self._give_up(job, hold)
        if alive:
            return TaskError(ErrorCode.TIMEOUT, f"the task took longer than {self._timeout:g} s")
        # It hangs: this says nothing about the task, which another WebUI may do in time.
        return TaskError(ErrorCode.WEBUI_ERROR, f"the WebUI hung for {self._timeout:g} s", retry=True)


class _Job(Generic[_T]):
    """One piece of work in a thread of its own; it puts itself on `wake` when it ends."""

    def __init__(self, work: Callable[[], _T], wake: queue.SimpleQueue[object]) -> None:
        self._work = work
        self._wake = wake
        self._outcome: list[_T] = []
        self._error: BaseException | None = None
        self._done = threading.Event()
        context = contextvars.copy_context()
        # A daemon: a WebUI that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="task", daemon=True)

    @property
    def ended(self) -> bool:
        return self._done.is_set()

    @property
    def succeeded(self) -> bool:
        return self.ended and self._error is None

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def result(self) -> _T:
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()
            self._wake.put(self)
