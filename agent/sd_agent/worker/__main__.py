"""`python -m sd_agent.worker`: the queue agent. Exit code 0 after a stop, 2 for a wrong environment."""

from __future__ import annotations

import logging
import os
import sys

from sd_agent.contract import logs
from sd_agent.contract.errors import ConfigurationError
from sd_agent.worker.app import build, serve
from sd_agent.worker.config import Config
from sd_agent.worker.stop import Stop

_log = logging.getLogger("sd_agent.worker")


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    stop = Stop()
    stop.install()
    logs.configure()
    try:
        config = Config.from_environment(os.environ)
        logs.configure(config.log_level)
        agent = build(config, stop)
    except ConfigurationError as error:
        _log.error("configuration", extra={"reason": str(error)})
        return 2
    _log.info(
        "started",
        extra={"runtime": config.runtime, "worker": config.worker, "dynamic": config.dynamic, "models": config.models},
    )
    serve(agent, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
