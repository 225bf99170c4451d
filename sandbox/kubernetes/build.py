"""Obtaining the programs and charts that the sandbox uses: from the cache, from this machine, or from Go modules."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sandbox.kubernetes import charts
from sandbox.kubernetes.binary_cache import Cache, guarded, root
from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.versions import BINARIES, Binary

__all__ = ["BuildError", "ensure"]

_BYTES_OF_ALL = 800 << 20
_BYTES_OF_GO = 9 << 30


def ensure(report: Callable[[str], None]) -> Path:
    """Have all programs and all charts in the cache, compiling and packaging what is missing.

    Args:
        report: gets one line of progress at a time; nothing if all is there.

    Returns:
        the directory that holds the programs.

    Raises:
        BuildError: one cannot be compiled or kept. What was compiled before stays; the next call goes on from there.
    """
    entry = Cache.current()
    if not entry.missing() and charts.are_cached(entry):
        return entry.bin
    entry.prepare()
    with entry.locked(report):
        # Another checkout may have compiled them while this one waited.
        if entry.missing():
            _fill(entry, report)
        if not charts.are_cached(entry):
            _package(entry, report)
    return entry.bin


def _fill(entry: Cache, report: Callable[[str], None]) -> None:
    begun = time.monotonic()
    with guarded(entry.directory):
        for leftover in entry.bin.glob(".*.part"):
            leftover.unlink()
    for binary in entry.missing():
        installed = _installed(binary)
        if installed:
            entry.link(binary, installed)
            report(f"  {binary.label}: taken from {installed}")
    missing = entry.missing()
    if missing:
        _compile(entry, missing, report)
    report(f"Kubernetes programs: {len(BINARIES)} ready after {time.monotonic() - begun:.0f} s")


def _compile(entry: Cache, missing: Sequence[Binary], report: Callable[[str], None]) -> None:
    # Not needed, and not imported, when the cache has everything.
    from sandbox.kubernetes.compiling import Compilation, garbage_collection, parallelism
    from sandbox.kubernetes.go_toolchain import Go
    from sandbox.kubernetes.machine import free_memory, processors

    go = Go.find()
    _check_space(entry, report)
    memory = free_memory()
    jobs = parallelism(processors(), memory, len({binary.folder for binary in missing}))
    minutes = sum(binary.seconds for binary in missing) / 60
    report(
        f"Kubernetes programs: compiling {len(missing)} of {len(BINARIES)} with Go {go.version}, {jobs} at a time; "
        f"with empty caches about {minutes:.0f} min on 2 cores, once, and kept in {entry.directory}"
    )
    try:
        Compilation(
            go=go, cache=entry, missing=missing, jobs=jobs, environment=garbage_collection(memory, jobs), report=report
        ).run()
    except KeyboardInterrupt:
        report("Interrupted; what is compiled is kept, the next start goes on from there")
        raise


def _package(entry: Cache, report: Callable[[str], None]) -> None:
    from sandbox.kubernetes.go_toolchain import Go

    charts.make(entry, Go.find())
    report(f"  charts: {', '.join(charts.FILES)} packaged")


def _check_space(entry: Cache, report: Callable[[str], None]) -> None:
    with guarded(entry.directory):
        free = shutil.disk_usage(entry.directory).free
    if free < _BYTES_OF_ALL:
        raise BuildError(
            f"{entry.directory} has {free >> 20} MB of free disk space and the Kubernetes programs take "
            f"{_BYTES_OF_ALL >> 20}; free some, or set XDG_CACHE_HOME to another disk."
        )
    if free < _BYTES_OF_GO:
        report(
            f"  note: {free / (1 << 30):.1f} GB of disk space are free; Go's own caches take about "
            f"{_BYTES_OF_GO >> 30} GB when they are empty now"
        )


def _installed(binary: Binary) -> Path | None:
    """A program of the right version that this machine has anyway."""
    from sandbox.kubernetes.binary_check import is_right

    for directory in _search_path():
        found = shutil.which(binary.name, path=directory)
        if not found:
            continue
        file = Path(found).resolve()
        # Another entry of this cache may have been compiled in another way, and may be deleted.
        if not file.is_relative_to(root().resolve()) and is_right(binary, file):
            return file
    return None


def _search_path() -> Iterator[str]:
    # Where Kubernetes' own test tooling (setup-envtest) leaves etcd and kube-apiserver.
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        yield assets
    yield from os.get_exec_path()
