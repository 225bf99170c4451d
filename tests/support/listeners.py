"""Which addresses processes listen on, read from /proc: no tool is needed, and none can hide anything."""

from __future__ import annotations

import contextlib
import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Listener", "listeners"]

# State of a socket that waits for others, by table (the kernel's tcp_states.h); 07 is a UDP socket without a peer.
_WAITING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


@dataclass(frozen=True, order=True)
class Listener:
    """One socket that anybody who reaches its address can talk to."""

    table: str
    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        address = ipaddress.ip_address(self.address)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback


def listeners(pid: int) -> set[Listener]:
    """The listeners of a process of this user; none if it has ended."""
    inodes = set()
    with contextlib.suppress(FileNotFoundError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes.add(str(descriptor.readlink()))
    # The process's own tables: they are those of its network namespace.
    return {one for table in _WAITING for inode, one in _table(pid, table) if f"socket:[{inode}]" in inodes}


def _table(pid: int, table: str) -> Iterator[tuple[str, Listener]]:
    try:
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    except OSError:
        return  # the process has ended, or the machine has no IPv6
    for line in lines:
        _number, local, _remote, state, *_ignored = line.split()
        if state == _WAITING[table]:
            address, port = local.split(":")
            yield line.split()[9], Listener(table, _address(address), int(port, 16))


def _address(text: str) -> str:
    """An address as the kernel prints it: words of 32 bits, each in the machine's byte order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))
