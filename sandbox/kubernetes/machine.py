"""What this process may use of the machine."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["free_memory", "processors"]

_CGROUP = Path("/sys/fs/cgroup")


def processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0))


def free_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> int:
    """Bytes that can be used without swapping: the machine's, or less if a container's limit (cgroup v2) says so.

    Returns:
        0 if the machine does not say.
    """
    free = 0
    for line in _read(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
    limit, used = _read(cgroup / "memory.max").strip(), _read(cgroup / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        free = min(free, max(0, int(limit) - int(used)))
    return free


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
