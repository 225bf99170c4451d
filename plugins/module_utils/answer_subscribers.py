# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The plan of the module answer_subscribers: pure, from the operator's list and what there is to the changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import queues, subscriptions
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import Account
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queues import Queue
from ansible_collections.stable_diffusion.eks.plugins.module_utils.subscriptions import Subscription

# How the module knows the queues again that it made.
OWNER_TAG = "stable_diffusion.eks/answers"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for all subscribers. retention and visibility in seconds."""

    name: str
    topic_arn: str
    account: Account
    retention: int
    visibility: int
    tags: Mapping[str, str] | None = None
    purge_tags: bool = True
    prune: bool = False
    force: bool = False

    def queue(self, subscriber: str) -> str:
        """The name of the queue that a subscriber gets if it names no endpoint."""
        return f"{self.name}-answers-{subscriber}"

    def dead_letter_queue(self, subscriber: str) -> str:
        """The name of the queue for answers that SNS could not deliver to a subscriber."""
        return f"{self.queue(subscriber)}-dlq"

    @property
    def prefix(self) -> str:
        """What the names of all these queues start with."""
        return self.queue("")


@dataclass(frozen=True, kw_only=True)
class Subscriber:
    """Who gets answers: an endpoint (for SQS an ARN), or a queue of its own, whose name is then in queue.

    dead_letter_queue: the name of the queue of answers that could not be delivered, if there shall be one.
    """

    name: str
    protocol: str
    endpoint: str
    queue: str | None
    raw: bool
    policy: Mapping[str, Sequence[str]]
    dead_letter_queue: str | None = None

    @property
    def queues(self) -> list[str]:
        """Names of the queues that the subscriber needs."""
        return [name for name in (self.queue, self.dead_letter_queue) if name]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The changes in their order, and queues kept because they hold messages."""

    changes: list[Change]
    kept: list[str]


def normalise(settings: Settings, entries: Iterable[Mapping[str, Any]]) -> list[Subscriber]:
    """Subscribers from the operator's list; raises BadInput naming the entry that is wrong."""
    subscribers: list[Subscriber] = []
    for entry in entries:
        subscriber = _subscriber(settings, entry)
        for other in subscribers:
            if other.name == subscriber.name:
                raise BadInput(f"subscriber {subscriber.name} is listed twice")
            if (other.protocol, other.endpoint) == (subscriber.protocol, subscriber.endpoint):
                raise BadInput(f"subscriber {subscriber.name} has the endpoint of {other.name}: SNS knows it only once")
            for shared in set(subscriber.queues) & set(other.queues):
                raise BadInput(f"subscribers {other.name} and {subscriber.name} would share the queue {shared}")
        subscribers.append(subscriber)
    return subscribers


def _subscriber(settings: Settings, entry: Mapping[str, Any]) -> Subscriber:
    name, protocol, endpoint = entry["name"], entry["protocol"], entry.get("endpoint")
    if not NAME.fullmatch(name):
        raise BadInput(f"subscriber {name!r} must be named with lower-case letters, digits and hyphens inside")
    queue = None
    if protocol == "sqs" and not endpoint:
        queue = settings.queue(name)
        endpoint = settings.account.arn("sqs", queue)
    elif not endpoint:
        raise BadInput(f"subscriber {name} needs an endpoint for the protocol {protocol}")
    elif protocol == "sqs" and not endpoint.startswith("arn:"):
        raise BadInput(f"subscriber {name} needs the ARN of its queue as endpoint, not {endpoint}")
    elif protocol != "sqs" and not endpoint.startswith(f"{protocol}://"):
        raise BadInput(f"subscriber {name} needs an endpoint that starts with {protocol}://, not {endpoint}")
    policy = {key: values for key, values in (entry.get("filter") or {}).items() if values}
    dead_letter = entry.get("dead_letter")
    if dead_letter is None:
        dead_letter = protocol != "sqs"
    subscriber = Subscriber(
        name=name,
        protocol=protocol,
        endpoint=endpoint,
        queue=queue,
        raw=bool(entry.get("raw")),
        policy=policy,
        dead_letter_queue=settings.dead_letter_queue(name) if dead_letter else None,
    )
    queues.check_names(subscriber.queues)
    return subscriber


def plan(
    settings: Settings,
    subscribers: Sequence[Subscriber] | None,
    current_queues: Mapping[str, Queue],
    subscribed: Sequence[Subscription],
) -> Plan:
    """Every change, in the order in which to make them; None as subscribers takes away all that this module made."""
    to_be = {name: _attributes(settings, name) for s in subscribers or () for name in s.queues}
    to_feed = {s.name: _subscription(settings, s) for s in subscribers or ()}
    queues.check_owner(current_queues, to_be, OWNER_TAG, settings.name)
    tags = {**(settings.tags or {}), OWNER_TAG: settings.name}
    changes = queues.plan(current_queues, to_be, tags, settings.purge_tags and settings.tags is not None)
    changes += subscriptions.plan(subscribed, to_feed)

    own = [name for name, queue in current_queues.items() if queue.tags.get(OWNER_TAG) == settings.name]
    if subscribers is None:
        own_arns = {settings.account.arn("sqs", name) for name in own}
        ours = [s for s in subscribed if {s.endpoint, (s.properties or {}).get("dead_letter_queue")} & own_arns]
        unsubscribed = {s.endpoint: s for s in ours}
    elif settings.prune:
        kept_endpoints = {s.endpoint for s in subscribers}
        unsubscribed = {s.endpoint: s for s in subscribed if s.endpoint not in kept_endpoints}
    else:
        unsubscribed = {}
    changes += subscriptions.plan_delete(unsubscribed)
    surplus = [name for name in own if name not in to_be] if settings.prune or subscribers is None else []
    deletions, kept = queues.plan_delete(current_queues, surplus, settings.force)
    return Plan(changes=changes + deletions, kept=kept)


def _subscription(settings: Settings, subscriber: Subscriber) -> dict[str, Any]:
    wanted = subscriptions.wanted(subscriber.protocol, subscriber.endpoint, subscriber.policy, subscriber.raw)
    queue = subscriber.dead_letter_queue
    return {**wanted, "dead_letter_queue": settings.account.arn("sqs", queue) if queue else None}


def _attributes(settings: Settings, queue: str) -> dict[str, Any]:
    arn = settings.account.arn("sqs", queue)
    return queues.attributes(
        queues.tls_only(arn),
        queues.fed_by(arn, settings.topic_arn),
        retention=settings.retention,
        visibility=settings.visibility,
    )


def facts(
    subscribers: Sequence[Subscriber], urls: Mapping[str, str], subscribed: Iterable[Subscription]
) -> dict[str, Any]:
    """What the module returns about the subscribers; a new HTTP(S) endpoint can't have confirmed yet."""
    confirmed = {subscription.endpoint for subscription in subscribed if not subscription.pending}
    return {
        s.name: {
            "protocol": s.protocol,
            "endpoint": s.endpoint,
            "queue_url": urls[s.queue] if s.queue else None,
            "dead_letter_queue_url": urls[s.dead_letter_queue] if s.dead_letter_queue else None,
            "pending": s.protocol != "sqs" and s.endpoint not in confirmed,
        }
        for s in subscribers
    }
