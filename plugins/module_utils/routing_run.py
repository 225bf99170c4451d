# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What the module queue_routing does besides planning: read, change, and let pass the time between two phases."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import (
    filter_settle,
    queues,
    route_table,
    subscriptions,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import client
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queue_routing import (
    Current,
    Phase,
    Plan,
    Settings,
    mark,
    plan,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.routing_rules import UNROUTED, Runtime

# Phases are three; a plan that is made again a moment too early asks for the rest of the time once more.
ROUNDS = 8


class World:
    """The queues, subscriptions and route table in AWS. urls: those of all queues met so far, by name."""

    def __init__(self, module: Any, settings: Settings) -> None:
        self.sqs, self.sns = client(module, "sqs"), client(module, "sns")
        self.dynamodb = client(module, "dynamodb") if settings.table else None
        self.settings = settings
        self.urls: dict[str, str] = {}

    def read(self) -> Current:
        """What there is now."""
        table = self.settings.table
        current = Current(
            queues=queues.read(self.sqs, f"{self.settings.name}-", tags=True),
            subscriptions=subscriptions.read(self.sns, self.settings.topic_arn),
            published=route_table.read(self.dynamodb, table) if table else None,
        )
        self.urls.update({name: queue.url for name, queue in current.queues.items()})
        return current

    def apply(self, current: Current, phases: Sequence[Phase]) -> None:
        """Make the phases' changes; the time of a widening is kept in AWS, even if the run is killed on the way."""
        widening = any(filter_settle.widens(phase.changes) for phase in phases)
        if mark(self.settings, current) == filter_settle.BEGUN and not widening:
            # A run was killed after its last widening, at a time that nobody knows.
            self._remember_now()
        for phase in phases:
            subscriptions.apply_deletions(self.sns, self.settings.topic_arn, phase.changes)
            self.urls.update(queues.apply(self.sqs, current.queues, phase.changes))
            if filter_settle.widens(phase.changes):
                self._remember(filter_settle.BEGUN)
                subscriptions.apply(self.sns, self.settings.topic_arn, phase.changes)
                self._remember_now()
            else:
                subscriptions.apply(self.sns, self.settings.topic_arn, phase.changes)
            route_table.apply(self.dynamodb, phase.changes)

    def _remember_now(self) -> None:
        self._remember(str(math.ceil(time.time())))

    def _remember(self, value: str) -> None:
        filter_settle.write_mark(self.sqs, self.urls[self.settings.queue(UNROUTED)], value)


def carry_out(
    world: World, runtimes: Sequence[Runtime] | None, *, check: bool, wait: bool
) -> tuple[list[Change], list[str], dict[str, Any]]:
    """Plan and apply, again after each wait: the changes made, the queues kept, and what the module says of the order.

    check: apply nothing, and tell of all that a run would do.
    """
    begun_at = now = time.time()
    current = world.read()
    first = todo = plan(world.settings, runtimes, current, now)
    made: list[Change] = []
    soon, later = todo.at(now)
    for _ignored in range(ROUNDS):
        made += _changes(soon)
        if not check:
            world.apply(current, soon)
        if check or not later or not wait:
            break
        # SNS tells nobody when a filter is in force: there is nothing to ask, only a time to let pass.
        time.sleep(max(0.0, (later[0].due or 0) - time.time()))
        now = time.time()
        current = world.read()
        todo = plan(world.settings, runtimes, current, now)
        soon, later = todo.at(now)
    if check and wait:
        made, later = made + _changes(later), []
    return made, todo.kept, _order(first, later, begun_at)


def _changes(phases: Sequence[Phase]) -> list[Change]:
    return [change for phase in phases for change in phase.changes]


def _order(first: Plan, later: Sequence[Phase], now: float) -> dict[str, Any]:
    until = max((phase.due for phase in later if phase.due), default=None)
    return {
        "phases": [
            {
                "name": phase.name,
                "after": math.ceil(max(0.0, (phase.due or now) - now)),
                "changes": [str(change) for change in phase.changes],
            }
            for phase in first.phases
        ],
        "pending": [str(change) for change in _changes(later)],
        "pending_until": until and time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(math.ceil(until))),
    }
