"""Turning Kubernetes manifests into Helm templates: expressions are put into the data and come out unquoted."""

from __future__ import annotations

import re
from typing import Any

import yaml

__all__ = ["Expressions", "closed_schema"]


class Expressions:
    """Stand-ins for Helm expressions, used as (parts of) strings in a manifest; `dump` puts them in."""

    def __init__(self) -> None:
        self._inline: dict[str, str] = {}
        self._lists: dict[str, tuple[str, str]] = {}

    def text(self, template: str) -> str:
        """A stand-in for a piece of template, as a whole string or within a longer one."""
        token = self._token()
        self._inline[token] = template
        return token

    def value(self, expression: str) -> str:
        """A stand-in for `{{ expression }}`."""
        return self.text("{{ " + expression + " }}")

    def json(self, expression: str) -> str:
        """A stand-in for the expression's value of whatever type, as JSON, which is YAML on one line."""
        return self.value(f"toJson ({expression})")

    def items(self, over: str, item: str) -> str:
        """A stand-in for any number of items of a list: `item` as JSON for each turn of `range over`."""
        token = self._token()
        self._lists[token] = (over, item)
        return token

    def dump(self, manifest: dict[str, Any]) -> str:
        """The manifest as the text of a template."""
        text: str = yaml.safe_dump(manifest, sort_keys=False, width=10_000)
        for token, (over, item) in self._lists.items():
            turn = f"{{{{- range {over} }}}}\n\\1- {{{{ toJson ({item}) }}}}\n{{{{- end }}}}"
            text = re.sub(rf"^( *)- {token}$", turn, text, flags=re.MULTILINE)
        for token, template in self._inline.items():
            text = text.replace(token, template)
        return text

    def _token(self) -> str:
        # Plain letters and digits of one width: YAML needs no quotes around it, and none is the beginning of another.
        return f"Expression{len(self._inline) + len(self._lists):04d}X"


def closed_schema(values: object, free: frozenset[str], path: str = "") -> dict[str, Any]:
    """A JSON schema that admits the names in `values` and no others.

    Args:
        values: the default values.
        free: paths (`a.b`) below which any name is admitted; so it is where the default is an empty mapping.
        path: where `values` stands.
    """
    if not isinstance(values, dict):
        return {}
    if not values or path in free:
        return {"type": "object"}
    properties = {name: closed_schema(value, free, f"{path}.{name}".lstrip(".")) for name, value in values.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}
