"""A subscriber's queue, read as answers."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Envelope", "Inbox", "read_answer", "task_id_of"]

_log = logging.getLogger(__name__)
_REMEMBERED = 10_000


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """An answer and the receipt that removes it from the queue."""

    answer: dict[str, Any]
    receipt: str = field(repr=False)


class Inbox:
    """Long-polls one queue. Copies of an answer that was seen before are removed and not handed out.

    `client` is a botocore SQS client. An answer stays on the queue until `acknowledge`.
    """

    def __init__(self, *, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url
        self._seen: OrderedDict[str, None] = OrderedDict()

    def receive(self, wait_s: int) -> Iterator[Envelope]:
        """What one long poll brings: up to ten answers, `wait_s` from 0 to 20 seconds."""
        reply = self._client.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=max(0, min(20, wait_s))
        )
        for message in reply.get("Messages") or []:
            answer = read_answer(message["Body"])
            if answer is None:
                _log.warning("not an answer", extra={"message_id": message["MessageId"]})
                continue
            answer_id = str(answer.get("answer_id") or "")
            if answer_id and answer_id in self._seen:
                self.acknowledge(message["ReceiptHandle"])
                continue
            yield Envelope(answer=answer, receipt=message["ReceiptHandle"])
            self._remember(answer_id)

    def acknowledge(self, receipt: str) -> None:
        """Remove an answer from the queue."""
        self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=receipt)

    def _remember(self, answer_id: str) -> None:
        if answer_id:
            self._seen[answer_id] = None
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def read_answer(body: str) -> dict[str, Any] | None:
    """The answer in a message, with or without SNS's envelope; None where the message holds none."""
    try:
        value = json.loads(body)
        if isinstance(value, dict) and value.get("Type") == "Notification" and isinstance(value.get("Message"), str):
            value = json.loads(value["Message"])
    except ValueError:
        return None
    return value if isinstance(value, dict) and task_id_of(value) is not None else None


def task_id_of(answer: dict[str, Any]) -> str | None:
    """The task's id in an answer of any dialect."""
    parameters = answer.get("parameters")
    nested = parameters.get("id_task") if isinstance(parameters, dict) else None
    for candidate in (answer.get("id"), nested, answer.get("inferenceId")):
        if isinstance(candidate, str):
            return candidate
    return None
