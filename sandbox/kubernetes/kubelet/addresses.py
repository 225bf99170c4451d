"""Addresses: what the API says (10.a.b.c) and what the processes use (127.a.b.c)."""

from __future__ import annotations

__all__ = ["Pool", "local"]

_HOSTS = 254


def local(address: str) -> str:
    """The loopback address that stands for an address of the API."""
    return "127." + address.split(".", 1)[1]


class Pool:
    """Addresses of 10.<net>.0.0/16, given out in turn, so that one that was just freed is not taken again at once.

    Args:
        net: the second octet.
    """

    def __init__(self, net: int) -> None:
        self._prefix = f"10.{net}."
        self._taken: set[str] = set()
        self._last = -1

    def owns(self, address: str) -> bool:
        """Whether an address is of this net."""
        return address.startswith(self._prefix)

    def take(self) -> str:
        """A free address.

        Raises:
            RuntimeError: none is free.
        """
        for _ignored in range(256 * _HOSTS):
            self._last = (self._last + 1) % (256 * _HOSTS)
            address = f"{self._prefix}{self._last // _HOSTS}.{self._last % _HOSTS + 1}"
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise RuntimeError(f"every address of {self._prefix}0.0/16 is taken")

    def keep(self, address: str | None) -> bool:
        """Take this very address; False if it is none of ours or is taken."""
        if not address or not self.owns(address) or address in self._taken:
            return False
        self._taken.add(address)
        return True

    def free(self, address: str) -> None:
        """Give an address back."""
        self._taken.discard(address)
