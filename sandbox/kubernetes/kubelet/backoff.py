"""Growing delays between tries, as kubelet's flowcontrol.Backoff has them: 10 s, doubled up to 5 minutes."""

from __future__ import annotations

__all__ = ["BackOff"]

_FIRST_S = 10.0
_MOST_S = 300.0
# A container that ran this long starts afresh.
_FORGET_S = 2 * _MOST_S


class BackOff:
    """The delays of one container.

    Args:
        free: tries that may follow at once (a container's first restart does, a second pull of its image does not).
    """

    def __init__(self, *, free: int) -> None:
        self._free = free
        self._tries = 0
        self._resumed = 0.0

    def delay(self, failed: float) -> float:
        """Seconds between a failure at that time (of any clock, in seconds) and the next try; each call counts one."""
        if failed - self._resumed > _FORGET_S:
            self._tries = 0
        grown = self._tries - self._free
        wait = 0.0 if grown < 0 else float(min(_FIRST_S * 2.0**grown, _MOST_S))
        self._tries += 1
        self._resumed = failed + wait
        return wait
