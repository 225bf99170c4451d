from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.kubernetes.compiling import explain, garbage_collection, lanes, parallelism
from sandbox.kubernetes.machine import free_memory
from sandbox.kubernetes.versions import BINARIES

GIB = 1 << 30


@pytest.mark.parametrize(
    ("cores", "memory", "jobs"), [(1, 8, 1), (2, 24, 1), (4, 24, 2), (4, 5, 1), (16, 16, 5), (64, 64, 5), (8, 0, 1)]
)
def test_builds_at_a_time(cores: int, memory: int, jobs: int) -> None:
    assert parallelism(cores, memory * GIB, folders=5) == jobs


def test_memory_to_spare_is_spent() -> None:
    assert garbage_collection(12 * GIB, jobs=2)["GOGC"] == "400"
    assert garbage_collection(11 * GIB, jobs=2) == {}


def test_one_at_a_time_goes_in_order() -> None:
    assert [binary for lane in lanes(BINARIES, 1) for binary in lane] == list(BINARIES)


def test_side_by_side_the_longest_lane_starts_first_and_no_folder_is_in_two() -> None:
    found = lanes(BINARIES, 2)
    assert [lane[0].folder for lane in found] == ["keda", "kubernetes", "karpenter", "helm", "etcd"]
    assert sum(len(lane) for lane in found) == len(BINARIES)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("x/link: open: no space left on device", "no disk space left"),
        ("k8s.io/api/core/v1: compile: signal: killed", "lack of memory"),
        ("verifying a@v1: checksum mismatch\nSECURITY ERROR", "differs from the one pinned in go.sum"),
        (
            'go: a@v1: Get "https://modules.example/a": dial tcp: lookup modules.example: no such host',
            "cannot be reached",
        ),
        ("go: a@v1: module lookup disabled by GOPROXY=off", "cannot be reached"),
        ("a@v1: reading https://modules.example/a/@v/v1.mod: 503 Service Unavailable", "cannot be reached"),
        ("a.go:1:1: syntax error: unexpected EOF", "does not compile"),
    ],
)
def test_what_the_compiler_says_becomes_a_sentence(output: str, reason: str) -> None:
    message = str(explain(BINARIES[0], f"go: downloading a v1\n{output}\n", Path("/logs/etcd.log")))
    sentence, *rest = message.splitlines()
    assert sentence.startswith("etcd 3.6.8 ")
    assert reason in sentence
    assert sentence.endswith("the whole output is in /logs/etcd.log.")
    assert rest == [f"    {line}" for line in output.splitlines()]


def test_only_the_end_of_a_long_output_is_shown() -> None:
    message = str(explain(BINARIES[0], "\n".join(f"line {n}" for n in range(500)), Path("log")))
    assert message.endswith("line 499")
    assert len(message.splitlines()) < 15


def test_memory_is_the_machines_or_the_containers(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n")
    assert free_memory(meminfo, tmp_path / "none") == 8_000_000 << 10
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory(meminfo, tmp_path) == 8_000_000 << 10
    (tmp_path / "memory.max").write_text(f"{4 * GIB}\n")
    assert free_memory(meminfo, tmp_path) == 4 * GIB - 1000
    assert free_memory(tmp_path / "none", tmp_path / "none") == 0
