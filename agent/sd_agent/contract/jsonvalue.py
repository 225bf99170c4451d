"""Strict JSON: what is accepted here can be encoded again by every library the data plane uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sd_agent.contract.errors import InvalidRequest

__all__ = ["canonical", "digest", "expect_object", "loads_object"]

# orjson stops at 254 levels and 64-bit integers; a WebUI body or a ComfyUI graph needs a handful.
_MAX_DEPTH = 64
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def loads_object(text: str | bytes, field: str | None = None) -> dict[str, Any]:
    """Read one JSON object.

    Raises InvalidRequest for anything else: broken JSON, another type, NaN or infinity, integers over 64 bits,
    nesting over 64 levels, text that is not valid UTF-8 or holds half a surrogate pair.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_int=_bounded_int)
    except InvalidRequest as error:
        raise InvalidRequest.at(field, error.message) from None
    except (ValueError, RecursionError) as error:
        reason = f": {error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest.at(field, f"not valid JSON{reason}") from None
    if not isinstance(value, dict):
        raise InvalidRequest.at(field, f"expected a JSON object, not {_json_type(value)}")
    if _depth(value) > _MAX_DEPTH:
        raise InvalidRequest.at(field, f"nested deeper than {_MAX_DEPTH} levels")
    canonical(value, field)
    return value


def canonical(value: Any, field: str | None = None) -> bytes:
    """The one encoding of a JSON value: sorted keys, no spaces, UTF-8. Raises InvalidRequest where there is none."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest.at(field, "text holds half of a surrogate pair") from None
    except (ValueError, TypeError, RecursionError):
        raise InvalidRequest.at(field, "holds a value that JSON cannot carry, such as an infinite number") from None


def digest(value: Any) -> str:
    """SHA-256 of the canonical encoding, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def expect_object(value: Any, field: str) -> dict[str, Any]:
    """`value` as an object, or InvalidRequest naming `field` (None counts as missing)."""
    if value is None:
        raise InvalidRequest.at(field, f"{field} is required")
    if not isinstance(value, dict):
        raise InvalidRequest.at(field, f"{field} must be an object, not {_json_type(value)}")
    return value


def _json_type(value: Any) -> str:
    names: Mapping[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")


def _refuse_constant(name: str) -> Any:
    raise InvalidRequest.at(None, f"{name} is not a JSON number")


def _bounded_int(text: str) -> int:
    if len(text) > 20 or not _INT_MIN <= int(text) <= _INT_MAX:
        raise InvalidRequest.at(None, "a whole number over 64 bits")
    return int(text)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            return depth
        level = [child for item in level for child in _children(item) if isinstance(child, dict | list)]
    return depth


def _children(item: dict[str, Any] | list[Any]) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else item
