"""Waiting for what other tasks or processes do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["until"]

_TICK_S = 0.01


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Return as soon as something is true; a TimeoutError if that takes too long."""
    for _ignored in range(int(seconds / _TICK_S)):
        if true():
            return
        await asyncio.sleep(_TICK_S)
    raise TimeoutError(f"not true after {seconds:g} s")
