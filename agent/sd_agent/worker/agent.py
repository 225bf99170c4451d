"""One message from the queue to its end. No AWS, no WebUI program and no environment here: ports only."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from sd_agent.contract import messages, names
from sd_agent.contract.answers import Details
from sd_agent.contract.errors import ErrorCode, InvalidRequest
from sd_agent.contract.logs import task_log
from sd_agent.contract.rows import DEFAULT_TTL_S, Row, Status
from sd_agent.contract.task import Dialect, Task, TaskType
from sd_agent.worker import outcome
from sd_agent.worker.config import Config
from sd_agent.worker.errors import Abandoned, TaskError, Unavailable
from sd_agent.worker.outcome import Told
from sd_agent.worker.ports import BegunState, Queue, Received, Storage, Table, Topic
from sd_agent.worker.runner import TaskRunner
from sd_agent.worker.stop import Stop
from sd_agent.worker.supervisor import Beat, Hold, Supervisor
from sd_agent.worker.webui.base import WebUI

__all__ = ["Agent", "Outcome", "backoff"]

_log = logging.getLogger(__name__)
# Lambda takes 6 MB; the stored content of a request cannot be larger.
_MAX_CONTENT_BYTES = 8 * 1024 * 1024


class Outcome(Enum):
    """What came of one iteration."""

    WEBUI_DOWN = "the WebUI does not answer"
    IDLE = "no message"
    COMPLETED = "answered: completed"
    FAILED = "answered: failed"
    CANCELLED = "answered: cancelled"
    REPEATED = "was answered before"
    RETRY = "put back for another attempt"
    LEFT = "another agent holds it"
    LOST = "lost to another agent"
    HANDED_BACK = "handed back"
    DEAD_LETTERED = "dead-lettered without an answer"
    UNAVAILABLE = "AWS does not answer"


_ENDED = {
    Status.COMPLETED: Outcome.COMPLETED,
    Status.FAILED: Outcome.FAILED,
    Status.CANCELLED: Outcome.CANCELLED,
}


def backoff(failures: int) -> int:
    """Seconds to wait after so many failures in a row: 5, 10, 20 … up to 300."""
    return int(min(300, 5 * 2 ** min(failures - 1, 10)))


class Agent:
    """The queue agent; `iterate` is one turn of its loop."""

    def __init__(
        self,
        *,
        config: Config,
        queue: Queue,
        table: Table,
        topic: Topic,
        error_topic: Topic | None = None,
        storage: Storage,
        webui: WebUI,
        runner: TaskRunner,
        supervisor: Supervisor,
        stop: Stop,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._queue = queue
        self._table = table
        self._topic = topic
        self._error_topic = error_topic or topic
        self._storage = storage
        self._webui = webui
        self._runner = runner
        self._supervisor = supervisor
        self._stop = stop
        self._clock = clock

    def iterate(self) -> Outcome:
        """Take at most one message to its end. Raises only what is a mistake in this program."""
        # A message that is taken while the WebUI is down would use up its attempts.
        if not self._webui.ready():
            return Outcome.WEBUI_DOWN
        try:
            message = self._queue.receive()
        except Unavailable as error:
            _log.warning("no receive", extra={"reason": str(error)})
            return Outcome.UNAVAILABLE
        if message is None:
            return Outcome.IDLE
        try:
            if self._stop.requested:
                self._queue.hide(message, 0)
                return Outcome.HANDED_BACK
            return self._take(message)
        except Unavailable as error:
            _log.warning("put back", extra={"reason": str(error), "message_id": message.message_id})
            self._hide_if_possible(message, backoff(message.receives))
            return Outcome.UNAVAILABLE

    def _take(self, message: Received) -> Outcome:
        try:
            task = self._read(message)
        except InvalidRequest as error:
            return self._refuse(message, error)
        with task_log(task.id, task.tenant):
            return self._serve(message, task)

    def _read(self, message: Received) -> Task:
        """The task in a message. Raises InvalidRequest, or Unavailable where its stored content can't be read now."""
        opened = messages.open_message(message.body, message.attributes)
        reference = opened.content_ref
        if reference is not None:
            if reference.bucket != self._config.bucket:
                raise InvalidRequest.at("content_ref.url", "content_ref.url is in another bucket")
            try:
                stored = self._storage.get(reference.bucket, reference.key, _MAX_CONTENT_BYTES)
            except (LookupError, ValueError):
                raise InvalidRequest.at("content_ref.url", "the stored content is gone or too large") from None
            opened = messages.with_content(opened, stored)
        task = messages.task_of(opened)
        if task.tenant != names.DEFAULT_TENANT and not self._table.vouches(task):
            # Only intake knows tenants: whoever publishes past it is the default one.
            _log.warning("not taken in for this tenant", extra={"task": task.id, "claimed": task.tenant})
            task = replace(task, tenant=names.DEFAULT_TENANT)
        if task.tenant == names.DEFAULT_TENANT and task.prefix:
            names.check_prefix(task.prefix, "metadata.prefix", reserved=self._config.tenant_names)
        return task

    def _refuse(self, message: Received, error: InvalidRequest) -> Outcome:
        """A message that can't be read: answered if its id can, and dead-lettered."""
        complaint = TaskError.of(error)
        task_id = messages.readable_identity(message.body)
        if task_id is None:
            _log.warning("unreadable message", extra={"message_id": message.message_id, "reason": complaint.message})
            self._queue.dead_letter(message, f"{complaint.code.value}: {complaint.message}")
            self._queue.acknowledge(message)
            return Outcome.DEAD_LETTERED
        # Stands for the message in the table, so that it is answered once and never in place of a valid request.
        placeholder = Task(id=task_id, tasktype=TaskType.PIPELINE, content={"unreadable": message.body})
        with task_log(placeholder.id, placeholder.tenant):
            return self._serve(message, placeholder, refusal=complaint)

    def _serve(self, message: Received, task: Task, refusal: TaskError | None = None) -> Outcome:
        now = self._clock()
        begun = self._table.begin(
            task,
            runtime=self._config.runtime,
            receives=message.receives,
            now=now,
            lease_until=now + self._config.visibility_s,
            deadline=(message.sent_at or now) + (task.ttl or DEFAULT_TTL_S),
        )
        row = begun.row
        if begun.state is BegunState.ENDED:
            return self._repeat(message, row)
        if begun.state is BegunState.HELD:
            seconds = min(max(1, math.ceil(row.lease_until - now) + 1), self._config.visibility_s)
            _log.info("held by another agent", extra={"holder": row.worker, "seconds": seconds})
            self._queue.hide(message, seconds)
            return Outcome.LEFT
        if begun.state is BegunState.OTHER_BODY:
            # An answer for this id is, or will be, about the other request.
            _log.warning("the id belongs to another request")
            self._queue.dead_letter(message, "conflict: the id was used for another request")
            self._queue.acknowledge(message)
            return Outcome.DEAD_LETTERED
        if refusal is not None:
            return self._fail(message, task, row, refusal, dead_letter=True)
        if row.cancel:
            return self._cancel(message, task, row)
        if 0 < row.deadline <= now:
            late = TaskError(ErrorCode.EXPIRED, "nobody could begin the task within its time to live")
            return self._fail(message, task, row, late, dead_letter=False)
        if row.attempt > self._config.max_attempts:
            spent = TaskError(ErrorCode.MAX_ATTEMPTS, f"given up after {self._config.max_attempts} attempts")
            return self._fail(message, task, row, spent, dead_letter=True)
        return self._work(message, task, row)

    def _work(self, message: Received, task: Task, row: Row) -> Outcome:
        _log.info("started", extra={"attempt": row.attempt, "tasktype": task.tasktype.value, "model": task.model})
        dialect = self._dialect(task)
        hold = Hold(extend=lambda: self._extend(message, row), interrupt=self._webui.interrupt, alive=self._webui.ready)
        try:
            work = self._supervisor.run(lambda: self._runner.run(task, dialect, hold), hold)
        except Abandoned as gone:
            if gone.cancelled:
                return self._cancel(message, task, row)
            return self._hand_back(message, row, gone)
        except TaskError as error:
            return self._retry_or_fail(message, task, row, error)
        except Exception:
            _log.exception("internal error")
            internal = TaskError(ErrorCode.WEBUI_ERROR, "an internal error of the agent; see its log", retry=True)
            return self._retry_or_fail(message, task, row, internal)
        told = outcome.completed(
            task,
            row,
            work,
            dialect=dialect,
            details=self._details(message, self._runner.input_url(task)),
            queue_seconds=self._queue_seconds(message, row),
        )
        return self._end(message, row, told)

    def _cancel(self, message: Received, task: Task, row: Row) -> Outcome:
        told = outcome.cancelled(
            task,
            row,
            dialect=self._dialect(task),
            details=self._details(message, None),
            queue_seconds=self._queue_seconds(message, row),
        )
        return self._end(message, row, told)

    def _hand_back(self, message: Received, row: Row, gone: Abandoned) -> Outcome:
        _log.info("abandoned", extra={"reason": str(gone)})
        if gone.lost:
            return Outcome.LOST
        self._table.give_back(row, counted=False, now=self._clock())
        self._queue.hide(message, 0)
        return Outcome.HANDED_BACK

    def _retry_or_fail(self, message: Received, task: Task, row: Row, error: TaskError) -> Outcome:
        if not error.retry:
            return self._fail(message, task, row, error, dead_letter=False)
        if row.attempt >= self._config.max_attempts:
            return self._fail(message, task, row, error, dead_letter=True)
        seconds = backoff(row.attempt)
        _log.warning(
            "attempt failed",
            extra={"code": error.code.value, "reason": error.message, "attempt": row.attempt, "again_in": seconds},
        )
        self._table.give_back(row, counted=True, now=self._clock())
        self._queue.hide(message, seconds)
        return Outcome.RETRY

    def _fail(self, message: Received, task: Task, row: Row, error: TaskError, *, dead_letter: bool) -> Outcome:
        _log.warning("failed", extra={"code": error.code.value, "reason": error.message, "attempt": row.attempt})
        dialect = self._dialect(task)
        told = outcome.failed(
            task,
            row,
            error,
            dialect=dialect,
            details=self._details(message, self._kept_input(task) if dialect is Dialect.SAGEMAKER else None),
            queue_seconds=self._queue_seconds(message, row),
        )
        reason = f"{error.code.value}: {error.message}"
        if error.retry:
            reason = f"{ErrorCode.MAX_ATTEMPTS.value}: {reason}"
        return self._end(message, row, told, dead_letter=reason if dead_letter else None)

    def _end(self, message: Received, row: Row, told: Told, dead_letter: str | None = None) -> Outcome:
        """Store the answer, publish it, and only then acknowledge the message."""
        finished = self._table.finish(row, status=told.status, answer=told.text, now=self._clock())
        if finished is None:
            _log.warning("another agent has the task now")
            return Outcome.LOST
        if dead_letter is not None:
            self._queue.dead_letter(message, dead_letter)
        self._tell(finished)
        self._queue.acknowledge(message)
        _log.info("answered", extra={"status": finished.status.value})
        return _ENDED[finished.status]

    def _repeat(self, message: Received, row: Row) -> Outcome:
        _log.info("was answered before", extra={"status": row.status.value, "published": row.published})
        self._tell(row)
        self._queue.acknowledge(message)
        return Outcome.REPEATED

    def _tell(self, row: Row) -> None:
        """Publish the answer that the row holds, unless that was done."""
        if row.published or row.answer is None:
            return
        attributes = {"id": row.id, "status": row.status.value, "runtime": row.runtime, "tenant": row.tenant}
        topic = self._topic if row.status is Status.COMPLETED else self._error_topic
        topic.publish(row.answer, attributes=attributes, group=row.tenant)
        try:
            self._table.mark_published(row, self._clock())
        except Unavailable as error:
            # The answer is out; at worst an identical copy follows.
            _log.warning("published but not noted in the table", extra={"reason": str(error)})

    def _extend(self, message: Received, row: Row) -> Beat:
        try:
            held = self._table.extend(row, self._clock() + self._config.visibility_s)
            self._queue.hide(message, self._config.visibility_s)
        except Unavailable as error:
            # There are more beats than one in a lease; if it is lost, storing the answer will show.
            _log.warning("the lease was not extended", extra={"reason": str(error)})
            return Beat.HELD
        if held is None:
            return Beat.LOST
        return Beat.CANCELLED if held.cancel else Beat.HELD

    def _hide_if_possible(self, message: Received, seconds: int) -> None:
        try:
            self._queue.hide(message, seconds)
        except Unavailable as error:
            _log.warning("left to its visibility timeout", extra={"reason": str(error)})

    def _dialect(self, task: Task) -> Dialect:
        return task.dialect or self._config.dialect

    def _kept_input(self, task: Task) -> str | None:
        try:
            return self._runner.keep_input(task)
        except Unavailable as error:
            # A failure is told even where S3 is what failed.
            _log.warning("the content was not kept", extra={"reason": str(error)})
            return None

    def _details(self, message: Received, input_url: str | None) -> Details:
        return Details(
            region=self._config.region,
            received_at=message.sent_at,
            finished_at=self._clock(),
            input_url=input_url,
        )

    def _queue_seconds(self, message: Received, row: Row) -> float:
        # The row was last touched when this attempt began.
        return max(0.0, row.updated_at - message.sent_at) if message.sent_at else 0.0
