"""X-Ray's trace header goes from a publish through SNS into the queues' messages, as AWSTraceHeader.

https://docs.aws.amazon.com/sns/latest/dg/sns-active-tracing.html
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from ministack.services import sqs

from sandbox.aws.asgi import App, Receive, Scope, Send, header

__all__ = ["install", "traced"]

_TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("sandbox_trace", default="")


def traced(app: App) -> App:
    """The application, with the request's trace header known to whatever it does."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        token = _TRACE.set(header(scope, "x-amzn-trace-id"))
        try:
            await app(scope, receive, send)
        finally:
            _TRACE.reset(token)

    return serve


def install() -> None:
    """Wrap the step that gives a message from SNS its system attributes; once in a process."""
    sqs._ensure_msg_fields = _completing(sqs._ensure_msg_fields)


def _completing(ensure: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def complete(message: dict[str, Any]) -> None:
        is_new = "sys" not in message
        ensure(message)
        if is_new and (trace := _TRACE.get()):
            message["sys"]["AWSTraceHeader"] = trace

    return complete
