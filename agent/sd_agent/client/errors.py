"""The client's exceptions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sd_agent.contract.errors import SdAgentError

__all__ = ["ClientError", "RequestRefused", "ServiceUnavailable", "Unverified", "WaitTimeout"]


class ClientError(SdAgentError):
    """Root of the client's errors."""


class RequestRefused(ClientError):
    """The API refused the request for good. status: HTTP's; code, message and field: the API's."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.field = field


class ServiceUnavailable(ClientError):
    """The API, the queue of answers or SNS did not work; the same call can be made again."""


class Unverified(ClientError):
    """A delivery that SNS did not send, or not for our topic; it must not be acted on."""


class WaitTimeout(ClientError):
    """Not every answer came in time. answers: those that did, by id; missing: the other ids."""

    def __init__(self, answers: dict[str, dict[str, Any]], missing: Collection[str]) -> None:
        super().__init__(f"no answer yet for {', '.join(sorted(missing))}")
        self.answers = answers
        self.missing = frozenset(missing)
