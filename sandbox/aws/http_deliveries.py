"""SNS tries a delivery to an HTTP(S) endpoint again, and then puts it on the subscription's dead-letter queue.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html: three retries, 20 seconds apart, after a
5xx, a 429 or no reply; any other 4xx is final. Here they are a hundredth of that apart. ministack tries once.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import json
import logging
import urllib.error
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.services import sns

__all__ = ["install"]

_log = logging.getLogger(__name__)
_RETRIES = 3
_PAUSE_S = 0.2


@dataclass(frozen=True)
class _Publish:
    """What is being published while deliveries begin."""

    topic_arn: str
    attributes: Mapping[str, Any]


_PUBLISH: contextvars.ContextVar[_Publish] = contextvars.ContextVar("sandbox_publish")


def install() -> None:
    """Wrap ministack's fan-out and replace its delivery over HTTP; once in a process."""
    sns._fanout = _remembering(sns._fanout)
    sns._deliver_to_http = _delivery


def _remembering(fan_out: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(fan_out)

    @functools.wraps(fan_out)
    def remember(*args: Any, **kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs).arguments
        token = _PUBLISH.set(_Publish(given["topic_arn"], given.get("message_attributes") or {}))
        try:
            fan_out(*args, **kwargs)
        finally:
            _PUBLISH.reset(token)

    return remember


def _delivery(endpoint: str, payload: str) -> Coroutine[Any, Any, None]:
    """Called within the fan-out; ministack runs what it returns in a thread of its own, which knows no context."""
    return _deliver(_PUBLISH.get(), endpoint, payload, contextvars.copy_context())


async def _deliver(publish: _Publish, endpoint: str, payload: str, context: contextvars.Context) -> None:
    for attempt in range(1 + _RETRIES):
        if attempt:
            await asyncio.sleep(_PAUSE_S)
        try:
            await asyncio.to_thread(sns._http_post_sync, endpoint, payload, "Notification")
            return
        except urllib.error.HTTPError as error:
            error.close()
            _log.warning("SNS delivery to %s: %s", endpoint, error)
            if 400 <= error.code < 500 and error.code != 429:
                break
        except (OSError, ValueError) as error:
            _log.warning("SNS delivery to %s: %s", endpoint, error)
    context.run(_redrive, publish, endpoint, payload)


def _redrive(publish: _Publish, endpoint: str, payload: str) -> None:
    topic = sns._topic_by_arn_any_scope(publish.topic_arn) or {"subscriptions": []}
    for subscription in topic["subscriptions"]:
        if subscription["endpoint"] != endpoint or subscription["protocol"] not in ("http", "https"):
            continue
        attributes = subscription["attributes"]
        queue = json.loads(attributes.get("RedrivePolicy") or "{}").get("deadLetterTargetArn")
        if queue:
            raw = attributes.get("RawMessageDelivery") == "true"
            sns._deliver_to_sqs(
                queue,
                payload,
                raw,
                payload,
                message_attributes=dict(publish.attributes),
                topic_arn=publish.topic_arn,
            )
