"""The task table on DynamoDB, and what stands in for it where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from sd_agent.contract import jsonvalue, rows
from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Task
from sd_agent.worker.aws import aws_errors
from sd_agent.worker.errors import Unavailable
from sd_agent.worker.ports import Begun, BegunState

__all__ = ["DynamoTable", "NoTable"]

_FAILED_CONDITION = "ConditionalCheckFailedException"
_DAY = 24 * 60 * 60
# A task is ours to work on if nobody holds it: it waits, or its holder's lease is over.
_FREE = (
    "attribute_not_exists(id) OR (body_digest = :digest AND "
    "(#status = :accepted OR (#status = :running AND lease_until < :now)))"
)
_MINE = "#status = :running AND worker = :worker AND attempt = :attempt"


class DynamoTable:
    """See ports.Table. Every write is one conditional update, so that of two agents one wins."""

    def __init__(self, *, client: Any, name: str, worker: str, retention_days: int) -> None:
        self._client = client
        self._name = name
        self._worker = worker
        self._retention = retention_days * _DAY

    def vouches(self, task: Task) -> bool:
        """See ports.Table."""
        row = self._get(task.tenant, task.id)
        return row is not None and row.body_digest == task.body_digest

    def begin(
        self, task: Task, *, runtime: str, receives: int, now: float, lease_until: float, deadline: float
    ) -> Begun:
        """See ports.Table; a message without a row gets one (it was published past intake, or the row was lost)."""
        updates = [
            "#status = :running",
            "worker = :worker",
            "lease_until = :lease",
            "updated_at = :now",
            "published = :true",
            "runtime = :runtime",
            "body_digest = if_not_exists(body_digest, :digest)",
            "created_at = if_not_exists(created_at, :now)",
            "expires_at = if_not_exists(expires_at, :expires)",
            "run = if_not_exists(run, :zero)",
            "attempt = if_not_exists(attempt, :zero) + :one",
            "by_status = :by_status",
            "deadline = if_not_exists(deadline, :deadline)",
            "due_at = if_not_exists(deadline, :deadline)",
            "due_shard = :shard",
        ]
        values = {
            ":running": rows.string(Status.RUNNING.value),
            ":accepted": rows.string(Status.ACCEPTED.value),
            ":worker": rows.string(self._worker),
            ":lease": rows.number(lease_until),
            ":now": rows.number(now),
            ":true": {"BOOL": True},
            ":runtime": rows.string(runtime),
            ":digest": rows.string(task.body_digest),
            ":expires": rows.number(int(now) + self._retention),
            ":zero": rows.number(0),
            ":one": rows.number(1),
            ":by_status": rows.by_status(task.tenant, Status.RUNNING),
            ":deadline": rows.number(deadline),
            ":shard": rows.due_shard(task.tenant, task.id),
        }
        for name, text in _told(task).items():
            updates.append(f"{name} = if_not_exists({name}, :{name})")
            values[f":{name}"] = rows.string(text)
        # The message has arrived, whether or not intake could note that it sent it.
        update = f"SET {', '.join(updates)} REMOVE message"
        done, row = self._update(task.tenant, task.id, update, _FREE, values)
        if done and row is not None:
            return Begun(state=BegunState.MINE, row=row)
        row = row or self._get(task.tenant, task.id)
        if row is None:
            raise Unavailable("dynamodb", "the row vanished while it was claimed")
        if row.status is Status.RUNNING and row.worker == self._worker and row.body_digest == task.body_digest:
            # Our own claim, made by a call whose reply was lost.
            return Begun(state=BegunState.MINE, row=row)
        return Begun(state=_refusal(row, task.body_digest), row=row)

    def extend(self, row: Row, lease_until: float) -> Row | None:
        """See ports.Table."""
        values = self._mine(row) | {":lease": rows.number(lease_until)}
        done, found = self._update(row.tenant, row.id, "SET lease_until = :lease", _MINE, values)
        return found if done else None

    def finish(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        """See ports.Table."""
        done, found = self._update(
            row.tenant,
            row.id,
            "SET #status = :ended, answer = :answer, published = :false, updated_at = :now, by_status = :by_status, "
            "due_at = :due, due_shard = :shard REMOVE lease_until, progress",
            _MINE,
            self._mine(row)
            | {
                ":ended": rows.string(status.value),
                ":answer": rows.string(answer),
                ":false": {"BOOL": False},
                ":now": rows.number(now),
                ":by_status": rows.by_status(row.tenant, status),
                ":due": rows.number(now + rows.GRACE_S),
                ":shard": rows.due_shard(row.tenant, row.id),
            },
        )
        if done:
            return found
        # The answer of whoever was faster counts; it may also be our own, stored by a call whose reply was lost.
        found = found or self._get(row.tenant, row.id)
        return found if found is not None and found.status.ended else None

    def mark_published(self, row: Row, now: float) -> None:
        """See ports.Table."""
        values = {":true": {"BOOL": True}, ":now": rows.number(now), ":ended": rows.string(row.status.value)}
        update = "SET published = :true, updated_at = :now REMOVE due_at, due_shard"
        self._update(row.tenant, row.id, update, "#status = :ended", values)

    def give_back(self, row: Row, *, counted: bool, now: float) -> None:
        """See ports.Table."""
        values = self._mine(row) | {
            ":accepted": rows.string(Status.ACCEPTED.value),
            ":by_status": rows.by_status(row.tenant, Status.ACCEPTED),
            ":now": rows.number(now),
        }
        update = "SET #status = :accepted, by_status = :by_status, updated_at = :now"
        if not counted:
            update += ", attempt = attempt - :one"
            values[":one"] = rows.number(1)
        self._update(row.tenant, row.id, f"{update} REMOVE worker, lease_until, progress", _MINE, values)

    def _get(self, tenant: str, task_id: str) -> Row | None:
        with aws_errors("dynamodb"):
            answer = self._client.get_item(TableName=self._name, Key=rows.key(tenant, task_id), ConsistentRead=True)
        return rows.decode(answer["Item"]) if "Item" in answer else None

    def _mine(self, row: Row) -> dict[str, dict[str, Any]]:
        return {
            ":running": rows.string(Status.RUNNING.value),
            ":worker": rows.string(self._worker),
            ":attempt": rows.number(row.attempt),
        }

    def _update(
        self, tenant: str, task_id: str, update: str, condition: str, values: Mapping[str, Any]
    ) -> tuple[bool, Row | None]:
        """(whether the condition held, the row after the update or the one that refused it if the reply tells)."""
        with aws_errors("dynamodb"):
            try:
                answer = self._client.update_item(
                    TableName=self._name,
                    Key=rows.key(tenant, task_id),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues=dict(values),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != _FAILED_CONDITION:
                    raise
                item = error.response.get("Item")
                return False, rows.decode(item) if item else None
        return True, rows.decode(answer["Attributes"])


class NoTable:
    """Without SD_TASK_TABLE: every message is ours, and SQS's receive count stands for the attempts."""

    def vouches(self, task: Task) -> bool:
        """See ports.Table; there is nothing to hold the message against."""
        return True

    def begin(
        self, task: Task, *, runtime: str, receives: int, now: float, lease_until: float, deadline: float
    ) -> Begun:
        """See ports.Table."""
        row = Row(
            tenant=task.tenant,
            id=task.id,
            status=Status.RUNNING,
            runtime=runtime,
            body_digest=task.body_digest,
            created_at=now,
            updated_at=now,
            expires_at=0,
            published=True,
            attempt=receives,
            deadline=deadline,
        )
        return Begun(state=BegunState.MINE, row=row)

    def extend(self, row: Row, lease_until: float) -> Row | None:
        """See ports.Table."""
        return row

    def finish(self, row: Row, *, status: Status, answer: str, now: float) -> Row | None:
        """See ports.Table."""
        return replace(row, status=status, answer=answer, published=False, updated_at=now)

    def mark_published(self, row: Row, now: float) -> None:
        """See ports.Table."""

    def give_back(self, row: Row, *, counted: bool, now: float) -> None:
        """See ports.Table."""


def _told(task: Task) -> dict[str, str]:
    """What lists need of a task, and an answer that no agent gives."""
    texts: dict[str, str] = {}
    if task.uid is not None:
        texts |= {"uid": task.uid, rows.BY_UID: rows.by_uid(task.tenant, task.uid)}
    if task.context is not None:
        texts["context"] = jsonvalue.canonical(task.context).decode()
    if task.dialect is not None:
        texts["dialect"] = task.dialect.value
    return texts


def _refusal(row: Row, digest: str) -> BegunState:
    if row.body_digest != digest:
        return BegunState.OTHER_BODY
    return BegunState.ENDED if row.status.ended else BegunState.HELD
