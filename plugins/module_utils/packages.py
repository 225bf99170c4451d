# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""A zip archive that depends on nothing but its files' names and contents: pure but for reading them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

# What Python leaves behind is not source.
CACHE = "__pycache__"
SUFFIXES = (".pyc", ".pyo")
# The oldest time that a zip archive can tell.
EPOCH = (1980, 1, 1, 0, 0, 0)
READABLE = 0o644 << 16
UNIX = 3


def files(source: Path, include: Iterable[str]) -> list[str]:
    """The files among these (files or directories, relative to source), sorted, with slashes between their parts.

    Raises BadInput naming what is missing, or lies outside source.
    """
    found: set[str] = set()
    for name in include:
        path = (source / name).resolve()
        if not path.is_relative_to(source.resolve()):
            raise BadInput(f"{name} lies outside {source}")
        if not path.exists():
            raise BadInput(f"there is no {name} in {source}")
        found.update(file.relative_to(source.resolve()).as_posix() for file in _source_files(path))
    if not found:
        raise BadInput(f"there is nothing to package in {source}")
    return sorted(found)


def _source_files(path: Path) -> Iterator[Path]:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and CACHE not in file.parts and file.suffix not in SUFFIXES:
            yield file


def archive(source: Path, names: Iterable[str]) -> bytes:
    """The archive of these files.

    Stored, not compressed: the same bytes with every version of zlib, and nothing to unpack at a cold start.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as package:
        for name in names:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = READABLE
            package.writestr(entry, (source / name).read_bytes())
    return buffer.getvalue()
