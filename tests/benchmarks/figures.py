"""What the benchmarks share: a figure beside its reference, and a sandbox that is timed."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support.shell import Shell


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Seconds that something took, and those of a reference in the same run; goal is in the figure's own words."""

    name: str
    seconds: float
    reference: str = ""
    reference_seconds: float | None = None
    goal: str = ""

    def __str__(self) -> str:
        text = f"  {self.name:<58} {self.seconds:8.2f} s"
        if self.reference_seconds is not None:
            ratio = self.reference_seconds / self.seconds
            text += f"   {self.reference}: {self.reference_seconds:.2f} s ({ratio:.1f} times as long)"
        return text + (f"   goal: {self.goal}" if self.goal else "")


class Sandbox:
    """A sandbox of the benchmarks' own; commands run with its environment and return their seconds."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._shell = Shell.bare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.run("sandbox", "down", "--state", str(self.state))

    def up(self, *options: str) -> float:
        """Start it; seconds until everything was ready."""
        seconds = self.run("sandbox", "up", "--state", str(self.state), *options)
        self._shell = self._shell.for_sandbox(self.state)
        return seconds

    def run(self, *command: str) -> float:
        """Run a command; its seconds. Ends the benchmark with the command's output if it fails."""
        begun = time.perf_counter()
        try:
            self._shell.run(*command)
        except AssertionError as error:
            sys.exit(str(error))
        return time.perf_counter() - begun

    def playbook(self, name: str, *arguments: str) -> float:
        """Run a playbook of the benchmarks, or, by its path, of the project; its seconds."""
        path = name if "/" in name else f"tests/benchmarks/playbooks/{name}.yml"
        return self.run("ansible-playbook", path, *arguments)
