# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The plan of the module queue_routing: pure, from runtimes and what there is to the changes in their order.

The order loses nothing: filter_settle says why for those who publish by model or tier. Intake names the runtime in
every message: it hears of a new runtime only when that is fed, and one that goes is fed until no intake names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import (
    filter_settle,
    queues,
    route_table,
    routing_rules,
    subscriptions,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import Account
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queues import Queue
from ansible_collections.stable_diffusion.eks.plugins.module_utils.routing_rules import DEAD, UNROUTED, Runtime
from ansible_collections.stable_diffusion.eks.plugins.module_utils.subscriptions import Subscription

# How the module knows its own queues again, also those that no runtime names any more.
OWNER_TAG = "stable_diffusion.eks/routing"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for all queues. visibility and retention in seconds; prune and force concern deletions.

    filter_settle: seconds within which SNS applies a filter. route_settle: those until no intake goes by an older
    route table.
    """

    name: str
    topic_arn: str
    account: Account
    visibility: int
    retention: int
    max_receive_count: int
    table: str | None = None
    tags: Mapping[str, str] | None = None
    purge_tags: bool = True
    prune: bool = False
    force: bool = False
    filter_settle: int = 900
    route_settle: int = 60

    def queue(self, runtime: str) -> str:
        """The name of a runtime's queue."""
        return f"{self.name}-{runtime}"

    def arn(self, queue: str) -> str:
        """The ARN of a queue by its name."""
        return self.account.arn("sqs", queue)


@dataclass(frozen=True, kw_only=True)
class Current:
    """What there is: the queues whose names fit, all subscriptions of the topic, the route table."""

    queues: Mapping[str, Queue]
    subscriptions: Sequence[Subscription]
    published: route_table.Published | None = None


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Changes that may be made at the same time.

    name: cover (queues, subscriptions, filters that take more), switch (filters that take less, the route table) or
    remove. due: from when on they lose no message, seconds since the epoch; None for at once.
    """

    name: str
    changes: list[Change]
    due: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All phases that have something to do, in their order; kept: queues that stay because they hold messages."""

    phases: list[Phase]
    kept: list[str]

    def at(self, now: float) -> tuple[list[Phase], list[Phase]]:
        """The phases that may be made now, and those to come."""
        soon = [phase for phase in self.phases if phase.due is None or phase.due <= now]
        return soon, self.phases[len(soon) :]


def wanted_queues(settings: Settings, runtimes: Sequence[Runtime]) -> dict[str, dict[str, Any]]:
    """The attributes of every queue, by its name."""
    wanted = {}
    for runtime in runtimes:
        main = settings.queue(runtime.name)
        wanted[main + DEAD] = {
            **_attributes(settings, main + DEAD),
            "RedriveAllowPolicy": {"redrivePermission": "byQueue", "sourceQueueArns": [settings.arn(main)]},
        }
        wanted[main] = {
            **_attributes(settings, main, fed=True),
            "RedrivePolicy": {
                "deadLetterTargetArn": settings.arn(main + DEAD),
                "maxReceiveCount": settings.max_receive_count,
            },
        }
    last = settings.queue(UNROUTED)
    wanted[last] = _attributes(settings, last, fed=True)
    queues.check_names(wanted)
    return wanted


def _attributes(settings: Settings, queue: str, fed: bool = False) -> dict[str, Any]:
    arn = settings.arn(queue)
    statements = [queues.tls_only(arn)]
    if fed:
        statements.append(queues.fed_by(arn, settings.topic_arn))
    return queues.attributes(*statements, retention=settings.retention, visibility=settings.visibility)


def wanted_subscriptions(settings: Settings, runtimes: Sequence[Runtime]) -> dict[str, dict[str, Any]]:
    """The subscription of every queue that the topic feeds, by the queue's name."""
    policies = routing_rules.filter_policies(runtimes)
    routing_rules.check_limits(policies)
    names = {settings.queue(runtime): policy for runtime, policy in policies.items()}
    return {name: subscriptions.wanted("sqs", settings.arn(name), policy) for name, policy in names.items()}


def plan(settings: Settings, runtimes: Sequence[Runtime] | None, current: Current, now: float) -> Plan:
    """Every change, in the order in which to make them; None as runtimes takes everything away, at once.

    now: seconds since the epoch. Run again after any part of it, it gives the rest.
    """
    if runtimes is None:
        return _teardown(settings, current)
    to_be, to_feed = wanted_queues(settings, runtimes), wanted_subscriptions(settings, runtimes)
    queues.check_owner(current.queues, to_be, OWNER_TAG, settings.name)
    surplus = _surplus_subscriptions(settings, to_feed, current)
    feeds, narrow = filter_settle.steps(subscriptions.plan(current.subscriptions, to_feed))
    filter_settle.check_count(len(current.subscriptions), feeds)
    routes = _routes(settings, current, routing_rules.route_table(runtimes))
    unfeed = subscriptions.plan_delete(surplus)
    deletions, kept = _deletions(settings, current, to_be, settings.prune)

    switch_at = remove_at = None
    if narrow or unfeed:
        switch_at = filter_settle.settled_at(feeds, mark(settings, current), now, settings.filter_settle)
    if unfeed:
        remove_at = _forgotten(settings, current, routes, switch_at, now)
    phases = [
        Phase(name="cover", changes=_queues(settings, current, to_be) + feeds),
        Phase(name="switch", changes=narrow + routes, due=switch_at),
        Phase(name="remove", changes=unfeed + deletions, due=remove_at),
    ]
    return Plan(phases=[phase for phase in phases if phase.changes], kept=kept)


def _teardown(settings: Settings, current: Current) -> Plan:
    unfeed = subscriptions.plan_delete(_surplus_subscriptions(settings, {}, current))
    deletions, kept = _deletions(settings, current, {}, True)
    changes = _routes(settings, current, None) + unfeed + deletions
    return Plan(phases=[Phase(name="remove", changes=changes)] if changes else [], kept=kept)


def _queues(settings: Settings, current: Current, to_be: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    # Without the operator's tags none of the present ones is purged.
    purge = settings.purge_tags and settings.tags is not None
    tags = {**(settings.tags or {}), OWNER_TAG: settings.name}
    last = settings.queue(UNROUTED)
    value = mark(settings, current)
    marked = {**tags, filter_settle.MARK: value} if value else tags
    changes = queues.plan(current.queues, {name: to_be[name] for name in to_be if name != last}, tags, purge)
    return changes + queues.plan(current.queues, {last: to_be[last]}, marked, purge)


def mark(settings: Settings, current: Current) -> str | None:
    """What an earlier run has left about the filters that it widened (filter_settle.MARK)."""
    last = current.queues.get(settings.queue(UNROUTED))
    return last.tags.get(filter_settle.MARK) if last else None


def _routes(settings: Settings, current: Current, wanted: Mapping[str, Any] | None) -> list[Change]:
    if not settings.table:
        return []
    return route_table.plan(settings.table, current.published and current.published.routes, wanted)


def _forgotten(
    settings: Settings, current: Current, routes: Sequence[Change], switch_at: float | None, now: float
) -> float | None:
    """When no intake names a runtime any more that the route table does not list."""
    if not settings.table:
        return switch_at
    written_at = (switch_at or now) if routes else (current.published.at if current.published else 0)
    due = max(switch_at or 0, written_at + settings.route_settle)
    return due if due > now else None


def _deletions(
    settings: Settings, current: Current, to_be: Mapping[str, Any], wished: bool
) -> tuple[list[Change], list[str]]:
    surplus = [name for name in _own(settings, current) if name not in to_be] if wished else []
    return queues.plan_delete(current.queues, surplus, settings.force)


def _own(settings: Settings, current: Current) -> list[str]:
    return [name for name, queue in current.queues.items() if queue.tags.get(OWNER_TAG) == settings.name]


def _surplus_subscriptions(settings: Settings, to_feed: Mapping[str, Any], current: Current) -> dict[str, Subscription]:
    """Subscriptions of our queues that no runtime names, and those that point to no queue any more."""
    prefix = settings.arn(f"{settings.name}-")
    own = _own(settings, current)
    surplus = {}
    for subscription in current.subscriptions:
        queue = subscription.endpoint.rsplit(":", 1)[-1]
        ours = queue in own or queue not in current.queues
        if (
            subscription.protocol == "sqs"
            and subscription.endpoint.startswith(prefix)
            and ours
            and queue not in to_feed
        ):
            surplus[queue] = subscription
    return surplus


def facts(settings: Settings, runtimes: Sequence[Runtime], urls: Mapping[str, str]) -> dict[str, Any]:
    """What the module returns about the queues."""
    policies = routing_rules.filter_policies(runtimes)
    by_runtime = {}
    for runtime in runtimes:
        main = settings.queue(runtime.name)
        dead = main + DEAD
        by_runtime[runtime.name] = {
            **_facts(settings, main, urls),
            **{f"dlq_{key}": value for key, value in _facts(settings, dead, urls).items()},
            "filter_policy": policies[runtime.name],
        }
    return {"queues": by_runtime, "unrouted": _facts(settings, settings.queue(UNROUTED), urls)}


def _facts(settings: Settings, queue: str, urls: Mapping[str, str]) -> dict[str, str]:
    return {"name": queue, "url": urls[queue], "arn": settings.arn(queue)}
