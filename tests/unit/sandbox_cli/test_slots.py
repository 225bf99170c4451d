"""Slots and ports: two sandboxes never share one."""

from __future__ import annotations

import socket

import pytest

from sandbox import slots
from sandbox.errors import SandboxError
from sandbox.state import PORTS


def test_two_holders_get_two_slots_and_a_freed_one_is_taken_again() -> None:
    first, hold = slots.hold_slot()
    second, other = slots.hold_slot(first)
    assert first != second
    hold.close()
    again, hold = slots.hold_slot(first)
    assert again == first
    hold.close()
    other.close()


def test_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    slot, hold = slots.hold_slot()
    monkeypatch.setattr(slots, "SLOTS", range(slot, slot + 1))
    with hold, pytest.raises(SandboxError, match="All 1 sandboxes"):
        slots.hold_slot()


def test_ports_are_distinct_free_and_of_the_slot() -> None:
    with hold_high_slot() as hold:
        slot = int(hold.getsockname().rpartition(b"/")[2])
        ports = slots.choose_ports(slot)
        assert list(ports) == list(PORTS)
        assert len(set(ports.values())) == len(PORTS)
        assert all(20000 + 100 * slot <= port < 20100 + 100 * slot for port in ports.values())
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", ports["etcd"]))
            assert ports["etcd"] not in slots.choose_ports(slot).values()


def test_a_port_asked_for_is_used_or_told_busy() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        port = busy.getsockname()[1]
        with pytest.raises(SandboxError, match=f"Port {port} on 127.0.0.1 is busy"):
            slots.choose_ports(40, aws=port)
    assert slots.choose_ports(40, aws=port)["aws"] == port


def test_too_few_free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_PORTS_PER_SLOT", len(PORTS) - 1)
    with pytest.raises(SandboxError, match="Too few ports"):
        slots.choose_ports(40)


def hold_high_slot() -> socket.socket:
    """A slot that no sandbox of this machine is likely to want."""
    return slots.hold_slot(39)[1]
