# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""SNS filter policies as sets of messages: which covers which, and the one policy that takes what either of two takes.

A policy is a union of boxes; a box says for each attribute which values it takes, "not there" (None) among them.
Only the rules that this collection writes are understood: literals, anything-but with literals, exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Policy = dict[str, Any]


@dataclass(frozen=True)
class Values:
    """The listed values of an attribute, or (other) all but those; None stands for "the attribute is not there"."""

    listed: frozenset[str | None]
    other: bool = False

    def __or__(self, more: Values) -> Values:
        return (self.inverse() & more.inverse()).inverse()

    def __and__(self, more: Values) -> Values:
        if self.other and more.other:
            return Values(self.listed | more.listed, True)
        if self.other:
            return Values(more.listed - self.listed)
        return Values(self.listed - more.listed if more.other else self.listed & more.listed)

    def inverse(self) -> Values:
        """All values that are not in this set."""
        return Values(self.listed, not self.other)

    def __bool__(self) -> bool:
        return self.other or bool(self.listed)


EVERY = Values(frozenset(), True)
# One entry for each attribute that is asked about; any value of the others.
Box = Mapping[str, Values]


def _values(rules: Any) -> Values | None:
    """What a policy's array of rules takes, None if there is a rule of another kind."""
    taken = Values(frozenset())
    for rule in rules if isinstance(rules, list) else [rules]:
        if isinstance(rule, str):
            taken |= Values(frozenset([rule]))
        elif rule == {"exists": False}:
            taken |= Values(frozenset([None]))
        elif rule == {"exists": True}:
            taken |= Values(frozenset([None]), True)
        elif isinstance(rule, dict) and list(rule) == ["anything-but"]:
            but = rule["anything-but"] if isinstance(rule["anything-but"], list) else [rule["anything-but"]]
            if not all(isinstance(value, str) for value in but):
                return None
            taken |= Values(frozenset([None, *but]), True)
        else:
            return None
    return taken


def options(policy: Policy) -> list[Policy]:
    """The alternatives of a policy; SNS knows $or only with two or more of them."""
    return policy["$or"] if list(policy) == ["$or"] else [policy]


def _boxes(policy: Policy) -> list[Box] | None:
    boxes = []
    for option in options(policy):
        box = {key: _values(rules) for key, rules in option.items()}
        if not all(isinstance(values, Values) for values in box.values()):
            return None
        boxes.append(box)
    return boxes


def _minus(box: Box, other: Box) -> list[Box]:
    """What of a box is not in another: for each attribute the part that the other leaves, the rest held to both."""
    left: list[Box] = []
    rest = dict(box)
    for key, values in other.items():
        mine = rest.get(key, EVERY)
        if outside := mine & values.inverse():
            left.append({**rest, key: outside})
        if not mine & values:
            return [box]
        rest[key] = mine & values
    return left


def _covers(wide: Sequence[Box], narrow: Iterable[Box]) -> bool:
    left = [box for box in narrow if all(box.values())]
    for box in wide:
        left = [part for whole in left for part in _minus(whole, box)]
    return not left


def covers(wide: Policy, narrow: Policy) -> bool:
    """Whether every message that narrow takes is taken by wide; False where a policy is not understood."""
    one, two = _boxes(wide), _boxes(narrow)
    return wide == narrow or (one is not None and two is not None and _covers(one, two))


def union(old: Policy, new: Policy) -> Policy:
    """A policy that takes exactly what at least one of the two takes, with as few alternatives as are easily found."""
    if covers(new, old):
        return new
    if covers(old, new):
        return old
    one, two = _boxes(old), _boxes(new)
    if one is None or two is None:
        return {"$or": [*options(old), *(option for option in options(new) if option not in options(old))]}
    boxes = _joined([*two, *one])
    return _policy(boxes[0]) if len(boxes) == 1 else {"$or": [_policy(box) for box in boxes]}


def _joined(boxes: Sequence[Box]) -> list[Box]:
    """The same union with fewer boxes: those within others left out, those that differ in one attribute made one."""
    found = list(boxes)
    for position, box in enumerate(found):
        for later in range(position + 1, len(found)):
            together = _join(box, found[later])
            if together is not None:
                return _joined([*found[:position], together, *found[position + 1 : later], *found[later + 1 :]])
    return found


def _join(one: Box, two: Box) -> Box | None:
    if _covers([one], [two]):
        return one
    if _covers([two], [one]):
        return two
    keys = [key for key in {**one, **two} if one.get(key, EVERY) != two.get(key, EVERY)]
    if len(keys) != 1:
        return None
    return {**one, keys[0]: one.get(keys[0], EVERY) | two.get(keys[0], EVERY)}


def _policy(box: Box) -> Policy:
    return {key: _rules(values) for key, values in box.items() if values != EVERY}


def _rules(values: Values) -> list[Any]:
    named = sorted(value for value in values.listed if value is not None)
    absent = (None in values.listed) != values.other
    rules: list[Any] = [{"exists": False}] if absent else []
    if not values.other:
        return [*rules, *named]
    return [*rules, {"anything-but": named} if named else {"exists": True}]
