"""One run over what somebody has to come back to. No AWS here; doing anything twice does no harm."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from sd_agent.contract import jsonvalue, logs, messages, names, unserved
from sd_agent.contract.errors import ErrorCode, InvalidRequest
from sd_agent.contract.outbox import Outgoing
from sd_agent.contract.rows import DEFAULT_TTL_S, Row, Status
from sd_agent.contract.task import Task, TaskType
from sd_agent.intake.ports import Routes, Topic, Unavailable
from sd_agent.sweep.ports import Contents, Dead, DeadLetters, Table

__all__ = ["Sweep"]

_log = logging.getLogger(__name__)
_DAY = 24 * 60 * 60
# A run of the next minute may find what this one leaves.
_ROWS_PER_SHARD = 250
_TURN_S = 120.0
_SOON_S = 1.0
_CHANGED = "changed meanwhile"
_EXPIRED = "nobody could begin the task within its time to live"
_LOST = "the message was lost before it was published"
_GIVEN_UP = "SQS gave the task up: it was received too often without an end"


class Sweep:
    """See `run`. answers, error_answers: topics of answers, the second for those that are not `completed`."""

    def __init__(
        self,
        *,
        table: Table,
        topic: Topic,
        answers: Topic,
        error_answers: Topic | None,
        routes: Routes,
        dead_letters: DeadLetters,
        contents: Contents,
        bucket: str,
        region: str,
        retention_days: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._topic = topic
        self._answers = answers
        self._error_answers = error_answers or answers
        self._routes = routes
        self._dead_letters = dead_letters
        self._contents = contents
        self._bucket = bucket
        self._region = region
        self._retention = retention_days * _DAY
        self._clock = clock

    def run(self, may_go_on: Callable[[], bool]) -> Counter[str]:
        """Do what is due, as long as `may_go_on`; returns how often each thing was done.

        Nothing where another run is under way. What fails is counted and left to the next run.
        """
        done: Counter[str] = Counter()
        now = self._clock()
        if not self._table.take_turn(now, now + _TURN_S):
            done["another run is under way"] += 1
            return done
        try:
            self._rows(may_go_on, done)
            self._dead(may_go_on, done)
        finally:
            self._table.end_turn()
        return done

    def _rows(self, may_go_on: Callable[[], bool], done: Counter[str]) -> None:
        for tenant, task_id in self._table.due(self._clock(), _ROWS_PER_SHARD):
            if not may_go_on():
                return
            with logs.task_log(task_id, tenant):
                try:
                    row = self._table.get(tenant, task_id)
                    # The index lags behind the table.
                    if row is not None and 0 < row.due_at <= self._clock():
                        done[self._row(row)] += 1
                except (Unavailable, ValueError) as error:
                    _log.warning("left to the next run", extra={"reason": str(error)})
                    done["failed"] += 1

    def _row(self, row: Row) -> str:
        """What became of one row whose time has come."""
        now = self._clock()
        if row.status.ended:
            return self._ended(row)
        if row.status is Status.RUNNING and row.lease_until > now:
            self._table.look_again(row, row.lease_until + _SOON_S)
            return "is being worked on"
        if row.cancel:
            return self._answer(row, Status.CANCELLED, unserved.cancelled(row, **self._how(row)))
        if 0 < row.deadline <= now:
            return self._fail(row, ErrorCode.EXPIRED, _EXPIRED)
        if row.published:
            # On its queue, from where SQS hands it out again.
            self._table.look_again(row, row.deadline)
            return "is on its way"
        if row.message is None:
            return self._fail(row, ErrorCode.STORAGE_ERROR, _LOST)
        outgoing = Outgoing.load(row.message)
        self._topic.publish(outgoing.message, attributes=outgoing.attributes, group=row.tenant)
        self._table.mark_published(row.tenant, row.id, now)
        _log.info("published", extra={"runtime": row.runtime})
        return "message published"

    def _ended(self, row: Row) -> str:
        if row.published or row.answer is None:
            self._table.look_again(row, 0)
            return "was answered"
        self._tell(row)
        return "answer published"

    def _dead(self, may_go_on: Callable[[], bool], done: Counter[str]) -> None:
        """What SQS dead-lettered by itself: agents give a reason, SQS doesn't."""
        try:
            runtimes = sorted(self._routes.current().runtimes)
            # Another one is the first in each minute, so that none waits for ever for a run that gets so far.
            first = int(self._clock() // 60) % max(1, len(runtimes))
            for runtime in runtimes[first:] + runtimes[:first]:
                for message in self._dead_letters.unexplained(runtime):
                    if not may_go_on():
                        return
                    reason = self._give_up(message, runtime)
                    if reason is not None:
                        self._dead_letters.explain(message, reason)
                        done["dead letter answered"] += 1
        except Unavailable as error:
            _log.warning("dead letters are left to the next run", extra={"reason": str(error)})
            done["failed"] += 1

    def _give_up(self, message: Dead, runtime: str) -> str | None:
        """Answer a dead letter; the reason to note, None where it has to stay as it is."""
        code, complaint = ErrorCode.MAX_ATTEMPTS, _GIVEN_UP
        try:
            task = self._task(message)
        except InvalidRequest as error:
            code, complaint = error.code, error.message
            task_id = messages.readable_identity(message.body)
            if task_id is None:
                return f"{code.value}: {complaint}"
            # The same stand-in that an agent makes, so that whoever comes first answers.
            task = Task(id=task_id, tasktype=TaskType.PIPELINE, content={"unreadable": message.body})
        with logs.task_log(task.id, task.tenant):
            row = self._table.claim(self._new_row(task, runtime))
            if row.body_digest != task.body_digest:
                return "conflict: the id was used for another request"
            if row.status.ended:
                if not row.published and row.answer is not None:
                    self._tell(row)
            elif self._fail(row, code, complaint) == _CHANGED:
                return None
        return f"{code.value}: {complaint}"

    def _task(self, message: Dead) -> Task:
        """The task in a message. Raises InvalidRequest, Unavailable."""
        opened = messages.open_message(message.body, message.attributes)
        reference = opened.content_ref
        if reference is not None:
            stored = self._contents.get(self._bucket, reference.key) if reference.bucket == self._bucket else None
            if stored is None:
                raise InvalidRequest.at("content_ref.url", "the stored content is gone or in another bucket")
            opened = messages.with_content(opened, stored)
        task = messages.task_of(opened)
        if task.tenant != names.DEFAULT_TENANT:
            # Only intake knows tenants: whoever publishes past it is the default one.
            row = self._table.get(task.tenant, task.id)
            if row is None or row.body_digest != task.body_digest:
                return replace(task, tenant=names.DEFAULT_TENANT)
        return task

    def _new_row(self, task: Task, runtime: str) -> Row:
        """For a message that was published past intake."""
        now = self._clock()
        return Row(
            tenant=task.tenant,
            id=task.id,
            status=Status.ACCEPTED,
            runtime=runtime,
            body_digest=task.body_digest,
            created_at=now,
            updated_at=now,
            expires_at=int(now + self._retention),
            published=True,
            uid=task.uid,
            context=None if task.context is None else jsonvalue.canonical(task.context).decode(),
            dialect=task.dialect and task.dialect.value,
            deadline=now + (task.ttl or DEFAULT_TTL_S),
            due_at=now + (task.ttl or DEFAULT_TTL_S),
        )

    def _how(self, row: Row) -> unserved.How:
        dialect = unserved.dialect_of(row, self._routes.current())
        return {"dialect": dialect, "region": self._region, "now": self._clock()}

    def _fail(self, row: Row, code: ErrorCode, message: str) -> str:
        return self._answer(row, Status.FAILED, unserved.failed(row, code, message, **self._how(row)))

    def _answer(self, row: Row, status: Status, text: str) -> str:
        ended = self._table.conclude(row, status=status, answer=text, now=self._clock())
        if ended is None:
            return _CHANGED
        self._tell(ended)
        return f"answered {status.value}"

    def _tell(self, row: Row) -> None:
        topic = self._answers if row.status is Status.COMPLETED else self._error_answers
        topic.publish(row.answer or "", attributes=unserved.answer_attributes(row, row.status), group=row.tenant)
        self._table.mark_answered(row, self._clock())
        _log.info("answered", extra={"status": row.status.value})
