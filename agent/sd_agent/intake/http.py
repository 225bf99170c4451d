"""API Gateway's REST proxy events, taken apart and answered.

Event and response: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sd_agent.contract.errors import InvalidRequest, SdAgentError

__all__ = ["MAX_BODY_BYTES", "HttpError", "Request", "error_response", "json_response"]

# What Lambda takes as a request's payload.
MAX_BODY_BYTES = 6 * 1024 * 1024


class HttpError(SdAgentError):
    """An answer other than success, in the API's one error shape."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What intake reads of an event. The API key is never logged."""

    method: str
    path: str
    body: bytes
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Request:
        """Raises InvalidRequest for a body that cannot be decoded, HttpError (413) for one that is too large."""
        context = event.get("requestContext") or {}
        resource = event.get("resource") or ""
        # Behind a custom domain `path` begins with the base path; `resource` is the path as the API defines it.
        path = resource if resource and "{" not in resource else event.get("path") or "/"
        body = _body(event)
        if len(body) > MAX_BODY_BYTES:
            raise HttpError(413, "too_large", "the body is over 6 MB: pass input images as URLs")
        return cls(
            method=str(event.get("httpMethod") or "").upper(),
            path="/" + path.strip("/"),
            body=body,
            api_key=(context.get("identity") or {}).get("apiKey"),
        )


def json_response(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A response in the form that API Gateway expects."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **(headers or {})},
        "body": json.dumps(body, ensure_ascii=False),
        "isBase64Encoded": False,
    }


def error_response(error: HttpError) -> dict[str, Any]:
    """`{"error": {"code", "message", "field"}}`."""
    body = {"error": {"code": error.code, "message": error.message, "field": error.field}}
    return json_response(error.status, body, error.headers)


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        # A lone surrogate can come only from a broken escape; the JSON reader refuses its replacement bytes.
        return str(text).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest.at(None, "the body is not valid base64") from None
