"""Tries one probe of a running container again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbox.kubernetes.kubelet import actions
from sandbox.kubernetes.kubelet.actions import Target
from sandbox.kubernetes.kubelet.probes import Probe, Tally

__all__ = ["follow"]


async def follow(
    probe: Probe,
    target: Target,
    begun: float,
    settled: Callable[[bool], bool],
    failed: Callable[[str], None],
) -> bool:
    """Probe until the probe has said its last.

    Args:
        probe: what is tried, and how often.
        target: the container.
        begun: the event loop's time of the container's start; the initial delay counts from there.
        settled: told each result that a threshold confirms; whether to go on.
        failed: told the output of each bad try.

    Returns:
        The last confirmed result.
    """
    loop = asyncio.get_running_loop()
    tick = max(loop.time(), begun + probe.initial_delay)
    tally = Tally(probe)
    while True:
        await asyncio.sleep(tick - loop.time())
        outcome = await actions.run(probe.action, target, probe.timeout)
        if not outcome.good:
            failed(outcome.output)
        result = tally.record(outcome.good)
        if result is not None and not settled(result):
            return result
        # A try that took longer than the period delays the next one; ticks are not made up for.
        tick = max(loop.time(), tick + probe.period)
