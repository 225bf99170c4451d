"""What goes wrong, under the names that the real WebUI uses: the class's name is part of its replies."""

from __future__ import annotations

from typing import Any

__all__ = [
    "HTTPException",
    "NansException",
    "OutOfMemoryError",
    "RequestValidationError",
    "SafetensorError",
    "SettingsError",
    "body_of",
    "status_of",
]


class SettingsError(Exception):
    """A flag or an environment variable of the simulator that cannot be used; the message names it."""


class HTTPException(Exception):
    """A refusal that a handler words itself; its text goes into the body's `detail`."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class RequestValidationError(Exception):
    """A body that does not fit the request's model: status 422 and one entry per fault."""

    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__()
        self.faults = faults


class SafetensorError(Exception):
    """A checkpoint file that cannot be read."""


class NansException(Exception):
    """Weights or settings whose arithmetic ends in not-a-number."""


class OutOfMemoryError(RuntimeError):
    """More pixels than the card holds; the simulator's own memory stays bounded by the same rule."""


def status_of(error: Exception) -> int:
    """HTTP status for an exception that left a handler."""
    return error.status if isinstance(error, HTTPException) else 500


def body_of(error: Exception) -> dict[str, str]:
    """The body of an exception that left a handler: HTTPException fills `detail`, all others fill `errors`."""
    detail = error.detail if isinstance(error, HTTPException) else ""
    return {"error": type(error).__name__, "detail": detail, "body": "", "errors": str(error)}
