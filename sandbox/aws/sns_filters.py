"""SNS applies each subscription's filter at a time of its own; ministack applies it at once.

AWS: "Additions or changes to a subscription filter policy require up to 15 minutes to fully take effect"
(https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html). Until then a changed subscription
goes by its earlier filter here, and a new one with a filter gets nothing: the worse of what AWS leaves open.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.services import sns

__all__ = ["SEED", "Delays", "install"]

# A number in this variable makes the delays the same ones in every run.
SEED = "SANDBOX_FILTER_SEED"
_NAMES = ("FilterPolicy", "FilterPolicyScope")

Subscription = dict[str, Any]
Params = dict[str, Any]
Answer = Any


@dataclass(frozen=True)
class _Filter:
    """A filter and when it comes into force; None stands for "takes nothing"."""

    at: float
    attributes: dict[str, str] | None


class Delays:
    """What each subscription goes by while a change of its filter is on its way.

    Args:
        longest_s: a delay is anything from 0 to this, in seconds; each is drawn by itself.
        seed: for the same delays in every run.
    """

    def __init__(self, longest_s: float, seed: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest_s
        self._random = random.Random(seed)
        self._clock = clock
        self._filters: dict[str, list[_Filter]] = {}

    def changed(self, arn: str, before: dict[str, str] | None, after: dict[str, str]) -> None:
        """The subscription's filter has become `after`; None as before: there was none, the subscription is new."""
        now = self._clock()
        known = self._filters.setdefault(arn, [_Filter(now, before)])
        known.append(_Filter(now + self._random.uniform(0, self._longest), after))

    def in_force(self, subscription: Subscription) -> Subscription | None:
        """The subscription with the filter that it goes by now; None if it takes nothing yet."""
        known = self._filters.get(subscription["arn"])
        if known is None:
            return subscription
        now = self._clock()
        # A later change that is in force already is not undone by an earlier one.
        current = next(entry for entry in reversed(known) if entry.at <= now)
        if current is known[-1]:
            del self._filters[subscription["arn"]]
            return subscription
        if current.attributes is None:
            return None
        rest = {name: value for name, value in subscription["attributes"].items() if name not in _NAMES}
        return {**subscription, "attributes": {**rest, **current.attributes}}


def install(longest_s: float) -> None:
    """Wrap ministack's calls that set filters and the one that goes by them; once in a process."""
    delays = Delays(longest_s, os.environ.get(SEED))
    sns._subscribe = _noticing_new(sns._subscribe, delays)
    sns._set_subscription_attributes = _noticing_changed(sns._set_subscription_attributes, delays)
    sns._matches_filter_policy = _late(sns._matches_filter_policy, delays)


def _filter(subscription: Subscription) -> dict[str, str]:
    return {name: subscription["attributes"][name] for name in _NAMES if name in subscription["attributes"]}


def _noticing_new(subscribe: Callable[[Params], Answer], delays: Delays) -> Callable[[Params], Answer]:
    def notice(params: Params) -> Answer:
        before = {entry["arn"] for entry in _subscriptions(params)}
        answer = subscribe(params)
        for entry in _subscriptions(params):
            if entry["arn"] not in before and _filter(entry):
                delays.changed(entry["arn"], None, _filter(entry))
        return answer

    return notice


def _subscriptions(params: Params) -> list[Subscription]:
    topic = sns._topic_by_arn_any_scope(sns._p(params, "TopicArn"))
    return topic["subscriptions"] if topic else []


def _noticing_changed(change: Callable[[Params], Answer], delays: Delays) -> Callable[[Params], Answer]:
    def notice(params: Params) -> Answer:
        arn = sns._p(params, "SubscriptionArn")
        topic = sns._sub_arn_to_topic.get(arn)
        entry = sns._find_subscription(topic, arn) if topic else None
        before = _filter(entry) if entry else {}
        answer = change(params)
        if entry and _filter(entry) != before:
            delays.changed(arn, before, _filter(entry))
        return answer

    return notice


def _late(matches: Callable[..., bool], delays: Delays) -> Callable[..., bool]:
    def match(subscription: Subscription, *args: Any, **kwargs: Any) -> bool:
        current = delays.in_force(subscription)
        return current is not None and matches(current, *args, **kwargs)

    return match
