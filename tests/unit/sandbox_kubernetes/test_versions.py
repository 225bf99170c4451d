from __future__ import annotations

import re

import pytest

from sandbox.kubernetes.go_toolchain import Go
from sandbox.kubernetes.versions import BINARIES, KUBERNETES, Binary, required_go

BY_NAME = pytest.mark.parametrize("binary", BINARIES, ids=lambda binary: binary.name)


@BY_NAME
def test_a_version_is_the_one_that_go_mod_requires_and_go_sum_knows(binary: Binary) -> None:
    go_mod = (binary.directory / "go.mod").read_text()
    assert re.search(rf"^require {re.escape(binary.module)} v{re.escape(binary.version)}$", go_mod, re.MULTILINE)
    assert f"\n{binary.module} v{binary.version} h1:" in "\n" + (binary.directory / "go.sum").read_text()


@BY_NAME
def test_a_package_is_a_tool_of_its_go_mod(binary: Binary) -> None:
    # Otherwise `go mod tidy` would drop what it needs from go.sum.
    tools = re.findall(r"^(?:tool |\t)([^\s]+)$", (binary.directory / "go.mod").read_text(), re.MULTILINE)
    assert binary.package in tools


@BY_NAME
def test_a_patch_is_for_a_module_that_go_sum_knows(binary: Binary) -> None:
    if binary.patch:
        known = (binary.directory / "go.sum").read_text()
        assert f"\n{binary.patch.module} {binary.patch.version} h1:" in "\n" + known


@BY_NAME
def test_a_stamp_names_the_version(binary: Binary) -> None:
    assert not binary.stamp or binary.version in binary.stamp


def test_kubernetes_own_modules_have_its_minor_version() -> None:
    kubernetes = next(binary for binary in BINARIES if binary.folder == "kubernetes")
    replaced = re.findall(
        r"^\t(k8s\.io/\S+) => (k8s\.io/\S+) (v\S+)$", (kubernetes.directory / "go.mod").read_text(), re.M
    )
    assert len(replaced) > 25
    assert {version for _ignored, _ignored, version in replaced} == {f"v0{KUBERNETES[1:]}"}
    assert all(old == new for old, new, _ignored in replaced)


def test_the_highest_go_line_decides() -> None:
    assert required_go() >= (1, 26)


def test_the_environment_lets_nothing_change_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GOFLAGS": "-mod=vendor",
        "GOARCH": "arm",
        "GOWORK": "/x/go.work",
        "GOPROXY": "https://p",
    }.items():
        monkeypatch.setenv(name, value)
    environment = Go.environment()
    assert environment["GOFLAGS"] == "-buildvcs=false"
    assert environment["GOWORK"] == "off"
    assert environment["GOPROXY"] == "https://p"
    assert "GOARCH" not in environment
