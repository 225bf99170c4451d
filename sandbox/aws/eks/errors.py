"""Refusals of the EKS API."""

from __future__ import annotations

__all__ = ["EksError", "invalid_parameter"]


class EksError(Exception):
    """An error answer: HTTP status, error code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def invalid_parameter(message: str) -> EksError:
    """A parameter that EKS does not take."""
    return EksError(400, "InvalidParameterException", message)
