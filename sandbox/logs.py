"""`sandbox logs`: the processes' and the pods'."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO

from sandbox.errors import SandboxError
from sandbox.processes import find

__all__ = ["PODS", "names", "pods", "show"]

# In place of a process's name: list the pods'.
PODS = "pods"

_POLL_S = 0.25


def names(directory: Path) -> list[str]:
    """The processes that have a log in a state directory, alive or not."""
    return sorted(path.stem for path in (directory.resolve() / "logs").glob("*.log"))


def pods(directory: Path) -> dict[str, Path]:
    """The latest log of each container, gone or not, by `namespace/pod/container`.

    The kubelet keeps them in logs/pods/<namespace>_<pod>_<uid>/<container>/<run>.log.
    """
    runs: dict[str, list[Path]] = {}
    for path in (directory.resolve() / "logs" / "pods").glob("*_*_*/*/*.log"):
        namespace, pod, _uid = path.parts[-3].split("_")
        runs.setdefault(f"{namespace}/{pod}/{path.parent.name}", []).append(path)
    # By time, not by number: a pod that was made anew under its name counts its runs from 0 again.
    return {name: max(paths, key=lambda path: path.stat().st_mtime_ns) for name, paths in sorted(runs.items())}


def show(directory: Path, name: str, *, follow: bool, out: IO[str] | None = None) -> None:
    """Copy a log to standard output; with `follow`, go on until the sandbox has ended.

    Args:
        directory: of the sandbox's state.
        name: a process, or the latest run of `namespace/pod` or `namespace/pod/container`.
        follow: whether to wait for more of it.
        out: instead of standard output.

    Raises:
        SandboxError: there is no log of that name, or the pod has several containers.
    """
    out = out or sys.stdout
    path = _of_pod(directory, name) if "/" in name else _of_process(directory, name)
    with path.open(errors="replace") as log:
        _copy(log, out)
        while follow and find(directory.resolve()):
            _copy(log, out)
            time.sleep(_POLL_S)


def _of_process(directory: Path, name: str) -> Path:
    known = names(directory)
    if name not in known:
        raise SandboxError(f"There is no log of {name!r}; there is: {', '.join([*known, PODS])}.")
    return directory.resolve() / "logs" / f"{name}.log"


def _of_pod(directory: Path, name: str) -> Path:
    known = pods(directory)
    found = [full for full in known if full == name or full.startswith(f"{name}/")]
    if not found:
        raise SandboxError(f"There is no log of a pod {name!r}; `sandbox logs {PODS}` lists what there is.")
    if len(found) > 1:
        raise SandboxError(f"{name!r} is more than one log; name one of: {', '.join(found)}.")
    return known[found[0]]


def _copy(log: IO[str], out: IO[str]) -> None:
    while chunk := log.read(1 << 16):
        out.write(chunk)
    out.flush()
