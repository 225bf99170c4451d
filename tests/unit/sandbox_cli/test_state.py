"""The state file and what follows from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.errors import NotUpError, SandboxError
from sandbox.state import ACCOUNT, PORTS, REGION, SLOTS, State

PORT_NUMBERS = dict(zip(PORTS, range(20000, 20000 + len(PORTS)), strict=True))


def state(directory: Path, slot: int = 3) -> State:
    return State(directory, ACCOUNT, REGION, slot, PORT_NUMBERS, kubernetes=False, hpa_sync="5s")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state(tmp_path).save()
    assert State.load(tmp_path) == state(tmp_path)
    assert not (tmp_path / "state.json.part").exists()


def test_a_moved_directory_is_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    state(tmp_path / "old").save()
    (tmp_path / "old").rename(tmp_path / "new")
    assert State.load(tmp_path / "new").directory == tmp_path / "new"


def test_no_state_is_no_sandbox(tmp_path: Path) -> None:
    with pytest.raises(NotUpError, match="There is no sandbox in"):
        State.load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"slot": 1}', '{"unknown": 1}'])
def test_a_damaged_state_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(SandboxError, match="is unreadable"):
        State.load(tmp_path)


def test_addresses_of_slots_never_meet(tmp_path: Path) -> None:
    nets = [n for slot in SLOTS for s in [state(tmp_path, slot)] for n in (s.pod_net, s.service_net, s.node_net)]
    assert len(set(nets)) == 3 * len(SLOTS)
    assert (min(nets), max(nets)) == (64, 226)


def test_urls(tmp_path: Path) -> None:
    assert (state(tmp_path).aws_url, state(tmp_path).api_url) == ("http://127.0.0.1:20000", "https://127.0.0.1:20003")


def test_the_socket_has_a_short_path_even_in_a_deep_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state(Path("/s")).connect_socket == Path("/s/connect.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    deep, other = (state(Path("/") / ("d" * 90) / name).connect_socket for name in ("one", "two"))
    assert len(os.fsencode(deep)) <= 107
    assert deep != other
    assert deep.is_relative_to("/run/user/1000")
