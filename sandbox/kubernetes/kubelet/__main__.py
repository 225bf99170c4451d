"""`python -m sandbox.kubernetes.kubelet --state DIR`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.kubernetes.kubelet import kubelet
from sandbox.kubernetes.kubelet.control import BOOT
from sandbox.state import State


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="The kubelet of the sandbox's nodes.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="state directory of the sandbox")
    arguments = parser.parse_args()
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )
    try:
        boot = _seconds(os.environ.get(BOOT, "0"))
        state = State.load(arguments.state)
        with _alone(state):
            asyncio.run(_run(state, boot))
    except (SandboxError, OSError) as error:
        print(f"kubelet: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(state: State, boot: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await kubelet.run(state, stop, boot=boot)


@contextlib.contextmanager
def _alone(state: State) -> Iterator[None]:
    """Two kubelets would start every pod twice."""
    state.kubelet.mkdir(parents=True, exist_ok=True)
    with (state.kubelet / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError(f"Another kubelet is at work in {state.directory}.") from None
        yield


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise SandboxError(f"{BOOT}={text!r} is no number of seconds.")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
