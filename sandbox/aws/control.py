"""The embedded AWS as a process of the sandbox."""

from __future__ import annotations

import sys

from sandbox.processes import Process
from sandbox.state import State

__all__ = ["process"]


def process(state: State) -> Process:
    """`python -m sandbox.aws` for this sandbox."""
    return Process(
        name="aws",
        argv=(sys.executable, "-m", "sandbox.aws", "--state", str(state.directory)),
        ready=f"{state.aws_url}/_sandbox/health",
        log=state.logs / "aws.log",
        port=state.ports["aws"],
        deadline_s=30.0,
    )
