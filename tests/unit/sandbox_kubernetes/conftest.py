"""A cache of its own for each test, and a `go` that compiles shell scripts."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.kubernetes import charts
from sandbox.kubernetes.binary_cache import Cache
from sandbox.kubernetes.build import ensure
from sandbox.kubernetes.patches import Patch
from sandbox.kubernetes.versions import BINARIES, Binary
from sandbox.state import State

# Looked up before any test moves the cache away.
_REAL = Cache.current()

# Told by its environment which package fails, with which words, or presses Ctrl-C half-way.
_GO = """#!/bin/sh
case "$1" in
version) echo "go version ${FAKE_GO_VERSION:-go1.27.3} linux/amd64"; exit ;;
mod)
  for module; do :; done
  echo "$module" >> "$FAKE_GO_DIRECTORY/downloads"
  [ -z "$FAKE_GO_OFFLINE" ] || { echo '{"Error": "dial tcp: no such host"}'; exit 1; }
  echo "{\\"Dir\\": \\"$FAKE_GO_DIRECTORY/modules/$module\\"}"; exit ;;
esac
for argument; do
  case "$argument" in -o=*) output="${argument#-o=}" ;; esac
  package="$argument"
done
echo "$package" >> "$FAKE_GO_DIRECTORY/calls"
if [ "$package" = "$FAKE_GO_FAILS" ]; then
  [ -e "$FAKE_GO_DIRECTORY/failed" ] && [ -n "$FAKE_GO_FAILS_ONCE" ] || {
    : > "$FAKE_GO_DIRECTORY/failed"; echo "go: downloading example.com v1"; echo "$FAKE_GO_SAYS"; exit 1; }
fi
if [ "$package" = "$FAKE_GO_INTERRUPTS" ]; then
  echo half > "$output"; echo $$ > "$FAKE_GO_DIRECTORY/pid"; kill -INT "$PPID"; exec sleep 60
fi
name="${output##*/.}"
cp "$FAKE_GO_DIRECTORY/programs/${name%.part}" "$output"
"""


@dataclass(frozen=True)
class FakeGo:
    """Where the fake toolchain keeps its things."""

    directory: Path
    path: Path

    def calls(self) -> list[str]:
        """The packages that were compiled, in order; forgotten then."""
        file = self.directory / "calls"
        lines = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def program(self, file: Path, binary: Binary, version: str | None = None, *, as_published: bool = False) -> Path:
        """Write a script that passes for a compiled program, patched as the sandbox has it or not."""
        version = version or binary.version
        file.parent.mkdir(parents=True, exist_ok=True)
        patch = None if as_published else binary.patch
        modules = {f"mod\t{binary.module}\tv{version}": "\th1:x="}
        if patch:
            kind = "mod" if patch.module == binary.module else "dep"
            modules[f"{kind}\t{patch.module}\t{patch.version}"] = f"\n=>\t./{patch.directory}\t(devel)\t"
        lines = "\n".join(module + end for module, end in modules.items())
        file.write_text(f"#!/bin/sh\necho {binary.name} v{version}\nexit\n{lines}\n")
        file.chmod(0o755)
        return file

    def module(self, patch: Patch, times: int | None = None) -> Path:
        """Write a read-only module, as Go's module cache has it, with the text that is to be replaced."""
        module = self.directory / "modules" / f"{patch.module}@{patch.version}"
        file = module / patch.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text("package x\n" + f"\t{patch.old}\n" * (patch.times if times is None else times))
        file.chmod(0o444)
        return module


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory of the user's."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return cache


@pytest.fixture
def go(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """A fake toolchain beside Python, and a PATH without any of the programs."""
    fake = FakeGo(tmp_path / "fake", tmp_path / "path")
    fake.path.mkdir()
    for tool in ("cp", "sleep"):
        (fake.path / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(fake.path))
    monkeypatch.setenv("FAKE_GO_DIRECTORY", str(fake.directory))
    for binary in BINARIES:
        fake.program(fake.directory / "programs" / binary.name, binary)
        if binary.patch:
            fake.module(binary.patch)
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    compiler = python.parent / "go"
    compiler.write_text(_GO)
    compiler.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return fake


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the charts were packaged: their sources are real Go modules."""
    monkeypatch.setattr(charts, "are_cached", lambda entry: True)


@pytest.fixture
def lines() -> list[str]:
    """Collects what is reported."""
    return []


@pytest.fixture
def real_cache() -> Path:
    """The user's real cache entry; the test is skipped where nothing was compiled yet."""
    if _REAL.missing():
        pytest.skip("the Kubernetes programs are not compiled on this machine (sandbox up compiles them)")
    ensure(print)
    return _REAL.directory


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A sandbox that was never started."""
    names = ("aws", "etcd", "etcd_peer", "apiserver", "controller_manager", "scheduler")
    with contextlib.ExitStack() as held:  # free ones: a sandbox of this machine may be up
        sockets = {name: held.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        ports = {name: int(listening.getsockname()[1]) for name, listening in sockets.items()}
    yield State(tmp_path / "state", "123456789012", "us-east-1", 3, ports, hpa_sync="7s")
