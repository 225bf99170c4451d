"""Every failure as an answer in the API's one error shape."""

from __future__ import annotations

import logging

from sd_agent.contract.errors import ConfigurationError, InvalidRequest
from sd_agent.intake.http import HttpError
from sd_agent.intake.ports import Unavailable

__all__ = ["as_http_error"]

_log = logging.getLogger(__name__)
_RETRY_AFTER = {"retry-after": "5"}


def as_http_error(error: Exception) -> HttpError:
    """What the client is told; what it must not know goes to the log."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, InvalidRequest):
        return HttpError(400, error.code.value, error.message, error.field)
    if isinstance(error, Unavailable | ConfigurationError):
        _log.error("unavailable", extra={"reason": str(error)})
        message = "the request could not be taken in just now; send it again"
        return HttpError(503, "unavailable", message, headers=_RETRY_AFTER)
    _log.error("internal error", exc_info=error)
    return HttpError(500, "internal", "intake failed; the error is in its log")
