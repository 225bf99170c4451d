# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The plan of the module queue_routing: pure, from runtimes and what there is to the changes in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import (
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
    """What holds for all queues. visibility and retention in seconds; prune and force concern deletions."""

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
    routes: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """make comes before remove, so that a message always finds a queue; kept: queues that still hold messages."""

    make: list[Change]
    remove: list[Change]
    kept: list[str]


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


def plan(settings: Settings, runtimes: Sequence[Runtime] | None, current: Current) -> Plan:
    """Every change, in the order in which to make them; None as runtimes takes everything away."""
    present = runtimes is not None
    to_be = wanted_queues(settings, runtimes) if present else {}
    to_feed = wanted_subscriptions(settings, runtimes) if present else {}
    routes = routing_rules.route_table(runtimes) if present else None
    queues.check_owner(current.queues, to_be, OWNER_TAG, settings.name)

    # Without the operator's tags none of the present ones is purged.
    tags = {**(settings.tags or {}), OWNER_TAG: settings.name}
    make = queues.plan(current.queues, to_be, tags, settings.purge_tags and settings.tags is not None)
    make += subscriptions.plan(current.subscriptions, to_feed)
    if settings.table:
        make += route_table.plan(settings.table, current.routes, routes)

    remove = subscriptions.plan_delete(_surplus_subscriptions(settings, to_feed, current))
    surplus = [name for name in _own(settings, current) if name not in to_be]
    deletions, kept = queues.plan_delete(
        current.queues, surplus if settings.prune or not present else [], settings.force
    )
    return Plan(make=make, remove=remove + deletions, kept=kept)


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
