"""The client of the service's API and of one subscriber's queue."""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import botocore.session
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as AwsError
from urllib3.exceptions import HTTPError

from sd_agent.client.errors import ClientError, RequestRefused, ServiceUnavailable, WaitTimeout
from sd_agent.client.inbox import Inbox, task_id_of

__all__ = ["Client"]

_TRIES = 3
_TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
_SQS_READ_S = 30


class Client:
    """Submits requests, and reads answers from a queue that is subscribed to the output topic.

    url: of the API's stage, such as https://<api>.execute-api.<region>.amazonaws.com/prod. queue_url: the subscriber's
    queue, needed for answers and wait. sqs: a botocore SQS client in place of one made from the environment.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        queue_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        sqs: Any = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"content-type": "application/json", "x-api-key": api_key, **(headers or {})}
        self._queue_url = queue_url
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT)
        self._sqs = sqs
        self._inboxes: dict[str, Inbox] = {}
        # Answers that a wait for other tasks took off the queue.
        self._kept: deque[dict[str, Any]] = deque()

    def submit(self, body: Mapping[str, Any], route: str = "v1alpha1") -> dict[str, Any]:
        """POST a request to a route; returns the receipt.

        A request is taken in once per id, so one whose reply was lost is sent again. Raises RequestRefused,
        ServiceUnavailable.
        """
        data = json.dumps(body).encode()
        failure = "no reply"
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(0.5 * 2**attempt)
            try:
                reply = self._pool.request("POST", f"{self._url}/{route}", body=data, headers=self._headers)
            except HTTPError as error:
                failure = type(error).__name__
                continue
            value = _object(reply.data)
            if reply.status == 200 and value is not None:
                return value
            if reply.status not in (429, 502, 503, 504):
                raise _refusal(reply.status, value)
            failure = f"status {reply.status}"
        raise ServiceUnavailable(f"{self._url}/{route} did not take the request in: {failure}")

    def answers(self, queue_url: str | None = None, *, wait_s: int = 10) -> Iterator[dict[str, Any]]:
        """Answers as they come, for ever; an answer is acknowledged when the next one is asked for.

        Identical copies (same `answer_id`) are dropped. Raises ServiceUnavailable.
        """
        while True:
            yield from self._poll(queue_url, wait_s)

    def wait(self, ids: Collection[str], timeout: float, queue_url: str | None = None) -> dict[str, dict[str, Any]]:
        """The answers to these tasks, by id; those to other tasks are kept for `answers` and later waits.

        timeout: seconds. Raises WaitTimeout, which holds the answers that did come, and ServiceUnavailable.
        """
        deadline = time.monotonic() + timeout
        missing = set(ids)
        found: dict[str, dict[str, Any]] = {}
        others: list[dict[str, Any]] = []
        try:
            while missing:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitTimeout(found, missing)
                for answer in self._poll(queue_url, math.ceil(min(10, left))):
                    task_id = task_id_of(answer)
                    if task_id in missing:
                        missing.discard(str(task_id))
                        found[str(task_id)] = answer
                    else:
                        others.append(answer)
        finally:
            self._kept.extend(others)
        return found

    def _poll(self, queue_url: str | None, wait_s: int) -> Iterator[dict[str, Any]]:
        while self._kept:
            yield self._kept.popleft()
        inbox = self._inbox(queue_url)
        try:
            for envelope in inbox.receive(wait_s):
                yield envelope.answer
                inbox.acknowledge(envelope.receipt)
        except (BotoCoreError, AwsError) as error:
            raise ServiceUnavailable(f"the queue of answers did not work: {error}") from error

    def _inbox(self, queue_url: str | None) -> Inbox:
        url = queue_url or self._queue_url
        if url is None:
            raise ClientError("no queue of answers was named")
        if self._sqs is None:
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            config = Config(read_timeout=_SQS_READ_S)
            self._sqs = botocore.session.Session().create_client("sqs", region_name=region, config=config)
        if url not in self._inboxes:
            self._inboxes[url] = Inbox(client=self._sqs, queue_url=url)
        return self._inboxes[url]


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _refusal(status: int, value: dict[str, Any] | None) -> RequestRefused:
    error = (value or {}).get("error")
    if not isinstance(error, dict):
        return RequestRefused(status, "unknown", "the API answered without its error shape")
    return RequestRefused(status, str(error.get("code")), str(error.get("message")), error.get("field"))
