"""The sweep's ports on DynamoDB, SQS and S3; the topics are intake's."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from sd_agent.contract import rows
from sd_agent.contract.rows import Row, Status
from sd_agent.intake import aws
from sd_agent.intake.aws import service_errors
from sd_agent.sweep.ports import Dead

__all__ = ["S3Contents", "SqsDeadLetters", "SweepTable"]

_log = logging.getLogger(__name__)
_TURN_ID = "sweep"
_FAILED_CONDITION = "ConditionalCheckFailedException"
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_NO_OBJECT = frozenset({"NoSuchKey", "404"})
# Longer than a run; a run that dies leaves what it took hidden for that long.
_HIDDEN_S = 120
_RECEIVES = 50
_WAIT_S = 1
_REASON_CHARACTERS = 1000


class SweepTable(aws.DynamoTable):
    """See ports.Table."""

    def __init__(self, *, client: Any, name: str) -> None:
        super().__init__(client=client, name=name)
        self._me = uuid.uuid4().hex

    def take_turn(self, now: float, until: float) -> bool:
        """See ports.Table."""
        with service_errors("dynamodb"):
            try:
                self._client.update_item(
                    TableName=self._name,
                    Key=rows.key(rows.SYSTEM_TENANT, _TURN_ID),
                    UpdateExpression="SET holder = :me, lease_until = :until",
                    ConditionExpression="attribute_not_exists(lease_until) OR lease_until < :now",
                    ExpressionAttributeValues={
                        ":me": rows.string(self._me),
                        ":until": rows.number(until),
                        ":now": rows.number(now),
                    },
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != _FAILED_CONDITION:
                    raise
                return False
        return True

    def end_turn(self) -> None:
        """See ports.Table."""
        with service_errors("dynamodb"):
            try:
                self._client.update_item(
                    TableName=self._name,
                    Key=rows.key(rows.SYSTEM_TENANT, _TURN_ID),
                    UpdateExpression="REMOVE lease_until",
                    ConditionExpression="holder = :me",
                    ExpressionAttributeValues={":me": rows.string(self._me)},
                )
            except ClientError as error:
                # The run took longer than its turn, and the next one has begun.
                if error.response["Error"]["Code"] != _FAILED_CONDITION:
                    raise

    def due(self, now: float, limit: int) -> Iterator[tuple[str, str]]:
        """See ports.Table."""
        for shard in rows.DUE_SHARDS:
            with service_errors("dynamodb"):
                answer = self._client.query(
                    TableName=self._name,
                    IndexName=rows.DUE,
                    KeyConditionExpression="due_shard = :shard AND due_at <= :now",
                    ExpressionAttributeValues={":shard": rows.string(shard), ":now": rows.number(now)},
                    Limit=limit,
                )
            for item in answer.get("Items", ()):
                yield item["tenant"]["S"], item["id"]["S"]

    def conclude(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        """See ports.Table."""
        return self._change(
            row,
            "SET #status = :ended, by_status = :by_status, answer = :answer, published = :false, updated_at = :now, "
            "due_at = :due, due_shard = :shard REMOVE message, lease_until, progress",
            "#status = :before AND body_digest = :digest AND attempt = :attempt "
            "AND (attribute_not_exists(lease_until) OR lease_until < :now)",
            {
                ":before": rows.string(row.status.value),
                ":attempt": rows.number(row.attempt),
                ":ended": rows.string(status.value),
                ":by_status": rows.by_status(row.tenant, status),
                ":answer": rows.string(answer),
                ":false": {"BOOL": False},
                ":now": rows.number(now),
                ":due": rows.number(now + rows.GRACE_S),
                ":shard": rows.due_shard(row.tenant, row.id),
                ":digest": rows.string(row.body_digest),
            },
        )

    def look_again(self, row: Row, at: float) -> None:
        """See ports.Table."""
        values = {":before": rows.string(row.status.value), ":seen": rows.number(row.due_at)}
        update = "REMOVE due_at, due_shard"
        if at:
            update = "SET due_at = :at"
            values[":at"] = rows.number(at)
        self._change(row, update, "#status = :before AND due_at = :seen", values)


class SqsDeadLetters:
    """See ports.DeadLetters. system: the beginning of the queues' names."""

    def __init__(self, *, client: Any, system: str) -> None:
        self._client = client
        self._system = system

    def unexplained(self, runtime: str) -> Iterator[Dead]:
        """See ports.DeadLetters."""
        queue = self._url(f"{self._system}-{runtime}-dlq")
        if queue is None or self._is_empty(queue):
            return
        explained: list[str] = []
        try:
            for _ignored in range(_RECEIVES):
                received = self._receive(queue)
                if not received:
                    break
                for message in received:
                    attributes = _strings(message.get("MessageAttributes", {}))
                    if "reason" in attributes:
                        explained.append(message["ReceiptHandle"])
                    else:
                        yield Dead(
                            queue=queue,
                            receipt=message["ReceiptHandle"],
                            body=message["Body"],
                            attributes=attributes,
                        )
        finally:
            self._show_again(queue, explained)

    def explain(self, message: Dead, reason: str) -> None:
        """See ports.DeadLetters."""
        # SQS takes ten attributes; the reason must be among them.
        kept = dict([(name, value) for name, value in message.attributes.items() if value][:9])
        attributes = kept | {"reason": reason[:_REASON_CHARACTERS]}
        with service_errors("sqs"):
            self._client.send_message(
                QueueUrl=message.queue,
                MessageBody=message.body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
            self._client.delete_message(QueueUrl=message.queue, ReceiptHandle=message.receipt)

    def _url(self, name: str) -> str | None:
        with service_errors("sqs"):
            try:
                url: str = self._client.get_queue_url(QueueName=name)["QueueUrl"]
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NO_QUEUE:
                    raise
                return None
        return url

    def _is_empty(self, queue: str) -> bool:
        name = "ApproximateNumberOfMessages"
        with service_errors("sqs"):
            answer = self._client.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
        return bool(answer["Attributes"][name] == "0")

    def _receive(self, queue: str) -> list[dict[str, Any]]:
        with service_errors("sqs"):
            answer = self._client.receive_message(
                QueueUrl=queue,
                MaxNumberOfMessages=10,
                VisibilityTimeout=_HIDDEN_S,
                # Short, but not so short that SQS asks only some of its servers.
                WaitTimeSeconds=_WAIT_S,
                MessageAttributeNames=["All"],
            )
        received: list[dict[str, Any]] = answer.get("Messages") or []
        return received

    def _show_again(self, queue: str, receipts: list[str]) -> None:
        for start in range(0, len(receipts), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + 10])
            ]
            with service_errors("sqs"):
                self._client.change_message_visibility_batch(QueueUrl=queue, Entries=entries)


class S3Contents:
    """See ports.Contents."""

    def __init__(self, *, client: Any) -> None:
        self._client = client

    def get(self, bucket: str, key: str) -> bytes | None:
        """See ports.Contents."""
        with service_errors("s3"):
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NO_OBJECT:
                    raise
                return None
            with answer["Body"] as stream:
                data: bytes = stream.read()
        return data


def _strings(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in attributes.items() if "StringValue" in value}
