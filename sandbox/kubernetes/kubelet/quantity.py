"""Kubernetes' resource quantities (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

__all__ = ["in_units", "parse"]

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def parse(text: object) -> Decimal:
    """The value of a quantity: "250m" is 0.25, "1Gi" is 2**30.

    Raises:
        ValueError: it is no quantity.
    """
    match = _FORM.fullmatch(str(text))
    if not match:
        raise ValueError(f"{text!r} is no quantity")
    number, exponent, suffix = Decimal(match[1]), match[2], match[3]
    if exponent:
        return number.scaleb(int(exponent))
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    return number.scaleb(_DECIMAL[suffix]) if suffix else number


def in_units(value: Decimal, divisor: object) -> int:
    """How many divisors a value is, rounded up; a divisor of zero or none is one (resourceFieldRef's rule)."""
    unit = parse(divisor) if divisor else Decimal(1)
    return int((value / (unit or Decimal(1))).to_integral_value(rounding=ROUND_CEILING))
