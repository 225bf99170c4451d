# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""How filters change without a gap, although SNS applies each change at a time of its own within 15 minutes.

Every filter first takes what it took and what it shall take (with the new subscriptions: cover). Once all of that has
settled, each takes only what it shall take (narrow): whichever of them SNS has applied yet, together they take all.
https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import doing
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.filter_algebra import covers, union
from ansible_collections.stable_diffusion.eks.plugins.module_utils.routing_rules import POLICIES, check_limits

FILTER = "filter_policy"
# On the queue of what matches no runtime: when filters were last made to take more (seconds since the epoch), or BEGUN
# while that is going on. It outlives a run that is killed, or that does not wait.
MARK = "stable_diffusion.eks/filters-widened"
BEGUN = "begun"


def steps(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """Subscriptions' changes, from what is to what shall be, as those that only add coverage and those that end it.

    Raises BadInput naming the subscription whose filter would meanwhile break one of SNS's limits.
    """
    cover: list[Change] = []
    narrow: list[Change] = []
    for change in changes:
        old, new = (dict((side or {}).get(FILTER) or {}) for side in (change.before, change.after))
        # A filter on the body can't be combined with one on attributes.
        if change.action == "create" or FILTER not in change.after or "scope" in old or _same(old, new):
            cover.append(change)
            continue
        wide = union(old, new)
        if wide != old:
            _check(change.name, wide)
            cover.append(_step("widen", change, change.before, {**change.after, FILTER: wide}))
        elif len(change.after) > 1:
            rest = {name: value for name, value in change.after.items() if name != FILTER}
            cover.append(_step("update", change, {name: change.before[name] for name in rest}, rest))
        if wide != new:
            narrow.append(_step("narrow", change, {FILTER: wide}, {FILTER: new}))
    return cover, narrow


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return covers(dict(old), dict(new)) and covers(dict(new), dict(old))


def _step(action: str, change: Change, before: Any, after: Any) -> Change:
    return Change(action, change.kind, change.name, before, after, change.data)


def _check(name: str, policy: dict[str, Any]) -> None:
    try:
        check_limits({name: policy})
    except BadInput as error:
        raise BadInput(f"while its filter takes both its old and its new models, {error} into two changes") from error


def check_count(there: int, cover: Sequence[Change]) -> None:
    """Raise BadInput if the old and the new subscriptions together are more than SNS lets a topic filter."""
    more = sum(change.action == "create" for change in cover)
    if more and there + more > POLICIES:
        raise BadInput(
            f"{there} subscriptions and {more} new ones are more than the {POLICIES} that SNS filters for a topic: "
            "take away the old ones in a run of its own"
        )


def widens(cover: Sequence[Change]) -> bool:
    """Whether any of these changes is one that SNS takes its time to apply and that others must wait for."""
    return any(change.kind == "subscription" and change.action in ("create", "widen") for change in cover)


def settled_at(cover: Sequence[Change], mark: str | None, now: float, settle: float) -> float | None:
    """When what these changes and the last run's add is in force, None for now; mark: MARK's value, if there is one."""
    if widens(cover) or mark == BEGUN:
        return now + settle
    at = float(mark) + settle if mark and mark.isdecimal() else now
    return at if at > now else None


def write_mark(sqs: Any, url: str, value: str) -> None:
    """Remember on that queue how far the widening is."""
    with doing("remember when the filters were widened"):
        sqs.tag_queue(QueueUrl=url, Tags={MARK: value})
