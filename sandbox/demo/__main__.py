"""`python -m sandbox.demo`: needs what `sandbox env` exports and what playbooks/site.yml makes."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from sandbox.demo.errors import DemoError
from sandbox.demo.run import Settings, run
from sandbox.state import default_directory

_HINT = 'run: eval "$(sandbox env)"'


def settings(arguments: list[str]) -> Settings:
    """Read the command line and the environment.

    Raises:
        DemoError: a variable of `sandbox env` is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--name", default="sd", help="sd_name of the inventory (default: %(default)s)")
    parser.add_argument("--deadline", type=float, default=120, metavar="SECONDS", help="default: %(default)s")
    output = default_directory().parent / "demo"
    parser.add_argument("--output", type=Path, default=output, metavar="DIR", help="default: %(default)s")
    options = parser.parse_args(arguments)
    # Without an endpoint the SDK would go to the real AWS.
    missing = [name for name in ("AWS_ENDPOINT_URL", "KUBECONFIG") if not os.environ.get(name)]
    if missing:
        raise DemoError(f"{' and '.join(missing)} not set; {_HINT}")
    return Settings(
        name=options.name,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        kubeconfig=Path(os.environ["KUBECONFIG"]),
        output=_shown(options.output),
        deadline_s=options.deadline,
    )


def _shown(path: Path) -> Path:
    """A path as short as it can be told from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def main() -> int:
    """0: both answers are there and right; 1: one sentence says what is not; 130: Ctrl-C."""
    try:
        print(asyncio.run(run(settings(sys.argv[1:]), lambda line: print(line, flush=True))), flush=True)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; the sandbox stays up.", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
