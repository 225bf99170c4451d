# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""SNS subscriptions as values: what a topic's subscriptions shall be, what they are, and the calls between the two."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    Account,
    canonical,
    doing,
    found,
    pages,
    parsed,
    together,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare

NOT_FOUND = ("NotFound", "NotFoundException")
# What SNS lists instead of an ARN until an HTTP(S) endpoint has confirmed.
PENDING = ("PendingConfirmation", "pending confirmation")

KIND = "subscription"
# A caller may call an update of the filter that takes more, or less, than before by a word of its own.
CREATE, UPDATES, NARROW, DELETE = ("create",), ("update", "widen"), ("narrow",), ("delete",)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription as it is; one that its endpoint has not confirmed shows no properties and can't be changed."""

    arn: str
    protocol: str
    endpoint: str
    properties: Mapping[str, Any] | None = None

    @property
    def pending(self) -> bool:
        """Whether the endpoint still has to confirm."""
        return self.arn in PENDING


def topic_arn(where: Account, topic: str) -> str:
    """The ARN of a topic that the operator gave by name or ARN."""
    return topic if topic.startswith("arn:") else where.arn("sns", topic)


def wanted(protocol: str, endpoint: str, policy: Mapping[str, Any], raw: bool = False) -> dict[str, Any]:
    """A subscription as it shall be; an empty policy takes every message."""
    return {"protocol": protocol, "endpoint": endpoint, "filter_policy": dict(policy), "raw": raw}


def read(sns: Any, topic: str) -> list[Subscription]:
    """All subscriptions of a topic, none if there is no such topic (yet)."""
    with doing(f"list the subscriptions of {topic}"):
        listed = found(
            functools.partial(pages, sns, "list_subscriptions_by_topic", "Subscriptions"),
            *NOT_FOUND,
            TopicArn=topic,
        )
        read_one = [functools.partial(_read, sns, entry) for entry in listed or ()]
        return [subscription for subscription in together(read_one) if subscription]


def _read(sns: Any, entry: Mapping[str, str]) -> Subscription | None:
    arn, protocol, endpoint = entry["SubscriptionArn"], entry["Protocol"], entry["Endpoint"]
    if arn in PENDING:
        return Subscription(arn=arn, protocol=protocol, endpoint=endpoint)
    answer = found(sns.get_subscription_attributes, *NOT_FOUND, SubscriptionArn=arn)
    if answer is None:  # unsubscribed since it was listed
        return None
    raw = answer["Attributes"]
    if raw.get("PendingConfirmation") == "true":
        return Subscription(arn=PENDING[0], protocol=protocol, endpoint=endpoint)
    policy = parsed(raw.get("FilterPolicy")) or {}
    # Our policies are about attributes; one about the body differs, whatever it says.
    if raw.get("FilterPolicyScope", "MessageAttributes") != "MessageAttributes":
        policy = {"scope": raw["FilterPolicyScope"], **policy}
    properties = {
        "protocol": protocol,
        "endpoint": endpoint,
        "filter_policy": policy,
        "raw": raw.get("RawMessageDelivery", "false") == "true",
        "dead_letter_queue": (parsed(raw.get("RedrivePolicy")) or {}).get("deadLetterTargetArn"),
    }
    return Subscription(arn=arn, protocol=protocol, endpoint=endpoint, properties=properties)


def plan(current: Iterable[Subscription], names: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    """Changes that make the wanted subscriptions (by the operator's name for each), new ones first; others stay."""
    existing = {(subscription.protocol, subscription.endpoint): subscription for subscription in current}
    changes: list[Change] = []
    for name, properties in names.items():
        subscription = existing.get((properties["protocol"], properties["endpoint"]))
        if subscription and subscription.pending:
            continue
        found_one = compare(KIND, name, subscription.properties if subscription else None, properties)
        changes += [_with(change, subscription) for change in found_one]
    return sorted(changes, key=lambda change: change.action != "create")


def plan_delete(subscriptions: Mapping[str, Subscription]) -> list[Change]:
    """Deletions of these subscriptions; unconfirmed ones SNS forgets by itself and refuses to delete."""
    return [
        _with(Change("delete", KIND, name, dict(subscription.properties or {})), subscription)
        for name, subscription in subscriptions.items()
        if not subscription.pending
    ]


def _with(change: Change, subscription: Subscription | None) -> Change:
    arn = subscription.arn if subscription else None
    return Change(change.action, change.kind, change.name, change.before, change.after, arn)


def apply(sns: Any, topic: str, changes: Sequence[Change]) -> None:
    """Make the creations, then the updates: a message may for a moment match two filters, but never none."""
    _each(_create, sns, topic, changes, CREATE)
    for actions in (UPDATES, NARROW):
        _each(_update, sns, topic, changes, actions)


def apply_deletions(sns: Any, topic: str, changes: Sequence[Change]) -> None:
    """Make the deletions; before those of the queues, so that SNS never sends to a queue that is gone."""
    _each(_delete, sns, topic, changes, DELETE)


def _each(
    call: Callable[[Any, str, Change], None], sns: Any, topic: str, changes: Sequence[Change], actions: Sequence[str]
) -> None:
    ours = [change for change in changes if change.kind == KIND and change.action in actions]
    together([functools.partial(call, sns, topic, change) for change in ours])


def _create(sns: Any, topic: str, change: Change) -> None:
    attributes = {"RawMessageDelivery": _flag(change.after["raw"])}
    if change.after.get("dead_letter_queue"):
        attributes["RedrivePolicy"] = _redrive(change.after["dead_letter_queue"])
    if change.after["filter_policy"]:
        attributes["FilterPolicy"] = canonical(change.after["filter_policy"])
    with doing(f"subscribe {change.name} to {topic}"):
        sns.subscribe(
            TopicArn=topic,
            Protocol=change.after["protocol"],
            Endpoint=change.after["endpoint"],
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )


def _update(sns: Any, topic: str, change: Change) -> None:
    settings: dict[str, str | None] = {}
    if "filter_policy" in change.after:
        if "scope" in change.before["filter_policy"]:
            settings["FilterPolicyScope"] = "MessageAttributes"
        settings["FilterPolicy"] = canonical(change.after["filter_policy"])
    if "raw" in change.after:
        settings["RawMessageDelivery"] = _flag(change.after["raw"])
    if "dead_letter_queue" in change.after:
        queue = change.after["dead_letter_queue"]
        settings["RedrivePolicy"] = _redrive(queue) if queue else None
    with doing(f"change the subscription of {change.name} to {topic}"):
        for name, value in settings.items():
            # SNS takes a redrive policy away where it is given no value; an empty one it refuses.
            given = {} if value is None else {"AttributeValue": value}
            sns.set_subscription_attributes(SubscriptionArn=change.data, AttributeName=name, **given)


def _delete(sns: Any, topic: str, change: Change) -> None:
    with doing(f"unsubscribe {change.name} from {topic}"):
        found(sns.unsubscribe, *NOT_FOUND, SubscriptionArn=change.data)


def _redrive(queue: str) -> str:
    return canonical({"deadLetterTargetArn": queue})


def _flag(value: bool) -> str:
    return "true" if value else "false"
