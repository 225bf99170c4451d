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

__all__ = ["MAX_BODY_BYTES", "UPLOAD_HINT", "HttpError", "Request", "error_body", "error_response", "json_response"]

# What Lambda takes as a request's payload.
MAX_BODY_BYTES = 6 * 1024 * 1024
UPLOAD_HINT = "ask POST /v1/uploads where to put input images, and name them by their s3:// URLs"
_PROXY = "{proxy+}"


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
    query: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Request:
        """Raises InvalidRequest for a body that cannot be decoded, HttpError (413) for one that is too large."""
        context = event.get("requestContext") or {}
        resource = event.get("resource") or ""
        # Behind a custom domain `path` begins with the base path; `resource` is the path as the API defines it.
        path = event.get("path") or "/"
        if resource and "{" not in resource:
            path = resource
        elif resource.endswith(_PROXY) and (rest := (event.get("pathParameters") or {}).get("proxy")):
            path = resource.removesuffix(_PROXY) + str(rest)
        body = _body(event)
        if len(body) > MAX_BODY_BYTES:
            raise HttpError(413, "too_large", f"the body is over 6 MB: {UPLOAD_HINT}")
        return cls(
            method=str(event.get("httpMethod") or "").upper(),
            path="/" + path.strip("/"),
            body=body,
            api_key=(context.get("identity") or {}).get("apiKey"),
            query={str(name): str(value) for name, value in (event.get("queryStringParameters") or {}).items()},
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
    """The error as a whole response."""
    return json_response(error.status, error_body(error), error.headers)


def error_body(error: HttpError) -> dict[str, Any]:
    """`{"error": {"code", "message", "field"}}`."""
    return {"error": {"code": error.code, "message": error.message, "field": error.field}}


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        # A lone surrogate can come only from a broken escape; the JSON reader refuses its replacement bytes.
        return str(text).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest.at(None, "the body is not valid base64") from None
