"""The generation parameters as text: what the WebUI writes into every image, and reads back in /png-info."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

__all__ = ["parse", "write"]

_PAIR = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"(\d+)x(\d+)")
_NEGATIVE = "Negative prompt:"


def write(prompt: str, negative: str, parameters: Mapping[str, object]) -> str:
    """Prompt, negative prompt (if any) and one line of `Name: value` pairs; values of None are left out."""
    pairs = ", ".join(f"{name}: {_quote(value)}" for name, value in parameters.items() if value is not None)
    middle = f"\n{_NEGATIVE} {negative}" if negative else ""
    return f"{prompt}{middle}\n{pairs}".strip()


def parse(text: str) -> dict[str, str]:
    """The same back as a dictionary; Size also as `Size-1` and `Size-2`."""
    *lines, last = text.strip().split("\n")
    if len(_PAIR.findall(last)) < 3:
        lines, last = [*lines, last], ""
    prompt: list[str] = []
    negative: list[str] = []
    in_negative = False
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(_NEGATIVE):
            in_negative, stripped = True, stripped[len(_NEGATIVE) :].strip()
        (negative if in_negative else prompt).append(stripped)
    result = {"Prompt": "\n".join(prompt), "Negative prompt": "\n".join(negative)}
    for name, value in _PAIR.findall(last):
        result[name] = _unquote(value)
        if size := _SIZE.fullmatch(value):
            result[f"{name}-1"], result[f"{name}-2"] = size.groups()
    return result


def _quote(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",\n:") else text


def _unquote(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text
