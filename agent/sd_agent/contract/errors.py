"""The data plane's exception tree and the codes a program can act on."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ConfigurationError", "ErrorCode", "InvalidRequest", "NoRuntime", "SdAgentError"]


class ErrorCode(StrEnum):
    """`error.code` of an answer (the fixed list of the answer contract)."""

    INVALID_REQUEST = "invalid_request"
    NO_RUNTIME = "no_runtime"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_NOT_READY = "model_not_ready"
    INPUT_REFUSED = "input_refused"
    INPUT_UNAVAILABLE = "input_unavailable"
    WEBUI_ERROR = "webui_error"
    WRONG_RESULT = "wrong_result"
    TIMEOUT = "timeout"
    STORAGE_ERROR = "storage_error"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    MAX_ATTEMPTS = "max_attempts"


class SdAgentError(Exception):
    """Root of every error this package raises on purpose."""


class ConfigurationError(SdAgentError):
    """The environment is incomplete or wrong; the message names the variable."""


class InvalidRequest(SdAgentError):
    """A request or a message that no retry can make right.

    Attributes: code (ErrorCode), message (one sentence for a person), field (dotted path of the culprit, or None).
    """

    def __init__(self, code: ErrorCode, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    @classmethod
    def at(cls, field: str | None, message: str) -> InvalidRequest:
        """An `invalid_request` about one field."""
        return cls(ErrorCode.INVALID_REQUEST, message, field)


class NoRuntime(InvalidRequest):
    """The request is well formed but no runtime serves it."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(ErrorCode.NO_RUNTIME, message, field)
