# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""Differences as values: the plan, the word `changed` and the diff that an operator reads all come from one list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """One step from what is to what shall be.

    action: create, update or delete; what can be an update of two kinds has words of its own (widen, narrow).
    kind, name: what it is about, in the operator's words ("queue", "sd-anime").
    before, after: JSON-like values, None for absent. An update holds only the properties that differ.
    data: what apply needs besides (ids, keyword arguments); never shown.
    """

    action: str
    kind: str
    name: str
    before: Any = None
    after: Any = None
    data: Any = None

    @property
    def key(self) -> str:
        """How the diff calls it."""
        return f"{self.kind} {self.name}"

    def __str__(self) -> str:
        return f"{self.action} {self.key}"


def differing(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The wanted properties whose current value is another, before and after; what is not wanted is not looked at."""
    names = [name for name, value in wanted.items() if name not in current or current[name] != value]
    return {name: current.get(name) for name in names}, {name: wanted[name] for name in names}


def compare(kind: str, name: str, current: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[Change]:
    """The change that takes one named thing from current to wanted (None: absent), as a list of none or one."""
    if current is None and wanted is None:
        return []
    if current is None:
        return [Change("create", kind, name, None, dict(wanted or {}))]
    if wanted is None:
        return [Change("delete", kind, name, dict(current), None)]
    before, after = differing(current, wanted)
    return [Change("update", kind, name, before, after)] if after else []


def before_after(changes: Iterable[Change]) -> dict[str, dict[str, Any]]:
    """Ansible's diff: only what changes, by name; of what changes in several steps the first before, the last after."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for change in changes:
        if change.before is not None:
            before[change.key] = _merged(change.before, before.get(change.key))
        if change.after is not None:
            after[change.key] = _merged(after.get(change.key), change.after)
    return {"before": before, "after": after}


def _merged(one: Any, over: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(over, Mapping):
        return {**one, **over}
    return one if over is None else over
