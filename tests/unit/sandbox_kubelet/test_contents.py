"""What lies in volumes, and the reading of logs."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes.kubelet.blocked import Blocked
from sandbox.kubernetes.kubelet.contents import File, contents, token_sources, write
from sandbox.kubernetes.kubelet.environment import Sources
from sandbox.kubernetes.kubelet.facts import Facts
from sandbox.kubernetes.kubelet.logtail import MOST, read_from, start_of

FACTS = Facts(
    {"metadata": {"namespace": "ns", "name": "pod", "uid": "u1", "labels": {"app": "x"}}},
    {"containers": [{"name": "main", "resources": {"limits": {"cpu": "2"}}}]},
    "10.64.0.7",
    "10.66.0.1",
    {},
)


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def found(volume: dict[str, Any], **tokens: bytes) -> dict[str, File]:
    maps = {"m": {"data": {"a": "aa"}, "binaryData": {"b": b64(b"\xff")}}, "empty": {}}
    secrets = {"s": {"data": {"k": b64(b"quiet")}}}
    return contents({"name": "v", **volume}, Sources(FACTS, maps.get, secrets.get), tokens)


def test_config_map() -> None:
    assert found({"configMap": {"name": "m"}}) == {"a": File(b"aa"), "b": File(b"\xff")}
    assert found({"configMap": {"name": "empty"}}) == {}


def test_items_choose_names_and_modes() -> None:
    items = [{"key": "k", "path": "sub/key", "mode": 0o400}]
    assert found({"secret": {"secretName": "s", "items": items}}) == {"sub/key": File(b"quiet", 0o400)}
    assert found({"configMap": {"name": "m", "defaultMode": 0o755}})["a"] == File(b"aa", 0o755)


def test_projected_joins_its_sources() -> None:
    token = {"serviceAccountToken": {"path": "token", "audience": "a"}}
    label = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    cpu = {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}}
    sources = [token, {"secret": {"name": "s"}}, {"downwardAPI": {"items": [label, cpu]}}, {"configMap": {"name": "m"}}]
    volume = {"projected": {"sources": sources, "defaultMode": 0o600}}
    files = found(volume, token=b"t0")
    assert {path: file.data for path, file in files.items()} == {
        "token": b"t0",
        "k": b"quiet",
        "labels": b'app="x"',
        "cpu": b"2",
        "a": b"aa",
        "b": b"\xff",
    }
    assert {file.mode for file in files.values()} == {0o600}
    assert token_sources(volume) == [{"path": "token", "audience": "a"}]
    assert token_sources({"emptyDir": {}}) == []


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "x"}}, 'configmap "x" not found'),
        ({"secret": {"secretName": "x"}}, 'secret "x" not found'),
        (
            {"configMap": {"name": "m", "items": [{"key": "x", "path": "x"}]}},
            "configmap references non-existent configmap key: x",
        ),
        (
            {"projected": {"sources": [{"clusterTrustBundle": {}}]}},
            "the sandbox has no projected source clusterTrustBundle",
        ),
    ],
)
def test_what_is_missing_is_a_failed_mount(volume: dict[str, Any], message: str) -> None:
    with pytest.raises(Blocked) as caught:
        found(volume)
    assert caught.value.message == f'MountVolume.SetUp failed for volume "v" : {message}'
    assert (caught.value.event, caught.value.reason) == ("FailedMount", None)


def test_optional_sources() -> None:
    assert found({"secret": {"secretName": "x", "optional": True}}) == {}
    items = [{"key": "x", "path": "x"}]
    assert found({"configMap": {"name": "m", "items": items, "optional": True}}) == {}


def test_directory_holds_exactly_the_files(tmp_path: Path) -> None:
    write(tmp_path / "v", {"a": File(b"1"), "sub/b": File(b"2", 0o755)})
    assert (tmp_path / "v" / "sub" / "b").read_bytes() == b"2"
    assert stat.S_IMODE((tmp_path / "v" / "sub" / "b").stat().st_mode) == 0o755
    before = (tmp_path / "v" / "a").stat().st_ino
    write(tmp_path / "v", {"a": File(b"1"), "c": File(b"3")})
    assert sorted(path.name for path in (tmp_path / "v").rglob("*") if path.is_file()) == ["a", "c"]
    assert (tmp_path / "v" / "a").stat().st_ino == before
    write(tmp_path / "v", {"a": File(b"4")})
    assert (tmp_path / "v" / "a").read_bytes() == b"4"


LINES = b"".join(b"line %d\n" % number for number in range(20000))


@pytest.mark.parametrize(
    ("data", "lines", "tail"),
    [
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 5, b"a\nb\n"),
        (b"a\nb\n", 0, b""),
        (b"a\nb\n", None, b"a\nb\n"),
        (b"", 3, b""),
        (b"\n\n\n", 2, b"\n\n"),
        (LINES, 3, b"line 19997\nline 19998\nline 19999\n"),
        (LINES, 19999, LINES[len(b"line 0\n") :]),
    ],
)
def test_last_lines(tmp_path: Path, data: bytes, lines: int | None, tail: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    offset, read = start_of(path, lines), b""
    while chunk := read_from(path, offset + len(read)):
        read += chunk
    assert read == tail


def test_no_more_than_kubelet_keeps(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(MOST + 5)
    assert start_of(path, None) == 5
    assert start_of(path, 7) == 5
