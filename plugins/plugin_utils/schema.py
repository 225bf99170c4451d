# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""A small schema for inventory entries: types, choices, bounds and defaults; problems are collected, none raised."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_WORDS = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list of texts",
    dict: "a mapping",
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One key of an entry.

    type: str, int, bool, list (of texts) or dict (free form).
    default: what a missing key becomes; None leaves it out.
    choices, low, high, pattern: what a value may be; for a list they hold for each element.
    hint: how to say the pattern in words.
    """

    type: type
    default: Any = None
    choices: tuple[Any, ...] = ()
    low: int | None = None
    high: int | None = None
    pattern: str = ""
    hint: str = ""
    required: bool = False


Schema = Mapping[str, "Field | Schema"]


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "dynamic"?`, or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def normalise(entry: Any, schema: Schema, where: str, problems: list[str]) -> dict[str, Any]:
    """The entry with defaults filled in; what is wrong is added to problems as "<where>: <sentence>".

    A key whose value is null counts as missing. A wrong value gives way to the default, so that later checks can go on.
    """
    if not isinstance(entry, Mapping):
        problems.append(f"{where}: must be a mapping, not {_shown(entry)}")
        # One sentence is enough: the keys it lacks are no mistakes of their own.
        return normalise({}, schema, where, [])
    for key in entry:
        if key not in schema:
            problems.append(f'{where}: unknown key "{key}"{nearest(str(key), schema)}')
    done: dict[str, Any] = {}
    for key, rule in schema.items():
        value = entry.get(key)
        if not isinstance(rule, Field):
            done[key] = normalise({} if value is None else value, rule, f"{where}.{key}", problems)
            continue
        if value is None or not _fits(value, rule, f"{where}.{key}", problems):
            if value is None and rule.required:
                problems.append(f"{where}.{key}: is missing")
            value = rule.default
        if value is not None:
            done[key] = _copy(value)
    return done


def merged(base: Any, over: Any) -> Any:
    """Two entries on top of each other: mappings are merged key by key, anything else of `over` replaces."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}
    return base if over is None else over


def _fits(value: Any, rule: Field, where: str, problems: list[str]) -> bool:
    if not _is(value, rule.type):
        problems.append(f"{where}: must be {_WORDS[rule.type]}, not {_shown(value)}")
        return False
    wrong = [text for element in (value if rule.type is list else [value]) for text in _breaks(element, rule)]
    problems.extend(f"{where}: {text}" for text in wrong)
    return not wrong


def _is(value: Any, wanted: type) -> bool:
    if wanted is dict:
        return isinstance(value, Mapping)
    if wanted is list:
        return isinstance(value, (list, tuple)) and all(isinstance(element, str) for element in value)
    # A bool is an int to Python, not to an operator.
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))


def _breaks(value: Any, rule: Field) -> Iterable[str]:
    if rule.choices and value not in rule.choices:
        names = [str(choice) for choice in rule.choices]
        yield f'"{value}" is none of {", ".join(names)}{nearest(str(value), names)}'
    if rule.low is not None and value < rule.low:
        yield f"{value} is less than {rule.low}"
    if rule.high is not None and value > rule.high:
        yield f"{value} is more than {rule.high}"
    if rule.pattern and not re.fullmatch(rule.pattern, value):
        yield f'"{value}" {rule.hint}'


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(inner) for inner in value]
    return value


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, Mapping) else "a mapping"
    return text if len(text) <= 60 else text[:57] + "..."
