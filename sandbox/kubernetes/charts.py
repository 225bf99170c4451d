"""The third-party Helm charts, packaged from the Go modules that the programs were compiled from."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.kubernetes.binary_cache import Cache, guarded
from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.versions import BINARIES, KARPENTER, KEDA, Binary
from sandbox.state import State

if TYPE_CHECKING:
    from sandbox.kubernetes.go_toolchain import Go

__all__ = ["FILES", "are_cached", "directory", "make", "package"]

FILES = (f"karpenter-crd-{KARPENTER}.tgz", f"karpenter-{KARPENTER}.tgz", f"keda-{KEDA}.tgz")

_SOURCES = (
    "charts.py",
    "chart_archive.py",
    "helm_template.py",
    "karpenter_chart.py",
    "keda_chart.py",
    "keda_values.yaml",
)


def package(state: State) -> None:
    """Put the packages into the sandbox's chart directory.

    Raises:
        BuildError: they are not in the cache, where `build.ensure` puts them, or cannot be copied.
    """
    source = directory(Cache.current())
    if not are_cached(Cache.current()):
        raise BuildError(f"The packaged charts are no longer in {source}; start the sandbox again.")
    with guarded(state.charts):
        state.charts.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(source / name, state.charts / name)


def are_cached(entry: Cache) -> bool:
    """Whether all packages, as this version of the code makes them, are in the cache."""
    return all((directory(entry) / name).is_file() for name in FILES)


def directory(entry: Cache) -> Path:
    """Where in the cache the packages are: beside the programs, by the code that makes them."""
    return entry.directory / f"charts-{_code()}"


def make(entry: Cache, go: Go) -> None:
    """Package all charts into the cache.

    Raises:
        BuildError: a module's sources cannot be had, are not what was expected, or the cache cannot be written.
    """
    from sandbox.kubernetes import karpenter_chart, keda_chart
    from sandbox.kubernetes.chart_archive import archive

    modules = {binary.name: binary for binary in BINARIES}
    karpenter, keda = (_sources(go, modules[name]) for name in ("karpenter", "keda-operator"))
    contents = {
        "karpenter-crd": karpenter_chart.files(karpenter, "karpenter-crd", KARPENTER),
        "karpenter": karpenter_chart.files(karpenter, "karpenter", KARPENTER),
        "keda": keda_chart.files(keda, KEDA),
    }
    with guarded(entry.directory):
        directory(entry).mkdir(exist_ok=True)
        for name, (chart, files) in zip(FILES, contents.items(), strict=True):
            part = directory(entry) / f".{name}.part"
            part.write_bytes(archive(chart, files))
            part.replace(directory(entry) / name)


def _sources(go: Go, binary: Binary) -> Path:
    return go.module_directory(binary, binary.module, f"v{binary.version}")


@once
def _code() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).resolve().parent / name).read_bytes())
    return digest.hexdigest()[:12]
