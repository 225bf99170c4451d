"""`python -m sandbox.webui.a1111`: the simulator as a process, with the real one's flags and its way of ending."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from aiohttp import web

from sandbox.webui.a1111.arguments import parse
from sandbox.webui.a1111.errors import SettingsError
from sandbox.webui.a1111.knobs import Knobs
from sandbox.webui.a1111.server import application
from sandbox.webui.a1111.simulator import Simulator

log = logging.getLogger("sandbox.webui.a1111")

# The real one waits for the run however long it takes.
_LONGEST_RUN = 86_400.0
_DEFAULT_PORT_UI, _DEFAULT_PORT_API = 7860, 7861


async def serve(simulator: Simulator) -> int:
    """Serve until a signal comes, then until nothing is under way any more; the signal's number.

    Raises:
        OSError: the address is in use or not this machine's.
    """
    stop = asyncio.Event()
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        received.append(number)
        stop.set()

    await simulator.sleep(simulator.knobs.start_seconds)
    runner = web.AppRunner(application(simulator), access_log=None, shutdown_timeout=_LONGEST_RUN)
    await runner.setup()
    flags = simulator.flags
    host = flags.server_name or ("0.0.0.0" if flags.listen else "127.0.0.1")
    port = flags.port or (_DEFAULT_PORT_API if flags.nowebui else _DEFAULT_PORT_UI)
    try:
        await web.TCPSite(runner, host, port).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        log.info("Running on http://%s:%s", host, port)
        await stop.wait()
        log.info("stopping when nothing is under way")
    finally:
        await runner.cleanup()
    return received[0]


def main() -> int:
    """The process's exit status; SIGTERM ends it as that signal does by default, as the real one."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    try:
        simulator = Simulator(parse(sys.argv[1:]), Knobs.read(os.environ))
        number = asyncio.run(serve(simulator))
    except KeyboardInterrupt:
        return 0
    except SettingsError as error:
        print(f"a1111 simulator: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"a1111 simulator: it cannot listen: {error.strerror or error}", file=sys.stderr)
        return 1
    if number == signal.SIGTERM:
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    return 0


if __name__ == "__main__":
    sys.exit(main())
