"""Request bodies against tables of fields, with the coercions and the wording of pydantic 1, which v1.10.1 uses."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.webui.a1111.errors import HTTPException, RequestValidationError

__all__ = [
    "Field",
    "between",
    "boolean",
    "floating",
    "integer",
    "listing",
    "mapping",
    "object_of",
    "one_of",
    "read_object",
    "text",
    "validate",
]

_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "off", "f", "false", "n", "no"})


class _Fault(Exception):
    def __init__(self, message: str, kind: str, context: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.entry = {"msg": message, "type": kind, **({"ctx": context} if context else {})}


Converter = Callable[[object], Any]


def integer(value: object) -> int:
    """64, 64.7 and "64" are 64."""
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError):
        raise _Fault("value is not a valid integer", "type_error.integer") from None


def floating(value: object) -> float:
    """7, 7.5 and "7.5" are numbers."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise _Fault("value is not a valid float", "type_error.float") from None


def text(value: object) -> str:
    """Numbers are taken as text, lists and objects are not."""
    if isinstance(value, str | int | float):
        return str(value)
    raise _Fault("str type expected", "type_error.str")


def boolean(value: object) -> bool:
    """true, 1, "on", "yes" and their opposites."""
    word = str(value).lower() if isinstance(value, str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _Fault("value could not be parsed to a boolean", "type_error.bool")


def listing(value: object) -> list[Any]:
    """A list of anything."""
    if isinstance(value, list):
        return value
    raise _Fault("value is not a valid list", "type_error.list")


def mapping(value: object) -> dict[str, Any]:
    """An object of anything; an empty list passes for an empty one."""
    if isinstance(value, dict):
        return value
    if value == []:
        return {}
    raise _Fault("value is not a valid dict", "type_error.dict")


def one_of(*allowed: object) -> Converter:
    """Exactly one of the values."""

    def convert(value: object) -> object:
        if value in allowed and not isinstance(value, bool):
            return value
        permitted = ", ".join(repr(choice) for choice in allowed)
        context = {"given": value, "permitted": list(allowed)}
        raise _Fault(f"unexpected value; permitted: {permitted}", "value_error.const", context)

    return convert


def between(
    converter: Converter, *, gt: float | None = None, ge: float | None = None, le: float | None = None
) -> Converter:
    """A number within bounds."""

    def convert(value: object) -> object:
        number = converter(value)
        if gt is not None and not number > gt:
            raise _Fault(f"ensure this value is greater than {gt}", "value_error.number.not_gt", {"limit_value": gt})
        if ge is not None and not number >= ge:
            message = f"ensure this value is greater than or equal to {ge}"
            raise _Fault(message, "value_error.number.not_ge", {"limit_value": ge})
        if le is not None and not number <= le:
            message = f"ensure this value is less than or equal to {le}"
            raise _Fault(message, "value_error.number.not_le", {"limit_value": le})
        return number

    return convert


@dataclass(frozen=True)
class Field:
    """One field of a request.

    Attributes:
        name: as in the body.
        convert: turns the value into the field's type or refuses it.
        default: value of an absent field.
        nullable: whether an explicit null passes.
        required: whether the field must be there.
    """

    name: str
    convert: Converter
    default: object = None
    nullable: bool = True
    required: bool = False


def validate(fields: Iterable[Field], values: dict[str, Any], where: tuple[str | int, ...]) -> dict[str, Any]:
    """Every field with its value or its default; names that are not in the table are dropped.

    Raises:
        RequestValidationError: with one entry per fault, in the table's order.
    """
    result: dict[str, Any] = {}
    faults: list[dict[str, Any]] = []
    for field in fields:
        location = [*where, field.name]
        if field.name not in values:
            if field.required:
                faults.append({"loc": location, "msg": "field required", "type": "value_error.missing"})
            result[field.name] = copy.deepcopy(field.default)
            continue
        value = values[field.name]
        if value is None:
            if not field.nullable:
                message = "none is not an allowed value"
                faults.append({"loc": location, "msg": message, "type": "type_error.none.not_allowed"})
            result[field.name] = None
            continue
        try:
            result[field.name] = field.convert(value)
        except _Fault as fault:
            faults.append({"loc": location, **fault.entry})
    if faults:
        raise RequestValidationError(faults)
    return result


def object_of(value: object, where: tuple[str | int, ...]) -> dict[str, Any]:
    """The value as an object.

    Raises:
        RequestValidationError: it is something else.
    """
    if not isinstance(value, dict):
        message = "value is not a valid dict"
        raise RequestValidationError([{"loc": list(where), "msg": message, "type": "type_error.dict"}])
    return value


def read_object(body: bytes, content_type: str | None) -> dict[str, Any]:
    """The JSON object in a request's body.

    A body without a Content-Type counts as JSON; one of another type than JSON is no object.

    Raises:
        RequestValidationError: not JSON, empty, or not an object.
        HTTPException: 400 for what is not even text.
    """
    if not body:
        raise RequestValidationError([{"loc": ["body"], "msg": "field required", "type": "value_error.missing"}])
    if content_type is not None and not _is_json(content_type):
        return object_of(None, ("body",))
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        context = {"msg": error.msg, "doc": error.doc, "pos": error.pos, "lineno": error.lineno, "colno": error.colno}
        entry = {"loc": ["body", error.pos], "msg": str(error), "type": "value_error.jsondecode", "ctx": context}
        raise RequestValidationError([entry]) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "There was an error parsing the body") from error
    return object_of(value, ("body",))


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    main, _ignored, sub = media_type.partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))
