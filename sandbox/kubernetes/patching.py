"""Where a program is compiled: beside its go.mod, or in a work directory with a changed copy of one module."""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.kubernetes.binary_cache import Cache, guarded
from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.go_toolchain import Go
from sandbox.kubernetes.patches import Patch
from sandbox.kubernetes.versions import Binary

__all__ = ["build_directory"]


def build_directory(binary: Binary, go: Go, cache: Cache) -> Path:
    """Directory to compile a program in; for a patched one it is made anew.

    It has the program's own go.mod with one line more, which replaces the module by the copy, and its go.sum: every
    other module stays the pinned one.

    Raises:
        BuildError: the module cannot be downloaded, is not what the patch was made for, or cannot be copied.
    """
    patch = binary.patch
    if patch is None:
        return binary.directory
    module = go.module_directory(binary, patch.module, patch.version)
    with guarded(cache.directory):
        directory = cache.work(binary)
        shutil.rmtree(directory, ignore_errors=True)
        _copy(module, directory / patch.directory)
        _apply(patch, directory / patch.directory)
        replacement = f"\nreplace {patch.module} {patch.version} => ./{patch.directory}\n"
        (directory / "go.mod").write_text((binary.directory / "go.mod").read_text() + replacement)
        shutil.copyfile(binary.directory / "go.sum", directory / "go.sum")
    return directory


def _copy(source: Path, target: Path) -> None:
    """Copy a module without its modes: Go's module cache is read-only, and a copy of that could not be removed."""
    target.mkdir(parents=True)
    for file in sorted(source.rglob("*")):
        place = target / file.relative_to(source)
        if file.is_dir():
            place.mkdir()
        else:
            shutil.copyfile(file, place)


def _apply(patch: Patch, directory: Path) -> None:
    file = directory / patch.file
    text = file.read_text() if file.is_file() else ""
    found = text.count(patch.old)
    if found != patch.times:
        raise BuildError(
            f"{patch.module} {patch.version} is not what the sandbox's change to it was made for: {patch.file} has "
            f"{patch.old!r} {found} times instead of {patch.times}; the pinned version changed, "
            "so bring sandbox/kubernetes/patches.py up to date."
        )
    file.write_text(text.replace(patch.old, patch.new))
