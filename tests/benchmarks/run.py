"""Print the project's figures, each beside a reference timed in the same run: machines differ and are noisy.

Usage: run.py [routing] [demo]; all of them without a name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import bench_demo
import bench_routing
from figures import Figure, Sandbox

BENCHMARKS: dict[str, Callable[[Sandbox], list[Figure]]] = {"routing": bench_routing.run, "demo": bench_demo.run}
STATE = Path(__file__).parents[2] / "build" / "bench-sandbox"


def main(names: list[str]) -> int:
    """Run the named benchmarks; 2 for a name that there is none of."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"\n{name}")
        with Sandbox(STATE) as sandbox:
            for figure in BENCHMARKS[name](sandbox):
                print(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
