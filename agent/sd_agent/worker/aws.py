"""The agent's ports on SQS, SNS and S3; the task table is in worker.table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from sd_agent.contract.errors import ConfigurationError
from sd_agent.worker.errors import Unavailable
from sd_agent.worker.ports import Received

__all__ = ["Clients", "S3Storage", "SnsTopic", "SqsQueue", "aws_errors"]

# SQS's longest wait for a message is 20 s; the reply of such a receive must not count as lost before.
_SQS_READ_S = 30
_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
_REASON_CHARACTERS = 1000


class Clients:
    """The process's AWS clients, made when first used. Calls are few and small: three tries within some seconds."""

    def __init__(self, region: str | None = None) -> None:
        self._session = botocore.session.Session()
        self._region = region or None

    @cached_property
    def sqs(self) -> Any:
        """SQS."""
        return self._client("sqs", _SQS_READ_S)

    @cached_property
    def sns(self) -> Any:
        """SNS."""
        return self._client("sns", 10)

    @cached_property
    def dynamodb(self) -> Any:
        """DynamoDB."""
        return self._client("dynamodb", 5)

    @cached_property
    def s3(self) -> Any:
        """S3."""
        return self._client("s3", 30)

    def _client(self, service: str, read_timeout: int) -> Any:
        config = ClientConfig(
            connect_timeout=3,
            read_timeout=read_timeout,
            retries={"total_max_attempts": 3, "mode": "standard"},
            tcp_keepalive=True,
            max_pool_connections=4,
        )
        try:
            return self._session.create_client(service, region_name=self._region, config=config)
        except BotoCoreError as error:
            raise ConfigurationError(f"no client for {service}: {error}") from error


class SqsQueue:
    """See ports.Queue. visibility_s: how long a received message is ours unless `hide` says otherwise."""

    def __init__(self, *, client: Any, url: str, dlq_url: str, poll_s: int, visibility_s: int) -> None:
        self._client = client
        self._url = url
        self._dlq_url = dlq_url
        self._poll_s = poll_s
        self._visibility_s = visibility_s

    def receive(self) -> Received | None:
        """See ports.Queue."""
        with aws_errors("sqs"):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=self._poll_s,
                VisibilityTimeout=self._visibility_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                MessageAttributeNames=["All"],
            )
        for message in answer.get("Messages") or []:
            system = message.get("Attributes", {})
            return Received(
                message_id=message["MessageId"],
                receipt=message["ReceiptHandle"],
                body=message["Body"],
                attributes=_strings(message.get("MessageAttributes", {})),
                receives=int(system.get("ApproximateReceiveCount", 1)),
                sent_at=int(system.get("SentTimestamp", 0)) / 1000,
            )
        return None

    def acknowledge(self, message: Received) -> None:
        """See ports.Queue."""
        with aws_errors("sqs"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def hide(self, message: Received, seconds: int) -> None:
        """See ports.Queue."""
        with aws_errors("sqs"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds
            )

    def dead_letter(self, message: Received, reason: str) -> None:
        """See ports.Queue."""
        attributes = {name: value for name, value in message.attributes.items() if value} | {
            "reason": reason[:_REASON_CHARACTERS]
        }
        with aws_errors("sqs"):
            self._client.send_message(
                QueueUrl=self._dlq_url,
                MessageBody=message.body,
                # SQS takes ten attributes; the reason is the last one here and must be among them.
                MessageAttributes=_attributes(dict(list(attributes.items())[-10:])),
            )


class SnsTopic:
    """See ports.Topic."""

    def __init__(self, *, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, text: str, *, attributes: Mapping[str, str], group: str) -> None:
        """See ports.Topic."""
        with aws_errors("sns"):
            self._client.publish(
                TopicArn=self._arn,
                Message=text,
                MessageAttributes=_attributes(attributes),
                MessageGroupId=group,
            )


class S3Storage:
    """See ports.Storage."""

    def __init__(self, *, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """See ports.Storage."""
        with aws_errors("s3"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)

    def get(self, bucket: str, key: str, limit: int) -> bytes:
        """See ports.Storage."""
        with aws_errors("s3"):
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    raise LookupError(key) from None
                raise
            with answer["Body"] as stream:
                data: bytes = stream.read(limit + 1)
        if len(data) > limit:
            raise ValueError(f"{key} is larger than {limit} bytes")
        return data


@contextmanager
def aws_errors(service: str) -> Iterator[None]:
    """Whatever AWS or the way there does wrong becomes Unavailable."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(service, str(error)) from error


def _attributes(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def _strings(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in attributes.items() if "StringValue" in value}
