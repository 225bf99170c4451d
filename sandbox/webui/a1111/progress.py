"""What the running job tells: the state behind /progress, /interrupt and /skip."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

__all__ = ["Progress", "State"]


@dataclass(frozen=True)
class Progress:
    """How far the running job is: a fraction, and the seconds that are left by the real WebUI's rule of three."""

    progress: float
    eta_relative: float


@dataclass
class State:
    """One state for the whole process: it knows nothing of tasks, and `interrupted` stays until the next job."""

    clock: Callable[[], float] = time.monotonic
    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_no: int = 0
    job_count: int = 0
    job_timestamp: str = "0"
    sampling_step: int = 0
    sampling_steps: int = 0
    textinfo: str | None = None
    preview: Callable[[], Image.Image] | None = field(default=None, repr=False)
    _started: float = 0.0

    def begin(self, job: str) -> None:
        """A job starts; until it knows its number of parts (while a model loads) that number is -1."""
        self.skipped = self.interrupted = self.stopping_generation = False
        self.job, self.job_no, self.job_count = job, 0, -1
        self.job_timestamp = time.strftime("%Y%m%d%H%M%S")
        self.sampling_step = 0
        self.preview = None
        self._started = self.clock()

    def end(self) -> None:
        """The job is over, however it went."""
        self.job, self.job_count = "", 0
        self.preview = None

    def next_part(self) -> None:
        """One batch is done."""
        self.job_no += 1
        self.sampling_step = 0

    def interrupt(self) -> None:
        """Stop the running job after this step; with no job running it has no effect later."""
        self.interrupted = True

    def skip(self) -> None:
        """Stop the running batch after this step and go on with the next one."""
        self.skipped = True

    @property
    def stopped(self) -> bool:
        """Whether the running batch is to stop."""
        return self.interrupted or self.skipped

    def measure(self) -> Progress:
        """Where the job is; zeros while idle."""
        if self.job_count == 0:
            return Progress(0.0, 0.0)
        share = 0.01
        if self.job_count > 0:
            share += self.job_no / self.job_count
            if self.sampling_steps > 0:
                share += self.sampling_step / self.sampling_steps / self.job_count
        elapsed = self.clock() - self._started
        return Progress(min(share, 1.0), elapsed / share - elapsed)

    def show(self) -> dict[str, object]:
        """The `state` of a progress reply."""
        return {
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "stopping_generation": self.stopping_generation,
            "job": self.job,
            "job_count": self.job_count,
            "job_timestamp": self.job_timestamp,
            "job_no": self.job_no,
            "sampling_step": self.sampling_step,
            "sampling_steps": self.sampling_steps,
        }
