"""What API Gateway puts into a Lambda proxy event and ministack leaves out: who holds the API key, and a trace header.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

from __future__ import annotations

import functools
import inspect
import secrets
import time
from collections.abc import Callable
from typing import Any

from ministack.services import apigateway_v1

__all__ = ["install"]

_TRACE_HEADER = "X-Amzn-Trace-Id"


def install() -> None:
    """Wrap ministack's maker of proxy events; once in a process."""
    apigateway_v1._build_lambda_event_v1 = _completing(apigateway_v1._build_lambda_event_v1)


def _completing(build: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    signature = inspect.signature(build)

    @functools.wraps(build)
    def complete(*args: Any, **kwargs: Any) -> dict[str, Any]:
        event = build(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        identity = event["requestContext"]["identity"]
        identity |= _key_identity(given["resource"], given["method"], given["headers"])
        _add_trace(event)
        return event

    return complete


def _key_identity(resource: dict[str, Any], method: str, headers: dict[str, Any]) -> dict[str, str | None]:
    """apiKey and apiKeyId of a method that requires a key, null otherwise."""
    methods = resource.get("resourceMethods", {})
    wanted = (methods.get(method) or methods.get("ANY") or {}).get("apiKeyRequired")
    key = apigateway_v1._resolve_api_key(apigateway_v1._api_key_from_request(headers)) if wanted else None
    if key is None:
        return {"apiKey": None, "apiKeyId": None}
    return {"apiKey": key["value"], "apiKeyId": key["id"]}


def _add_trace(event: dict[str, Any]) -> None:
    """A new root, unless the client brought one: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html."""
    if any(name.lower() == _TRACE_HEADER.lower() for name in event["headers"]):
        return
    root = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    event["headers"][_TRACE_HEADER] = root
    event["multiValueHeaders"][_TRACE_HEADER] = [root]
