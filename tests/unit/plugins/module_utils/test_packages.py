"""The archive depends on names and contents alone."""

from __future__ import annotations

import io
import os
import zipfile

import pytest
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.packages import archive, files


def source(directory, mode=0o644, time=1_000_000_000):
    for name, text in (
        ("pkg/__init__.py", ""),
        ("pkg/sub/b.py", "b"),
        ("pkg/sub/a.py", "a"),
        ("pkg/sub/__pycache__/a.cpython-311.pyc", "cache"),
        ("pkg/other/c.py", "c"),
    ):
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        os.utime(file, (time, time))
    return directory


def test_only_what_is_named_without_caches(tmp_path):
    assert files(source(tmp_path), ["pkg/sub", "pkg/__init__.py"]) == [
        "pkg/__init__.py",
        "pkg/sub/a.py",
        "pkg/sub/b.py",
    ]


def test_the_same_source_gives_the_same_bytes(tmp_path):
    one = source(tmp_path / "one")
    two = source(tmp_path / "two", mode=0o600, time=1_700_000_000)
    names = files(one, ["pkg"])
    assert archive(one, names) == archive(two, files(two, ["pkg/sub", "pkg/other", "pkg"]))


def test_the_archive_can_be_imported_from(tmp_path):
    one = source(tmp_path)
    with zipfile.ZipFile(io.BytesIO(archive(one, files(one, ["pkg"])))) as package:
        assert package.read("pkg/sub/a.py") == b"a"
        assert {entry.external_attr >> 16 for entry in package.infolist()} == {0o644}


@pytest.mark.parametrize(
    ("include", "message"),
    [
        (["pkg/missing"], "there is no pkg/missing in"),
        (["../secret"], "../secret lies outside"),
        (["empty"], "there is nothing to package in"),
    ],
)
def test_a_mistake_names_the_path(tmp_path, include, message):
    source(tmp_path / "src")
    (tmp_path / "src" / "empty").mkdir()
    (tmp_path / "secret").write_text("x")
    with pytest.raises(BadInput, match=message):
        files(tmp_path / "src", include)
