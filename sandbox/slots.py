"""Two sandboxes side by side: each holds a slot, which gives it ports and loopback addresses that no other one uses."""

from __future__ import annotations

import errno
import socket

from sandbox.errors import SandboxError
from sandbox.state import PORTS, SLOTS

__all__ = ["choose_ports", "hold_slot"]

# Below the kernel's usual range of ephemeral ports (32768-60999) and Kubernetes' node ports (30000-32767).
_FIRST_PORT = 20000
_PORTS_PER_SLOT = 100


def hold_slot(preferred: int | None = None) -> tuple[int, socket.socket]:
    """Take a slot for as long as the returned socket, or a copy that a started process inherits, is open.

    The hold is an abstract Unix socket's name (unix(7)): taken at once or not at all, and given back by the kernel when
    the last process of the sandbox is dead, however it died. It is known as far as the addresses are: in this network
    namespace.

    Raises:
        SandboxError: every slot is taken.
    """
    for slot in sorted(SLOTS, key=lambda number: number != preferred):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            name.bind(f"\0stable_diffusion.eks/sandbox/{slot}")
        except OSError as error:
            name.close()
            if error.errno != errno.EADDRINUSE:
                raise SandboxError(f"No slot can be held on this machine: {error}.") from error
        else:
            return slot, name
    raise SandboxError(f"All {len(SLOTS)} sandboxes that this machine can hold are up; take one down first.")


def choose_ports(slot: int, *, aws: int | None = None) -> dict[str, int]:
    """A free port on 127.0.0.1 for each process; `aws` asks for a certain one of the embedded AWS.

    Raises:
        SandboxError: the port asked for is busy, or the slot's whole range is.
    """
    first = _FIRST_PORT + _PORTS_PER_SLOT * slot
    free = (port for port in range(first, first + _PORTS_PER_SLOT) if port != aws and _is_free(port))
    ports: dict[str, int] = {}
    for name in PORTS:
        if name == "aws" and aws is not None:
            if not _is_free(aws):
                raise SandboxError(f"Port {aws} on 127.0.0.1 is busy; leave --port away to have a free one chosen.")
            ports[name] = aws
            continue
        port = next(free, None)
        if port is None:
            raise SandboxError(
                f"Too few ports between {first} and {first + _PORTS_PER_SLOT - 1} on 127.0.0.1 are free."
            )
        ports[name] = port
    return ports


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier server that are in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
