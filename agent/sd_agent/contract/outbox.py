"""A message that waits to be published, as the task table keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LARGEST_IN_ROW", "Outgoing"]

# A row is written several times, and DynamoDB counts all of it each time: above this the content waits in S3.
LARGEST_IN_ROW = 8 * 1024


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message and its attributes; its group is the tenant."""

    message: str
    attributes: Mapping[str, str]

    def dump(self) -> str:
        """The text for the row."""
        value = {"message": self.message, "attributes": dict(self.attributes)}
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def load(cls, text: str) -> Outgoing:
        """Read the row's text. Raises ValueError where it isn't one."""
        value = json.loads(text)
        if not isinstance(value, dict) or not isinstance(value.get("message"), str):
            raise ValueError("not a message that waits")
        return cls(message=value["message"], attributes=dict(value.get("attributes") or {}))
