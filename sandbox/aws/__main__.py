"""`python -m sandbox.aws --state DIR`: serve the embedded AWS of a sandbox until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from sandbox.aws import settings
from sandbox.errors import SandboxError
from sandbox.state import State


async def _serve(state: State) -> None:
    # Imported late: ministack and moto read the environment when they are imported.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from sandbox.aws.application import build

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    config = Config()
    config.bind = [f"127.0.0.1:{state.ports['aws']}"]
    config.keep_alive_timeout = 75
    config.keep_alive_max_requests = 1_000_000
    # A long poll on a queue (20 s) need not be waited for.
    config.graceful_timeout = 0.5
    config.loglevel = "WARNING"
    await serve(build(state), config, shutdown_trigger=stopped.wait)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory made by `sandbox up`")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        state = State.load(arguments.state)
        settings.apply(state)
        asyncio.run(_serve(state))
    except (SandboxError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
