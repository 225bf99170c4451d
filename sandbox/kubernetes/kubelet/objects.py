"""Kubernetes objects as they travel: JSON, known by namespace and name; and the two forms of its timestamps."""

from __future__ import annotations

import datetime
from typing import Any

__all__ = ["Json", "Key", "key", "now", "now_micro"]

Json = dict[str, Any]
Key = tuple[str, str]


def key(obj: Json) -> Key:
    """Namespace ("" for what has none) and name of an object."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def now() -> str:
    """The time as metav1.Time: RFC 3339, whole seconds."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> str:
    """The time as metav1.MicroTime."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
