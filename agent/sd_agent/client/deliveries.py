"""Answers that SNS posts to an HTTP(S) endpoint of ours."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from sd_agent.client.errors import ServiceUnavailable, Unverified
from sd_agent.client.inbox import read_answer
from sd_agent.client.signatures import Signatures, sns_url

__all__ = ["Deliveries"]

_log = logging.getLogger(__name__)
_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_LONGEST_REPLY = 64 * 1024
_REMEMBERED = 10_000


class Deliveries:
    """Takes the bodies of SNS's requests, and gives the answers in those that SNS signed for our topic.

    Only enveloped deliveries are signed: a subscription with `raw` can't be checked. Safe to use from several threads.
    topic_arn: of the output topic. fetch: the bytes behind an https URL, in place of an ordinary request.
    Raises ClientError for a topic_arn that is none, or without the package cryptography.
    """

    def __init__(
        self,
        topic_arn: str,
        *,
        fetch: Callable[[str], bytes] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._fetch = fetch or _fetched
        self._signatures = Signatures(topic_arn, self._fetch, now)
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, None] = OrderedDict()

    def answer(self, body: str | bytes) -> dict[str, Any] | None:
        """The answer in a request's body; None where there is nothing to do: reply with 200 then too.

        A subscription is confirmed, the end of one logged, a copy of an answer that was `acknowledge`d dropped.
        Raises Unverified (reply with 403), and ServiceUnavailable where SNS can't be reached (503: SNS sends it again).
        """
        message = _object(body)
        self._signatures.check(message)
        if message["Type"] == "SubscriptionConfirmation":
            self._confirm(message["SubscribeURL"])
            return None
        if message["Type"] == "UnsubscribeConfirmation":
            _log.warning("unsubscribed from %s", message["TopicArn"])
            return None
        answer = read_answer(message["Message"])
        if answer is None:
            _log.warning("not an answer", extra={"message_id": message["MessageId"]})
            return None
        with self._lock:
            return None if answer.get("answer_id") in self._seen else answer

    def acknowledge(self, answer: dict[str, Any]) -> None:
        """Call it once an answer is dealt with: SNS may deliver it again, and copies are dropped from now on."""
        answer_id = answer.get("answer_id")
        if not isinstance(answer_id, str):
            return
        with self._lock:
            self._seen[answer_id] = None
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)

    def _confirm(self, url: str) -> None:
        if sns_url(url, self._signatures.host) is None:
            raise Unverified(f"the URL to confirm with is not of {self._signatures.host}")
        self._fetch(url)
        _log.info("subscription confirmed")


def _object(body: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Unverified("the body is not a JSON object")
    return value


def _fetched(url: str) -> bytes:
    try:
        with urllib3.PoolManager(retries=False, timeout=_TIMEOUT) as pool:
            reply = pool.request("GET", url, redirect=False, preload_content=False)
            data: bytes = reply.read(_LONGEST_REPLY)
            reply.release_conn()
    except HTTPError as error:
        raise ServiceUnavailable(f"SNS could not be asked: {type(error).__name__}") from error
    if reply.status != 200:
        raise ServiceUnavailable(f"SNS answered with status {reply.status}")
    return data
