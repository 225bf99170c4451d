"""Intake's ports on AWS. botocore alone (boto3 would only add import time), one client per service and process."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from sd_agent.contract import rows
from sd_agent.contract.errors import ConfigurationError
from sd_agent.contract.routing import EMPTY_ROUTES, RouteTable
from sd_agent.contract.rows import Row, Status
from sd_agent.intake.ports import Unavailable

__all__ = ["Clients", "DynamoRoutes", "DynamoTable", "S3Storage", "SnsTopic"]

_log = logging.getLogger(__name__)
_ROUTES_SECONDS = 30.0
_FAILED_CONDITION = "ConditionalCheckFailedException"


class Clients:
    """The process's AWS clients, made when first used. API Gateway waits 29 s: the calls of one request must fit."""

    def __init__(self) -> None:
        self._session = botocore.session.Session()
        self._config = ClientConfig(
            connect_timeout=1,
            read_timeout=3,
            retries={"total_max_attempts": 2, "mode": "standard"},
            tcp_keepalive=True,
            max_pool_connections=2,
        )

    @cached_property
    def dynamodb(self) -> Any:
        """DynamoDB."""
        return self._client("dynamodb")

    @cached_property
    def sns(self) -> Any:
        """SNS."""
        return self._client("sns")

    @cached_property
    def s3(self) -> Any:
        """S3."""
        return self._client("s3")

    def _client(self, service: str) -> Any:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        try:
            return self._session.create_client(service, region_name=region, config=self._config)
        except BotoCoreError as error:
            raise ConfigurationError(f"no client for {service}: {error}") from error


class DynamoTable:
    """The task table."""

    def __init__(self, *, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def claim(self, row: Row) -> Row:
        """See ports.Table."""
        with _service("dynamodb"):
            try:
                self._client.put_item(
                    TableName=self._name,
                    Item=rows.encode(row),
                    # DynamoDB deletes expired items hours late; until then they count as gone.
                    ConditionExpression="attribute_not_exists(id) OR expires_at < :now",
                    ExpressionAttributeValues={":now": rows.number(row.created_at)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != _FAILED_CONDITION:
                    raise
                item = error.response.get("Item")
            else:
                return row
        found = rows.decode(item) if item else self.get(row.tenant, row.id)
        if found is None:
            raise Unavailable("dynamodb", "the row vanished while it was claimed")
        return found

    def get(self, tenant: str, task_id: str) -> Row | None:
        """See ports.Table."""
        with _service("dynamodb"):
            answer = self._client.get_item(TableName=self._name, Key=rows.key(tenant, task_id), ConsistentRead=True)
        return rows.decode(answer["Item"]) if "Item" in answer else None

    def mark_published(self, tenant: str, task_id: str, now: float) -> None:
        """See ports.Table."""
        with _service("dynamodb"):
            try:
                self._client.update_item(
                    TableName=self._name,
                    Key=rows.key(tenant, task_id),
                    UpdateExpression="SET published = :true, updated_at = :now",
                    ConditionExpression="#status IN (:accepted, :running)",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":true": {"BOOL": True},
                        ":now": rows.number(now),
                        ":accepted": rows.string(Status.ACCEPTED.value),
                        ":running": rows.string(Status.RUNNING.value),
                    },
                )
            except ClientError as error:
                # An agent was faster and the task has ended: `published` is about its answer now.
                if error.response["Error"]["Code"] != _FAILED_CONDITION:
                    raise


class DynamoRoutes:
    """The route table, kept for 30 seconds, and longer while it can't be read again."""

    def __init__(self, *, client: Any, table: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._read_at = 0.0
        self._routes: RouteTable | None = None

    def current(self) -> RouteTable:
        """See ports.Routes."""
        now = self._clock()
        if self._routes is None or now - self._read_at >= _ROUTES_SECONDS:
            try:
                self._routes = self._read()
            except (Unavailable, ConfigurationError) as error:
                if self._routes is None:
                    raise
                _log.warning("keeping the route table that is known", extra={"reason": str(error)})
            self._read_at = now
        return self._routes

    def _read(self) -> RouteTable:
        with _service("dynamodb"):
            answer = self._client.get_item(
                TableName=self._table, Key=rows.key(rows.SYSTEM_TENANT, rows.ROUTES_ID), ConsistentRead=True
            )
        item: Mapping[str, Mapping[str, Any]] = answer.get("Item", {})
        if not item:
            _log.warning("there is no route table yet")
            return EMPTY_ROUTES
        return RouteTable.parse(item.get("routes", {}).get("S", ""))


class SnsTopic:
    """The input topic."""

    def __init__(self, *, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, message: str, *, attributes: Mapping[str, str], group: str) -> None:
        """See ports.Topic."""
        with _service("sns"):
            self._client.publish(
                TopicArn=self._arn,
                Message=message,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
                MessageGroupId=group,
            )


class S3Storage:
    """The outputs bucket."""

    def __init__(self, *, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        """See ports.Storage."""
        return self._bucket

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """See ports.Storage."""
        with _service("s3"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)


@contextmanager
def _service(name: str) -> Iterator[None]:
    """Whatever AWS or the way there does wrong becomes Unavailable."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(name, str(error)) from error
