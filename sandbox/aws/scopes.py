"""Which service a request is for, by the credential scope of its signature (AWS Signature Version 4)."""

from __future__ import annotations

import re
from urllib.parse import unquote

from sandbox.aws.asgi import Scope, header

__all__ = ["execute_api_path", "service_of"]

# Credential=<key>/<date>/<region>/<service>/aws4_request, in the Authorization header or the query string.
_CREDENTIAL = re.compile(r"Credential=[^/,&]+/\d{8}/[^/,&]*/([a-z0-9-]+)/aws4_request")
_EXECUTE_API = re.compile(r"([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?(?::\d+)?")


def service_of(scope: Scope) -> str:
    """The service's signing name ("ec2"), or an empty string for a request that is not signed."""
    match = _CREDENTIAL.search(header(scope, "authorization"))
    if match is None and b"X-Amz-Credential" in scope.get("query_string", b""):
        match = _CREDENTIAL.search(unquote(scope["query_string"].decode("latin-1")))
    return match.group(1) if match else ""


def execute_api_path(scope: Scope) -> str | None:
    """Where ministack serves a request addressed to API Gateway's own host name, or None for any other host."""
    match = _EXECUTE_API.fullmatch(header(scope, "host"))
    return f"/_aws/execute-api/{match.group(1)}{scope['path']}" if match else None
