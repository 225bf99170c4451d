"""A program that the sandbox changes is compiled from a changed copy of one module, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.kubernetes import binary_cache
from sandbox.kubernetes.binary_cache import Cache
from sandbox.kubernetes.build_error import BuildError
from sandbox.kubernetes.go_toolchain import Go
from sandbox.kubernetes.patches import Patch
from sandbox.kubernetes.patching import build_directory
from sandbox.kubernetes.versions import BINARIES, Binary

PATCHES = {binary: binary.patch for binary in BINARIES if binary.patch}
BOTH = pytest.mark.parametrize(("binary", "patch"), PATCHES.items(), ids=[binary.name for binary in PATCHES])
KARPENTER, ADAPTER = PATCHES


def made(binary: Binary) -> Path:
    return build_directory(binary, Go.find(), Cache.current())


def test_only_those_without_an_option_for_their_address_are_changed() -> None:
    assert [binary.name for binary in PATCHES] == ["karpenter", "keda-adapter"]


def test_any_other_program_is_compiled_beside_its_go_mod(go: Any) -> None:
    assert made(BINARIES[0]) == BINARIES[0].directory


@BOTH
def test_the_copy_is_changed_and_takes_the_modules_place(go: Any, binary: Binary, patch: Patch) -> None:
    module = go.module(patch)
    (module / "docs").mkdir()
    (module / "docs" / "a.md").write_text("a")
    (module / "docs").chmod(0o555)
    for _again in range(2):
        directory = made(binary)
    copy = directory / patch.directory
    assert (copy / patch.file).read_text() == "package x\n" + f"\t{patch.new}\n" * patch.times
    assert (copy / "docs" / "a.md").read_text() == "a"
    assert patch.old in (module / patch.file).read_text()
    replacement = f"\nreplace {patch.module} {patch.version} => ./{patch.directory}\n"
    assert (directory / "go.mod").read_text() == (binary.directory / "go.mod").read_text() + replacement
    assert (directory / "go.sum").read_bytes() == (binary.directory / "go.sum").read_bytes()


@BOTH
def test_the_change_puts_pod_ip_in_front_of_the_port_and_nothing_else(binary: Binary, patch: Patch) -> None:
    before, _ignored, after = patch.old.partition("fmt.")
    added = patch.new.removeprefix(before).removesuffix(f"fmt.{after}")
    assert added in ('os.Getenv("POD_IP") + ', 'env.WithDefaultString("POD_IP", "") + ')


@pytest.mark.parametrize("times", [0, 1, 3])
def test_another_source_than_the_change_was_made_for(go: Any, times: int) -> None:
    go.module(KARPENTER.patch, times)
    with pytest.raises(BuildError) as failure:
        made(KARPENTER)
    assert str(failure.value).startswith("sigs.k8s.io/karpenter v1.14.3 is not what the sandbox's change to it was")
    assert f" {times} times instead of 2; the pinned version changed" in str(failure.value)


def test_a_source_that_is_gone(go: Any) -> None:
    (go.module(ADAPTER.patch) / PATCHES[ADAPTER].file).unlink()
    with pytest.raises(BuildError, match="0 times instead of 1"):
        made(ADAPTER)


def test_a_module_that_cannot_be_downloaded_is_tried_again_and_told(go: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_OFFLINE", "yes")
    with pytest.raises(
        BuildError, match=r"^The sources of sigs\.k8s\.io/karpenter v1\.14\.3 cannot be obtained .*host"
    ):
        made(KARPENTER)
    assert (go.directory / "downloads").read_text() == "sigs.k8s.io/karpenter@v1.14.3\n" * 3


def test_another_change_is_another_entry_of_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Cache.current()
    patched = replace(KARPENTER, patch=replace(PATCHES[KARPENTER], new="other"))
    monkeypatch.setattr(binary_cache, "BINARIES", tuple(patched if one is KARPENTER else one for one in BINARIES))
    assert Cache.current() != before
