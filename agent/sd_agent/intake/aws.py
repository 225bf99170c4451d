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
from sd_agent.intake.ports import Page, Place, Query, Unavailable, UploadForm

__all__ = ["Clients", "DynamoRoutes", "DynamoTable", "S3Storage", "SnsTopic", "service_errors"]

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
            max_pool_connections=10,
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
    def sqs(self) -> Any:
        """SQS."""
        return self._client("sqs")

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
        with service_errors("dynamodb"):
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
        with service_errors("dynamodb"):
            answer = self._client.get_item(TableName=self._name, Key=rows.key(tenant, task_id), ConsistentRead=True)
        return rows.decode(answer["Item"]) if "Item" in answer else None

    def mark_published(self, tenant: str, task_id: str, now: float) -> None:
        """See ports.Table."""
        with service_errors("dynamodb"):
            try:
                self._client.update_item(
                    TableName=self._name,
                    Key=rows.key(tenant, task_id),
                    # Nobody has to come back to it before its time to live is over.
                    UpdateExpression="SET published = :true, updated_at = :now, "
                    "due_at = if_not_exists(deadline, :now) REMOVE message",
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

    def end(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        """See ports.Table."""
        return self._change(
            row,
            "SET #status = :ended, by_status = :by_status, answer = :answer, published = :false, updated_at = :now, "
            "due_at = :due, due_shard = :shard REMOVE message",
            "#status = :accepted AND body_digest = :digest",
            {
                ":accepted": rows.string(Status.ACCEPTED.value),
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

    def ask_to_cancel(self, row: Row, now: float) -> Row | None:
        """See ports.Table."""
        return self._change(
            row,
            "SET cancel = :true, updated_at = :now, due_at = :due, due_shard = :shard",
            "#status = :running AND body_digest = :digest",
            {
                ":running": rows.string(Status.RUNNING.value),
                ":true": {"BOOL": True},
                ":now": rows.number(now),
                ":due": rows.number(now + rows.GRACE_S),
                ":shard": rows.due_shard(row.tenant, row.id),
                ":digest": rows.string(row.body_digest),
            },
        )

    def mark_answered(self, row: Row, now: float) -> None:
        """See ports.Table."""
        self._change(
            row,
            "SET published = :true, updated_at = :now REMOVE due_at, due_shard",
            "#status = :ended AND body_digest = :digest",
            {
                ":true": {"BOOL": True},
                ":now": rows.number(now),
                ":ended": rows.string(row.status.value),
                ":digest": rows.string(row.body_digest),
            },
        )

    def page(self, query: Query) -> Page:
        """See ports.Table."""
        if query.uid is not None:
            index, owner = rows.BY_UID, rows.string(rows.by_uid(query.tenant, query.uid))
        elif query.status is not None:
            index, owner = rows.BY_STATUS, rows.by_status(query.tenant, query.status)
        else:
            raise ValueError("a list is of one uid or of one status")
        arguments: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": index,
            "KeyConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": index},
            "ExpressionAttributeValues": {":owner": owner},
            "ScanIndexForward": False,
            "Limit": query.limit,
        }
        if query.uid is not None and query.status is not None:
            arguments["FilterExpression"] = "#status = :status"
            arguments["ExpressionAttributeNames"]["#status"] = "status"
            arguments["ExpressionAttributeValues"][":status"] = rows.string(query.status.value)
        if query.after is not None:
            created_at = {"N": query.after.created_at}
            key = rows.key(query.tenant, query.after.id)
            arguments["ExclusiveStartKey"] = key | {index: owner, "created_at": created_at}
        with service_errors("dynamodb"):
            answer = self._client.query(**arguments)
        last = answer.get("LastEvaluatedKey")
        return Page(
            rows=tuple(rows.decode(item) for item in answer.get("Items", ())),
            next=Place(id=last["id"]["S"], created_at=last["created_at"]["N"]) if last else None,
        )

    def _change(self, row: Row, update: str, condition: str, values: Mapping[str, Any]) -> Row | None:
        with service_errors("dynamodb"):
            try:
                answer = self._client.update_item(
                    TableName=self._name,
                    Key=rows.key(row.tenant, row.id),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues=dict(values),
                    ReturnValues="ALL_NEW",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != _FAILED_CONDITION:
                    raise
                return None
        return rows.decode(answer["Attributes"])


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
        with service_errors("dynamodb"):
            answer = self._client.get_item(
                TableName=self._table, Key=rows.key(rows.SYSTEM_TENANT, rows.ROUTES_ID), ConsistentRead=True
            )
        item: Mapping[str, Mapping[str, Any]] = answer.get("Item", {})
        if not item:
            _log.warning("there is no route table yet")
            return EMPTY_ROUTES
        return RouteTable.parse(item.get("routes", {}).get("S", ""))


class SnsTopic:
    """See ports.Topic."""

    def __init__(self, *, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    def publish(self, message: str, *, attributes: Mapping[str, str], group: str) -> None:
        """See ports.Topic."""
        with service_errors("sns"):
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
        with service_errors("s3"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)

    def upload_form(self, key: str, *, content_type: str, max_bytes: int, seconds: int) -> UploadForm:
        """See ports.Storage."""
        with service_errors("s3"):
            form = self._client.generate_presigned_post(
                Bucket=self._bucket,
                Key=key,
                Fields={"content-type": content_type},
                Conditions=[{"content-type": content_type}, ["content-length-range", 1, max_bytes]],
                ExpiresIn=seconds,
            )
        return UploadForm(url=form["url"], fields=form["fields"])


@contextmanager
def service_errors(name: str) -> Iterator[None]:
    """Whatever AWS or the way there does wrong becomes Unavailable."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(name, str(error)) from error
