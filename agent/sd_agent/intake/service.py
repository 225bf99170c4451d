"""The use cases behind the API: take a task in, look it up, list, cancel. No AWS and no HTTP here."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from sd_agent.contract import jsonvalue, messages, names, unserved
from sd_agent.contract.errors import NoRuntime, SdAgentError
from sd_agent.contract.messages import ContentRef
from sd_agent.contract.outbox import LARGEST_IN_ROW, Outgoing
from sd_agent.contract.routing import Route, RoutedBy, route
from sd_agent.contract.rows import DEFAULT_RETENTION_DAYS, DEFAULT_TTL_S, GRACE_S, Row, Status
from sd_agent.contract.task import Task
from sd_agent.intake.ports import Page, Query, Routes, Storage, Table, Topic, Unavailable, UploadForm

__all__ = ["Accepted", "Conflict", "Intake", "Upload"]

_log = logging.getLogger(__name__)
_DAY = 24 * 60 * 60
_UPLOAD_S = 900
# What cancelling can run into: a task begins, or is handed back, between two calls.
_TURNS = 4


class Conflict(SdAgentError):
    """The request does not go together with what became of the id."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A task that will be answered."""

    runtime: str
    output_location: str
    status: Status = Status.ACCEPTED


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Where an input image may be stored (until a time, in seconds since the epoch), and the URL it then has."""

    form: UploadForm
    s3_url: str
    max_bytes: int
    expires_at: float


class Intake:
    """The use cases behind the API. answers, error_answers: the topics for the answers to cancelled tasks."""

    def __init__(
        self,
        *,
        table: Table,
        topic: Topic,
        storage: Storage,
        routes: Routes,
        answers: Topic | None = None,
        error_answers: Topic | None = None,
        retention_days: int = DEFAULT_RETENTION_DAYS,
        ttl_s: int = DEFAULT_TTL_S,
        region: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._topic = topic
        self._storage = storage
        self._routes = routes
        self._answers = error_answers or answers
        self._retention = retention_days * _DAY
        self._ttl = ttl_s
        self._region = region
        self._clock = clock

    def submit(self, task: Task, tier: str | None = None) -> Accepted:
        """Accept a task, once: the same task again gives the same receipt and is published again only if it has to be.

        Raises NoRuntime, Conflict, or Unavailable; after Unavailable the same request, repeated, completes what is
        half done (a claimed row that isn't marked published is published), and so does the sweep.
        """
        where = self._route(task, tier)
        now = self._clock()
        outgoing, kept = self._outgoing(task, where, tier)
        deadline = now + (task.ttl or self._ttl)
        row = self._table.claim(
            Row(
                tenant=task.tenant,
                id=task.id,
                status=Status.ACCEPTED,
                runtime=where.runtime,
                body_digest=task.body_digest,
                created_at=now,
                updated_at=now,
                expires_at=int(max(now + self._retention, deadline + _DAY)),
                uid=task.uid,
                context=None if task.context is None else jsonvalue.canonical(task.context).decode(),
                dialect=task.dialect and task.dialect.value,
                message=kept.dump(),
                deadline=deadline,
                due_at=now + GRACE_S,
            )
        )
        if row.body_digest != task.body_digest:
            raise Conflict(f"the id {task.id} was used for another request")
        if row.status is Status.ACCEPTED and not row.published:
            if row.runtime != where.runtime:
                outgoing, _ignored = self._outgoing(task, Route(runtime=row.runtime, by=where.by), tier)
            self._topic.publish(outgoing.message, attributes=outgoing.attributes, group=task.tenant)
            _log.info("published", extra={"runtime": row.runtime, "routed_by": where.by.value})
            self._mark_published(task)
        else:
            _log.info("repeated request", extra={"status": row.status.value, "runtime": row.runtime})
        location = names.s3_url(self._storage.bucket, task.location)
        return Accepted(runtime=row.runtime, output_location=location, status=row.status)

    def get(self, tenant: str, task_id: str) -> Row | None:
        """A tenant's task, None where there is none (any more). Raises Unavailable."""
        row = self._table.get(tenant, task_id)
        # DynamoDB deletes expired items hours late; until then they count as gone.
        return row if row is not None and row.expires_at >= self._clock() else None

    def page(self, query: Query) -> Page:
        """Some of a tenant's tasks. Raises Unavailable."""
        page = self._table.page(query)
        return replace(page, rows=tuple(row for row in page.rows if row.expires_at >= self._clock()))

    def cancel(self, tenant: str, task_id: str) -> Row | None:
        """Take a task back: one that waits is answered at once, one that runs is marked for its agent.

        None where there is no such task. Raises Conflict where it has ended otherwise, Unavailable.
        """
        for _ignored in range(_TURNS):
            row = self.get(tenant, task_id)
            if row is None or row.status is Status.CANCELLED:
                return row
            if row.status.ended:
                raise Conflict(f"the task {task_id} has ended already: {row.status.value}")
            now = self._clock()
            if row.status is Status.RUNNING:
                marked = row if row.cancel else self._table.ask_to_cancel(row, now)
                if marked is not None:
                    return marked
                continue
            dialect = unserved.dialect_of(row, self._routes.current())
            answer = unserved.cancelled(row, dialect=dialect, region=self._region, now=now)
            ended = self._table.end(row, status=Status.CANCELLED, answer=answer, now=now)
            if ended is not None:
                self._tell(ended)
                return ended
        raise Unavailable("dynamodb", "the task changed with every look at it")

    def upload(self, tenant: str, content_type: str, extension: str, max_bytes: int) -> Upload:
        """A place for one input image that only this tenant's tasks can read. Raises Unavailable."""
        key = names.upload_key(tenant=tenant, name=f"{uuid.uuid4().hex}.{extension}")
        form = self._storage.upload_form(key, content_type=content_type, max_bytes=max_bytes, seconds=_UPLOAD_S)
        return Upload(
            form=form,
            s3_url=names.s3_url(self._storage.bucket, key),
            max_bytes=max_bytes,
            expires_at=self._clock() + _UPLOAD_S,
        )

    def _route(self, task: Task, tier: str | None) -> Route:
        try:
            return route(self._routes.current(), task, tier)
        except NoRuntime:
            # A request that was accepted keeps its receipt even if its runtime is gone by now.
            row = self._table.get(task.tenant, task.id)
            if row is None or row.body_digest != task.body_digest:
                raise
            return Route(runtime=row.runtime, by=RoutedBy.RUNTIME if task.runtime else RoutedBy.MODEL)

    def _outgoing(self, task: Task, where: Route, tier: str | None) -> tuple[Outgoing, Outgoing]:
        """What is published now, and what the row keeps until then: the same, but small.

        The content is stored before the row that needs it: a row can be published whenever intake died.
        """
        attributes = messages.attributes(task, where, tier)
        whole = Outgoing(message=messages.encode(task, where), attributes=attributes)
        if len(whole.message.encode()) <= LARGEST_IN_ROW:
            return whole, whole
        reference = self._store_content(task)
        small = Outgoing(message=messages.encode(task, where, content_ref=reference), attributes=attributes)
        return (whole if messages.fits_topic(whole.message, attributes) else small), small

    def _store_content(self, task: Task) -> ContentRef:
        content = jsonvalue.canonical(task.content)
        key = names.request_key(tenant=task.tenant, task_id=task.id, body_digest=task.body_digest)
        self._storage.put(key, content, "application/json")
        _log.info("stored the content beside the message", extra={"bytes": len(content)})
        return ContentRef(bucket=self._storage.bucket, key=key, sha256=hashlib.sha256(content).hexdigest())

    def _mark_published(self, task: Task) -> None:
        try:
            self._table.mark_published(task.tenant, task.id, self._clock())
        except Unavailable as error:
            # The task is on its way. At worst it is published once more, which the agents' claim makes harmless.
            _log.warning("published but not noted in the table", extra={"reason": str(error)})

    def _tell(self, row: Row) -> None:
        """Publish the answer to a cancelled task. What fails here is made up for by the sweep."""
        if self._answers is None or row.answer is None:
            return
        try:
            self._answers.publish(row.answer, attributes=unserved.answer_attributes(row, row.status), group=row.tenant)
            self._table.mark_answered(row, self._clock())
        except Unavailable as error:
            _log.warning("cancelled, but the answer is not out", extra={"reason": str(error)})
