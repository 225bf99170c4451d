"""Taking a task in: route it, claim its id, publish it. No AWS and no HTTP here."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sd_agent.contract import jsonvalue, messages, names
from sd_agent.contract.errors import NoRuntime, SdAgentError
from sd_agent.contract.messages import ContentRef
from sd_agent.contract.routing import Route, RoutedBy, route
from sd_agent.contract.rows import DEFAULT_RETENTION_DAYS, Row, Status
from sd_agent.contract.task import Task
from sd_agent.intake.ports import Routes, Storage, Table, Topic, Unavailable

__all__ = ["Accepted", "Conflict", "Intake"]

_log = logging.getLogger(__name__)
_DAY = 24 * 60 * 60


class Conflict(SdAgentError):
    """The id belongs to another request already."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A task that will be answered."""

    runtime: str
    output_location: str


class Intake:
    """The use cases behind the API."""

    def __init__(
        self,
        *,
        table: Table,
        topic: Topic,
        storage: Storage,
        routes: Routes,
        retention_days: int = DEFAULT_RETENTION_DAYS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._topic = topic
        self._storage = storage
        self._routes = routes
        self._retention = retention_days * _DAY
        self._clock = clock

    def submit(self, task: Task, tier: str | None = None) -> Accepted:
        """Accept a task, once: the same task again gives the same receipt and is published again only if it has to be.

        Raises NoRuntime, Conflict, or Unavailable; after Unavailable the same request, repeated, completes what is
        half done (a claimed row that isn't marked published is published).
        """
        where = self._route(task, tier)
        now = self._clock()
        row = self._table.claim(
            Row(
                tenant=task.tenant,
                id=task.id,
                status=Status.ACCEPTED,
                runtime=where.runtime,
                body_digest=task.body_digest,
                created_at=now,
                updated_at=now,
                expires_at=int(now + self._retention),
                uid=task.uid,
            )
        )
        if row.body_digest != task.body_digest:
            raise Conflict(f"the id {task.id} was used for another request")
        if row.status is Status.ACCEPTED and not row.published:
            self._publish(task, Route(runtime=row.runtime, by=where.by), tier)
            self._mark_published(task)
        else:
            _log.info("repeated request", extra={"status": row.status.value, "runtime": row.runtime})
        return Accepted(runtime=row.runtime, output_location=names.s3_url(self._storage.bucket, task.location))

    def _route(self, task: Task, tier: str | None) -> Route:
        try:
            return route(self._routes.current(), task, tier)
        except NoRuntime:
            # A request that was accepted keeps its receipt even if its runtime is gone by now.
            row = self._table.get(task.tenant, task.id)
            if row is None or row.body_digest != task.body_digest:
                raise
            return Route(runtime=row.runtime, by=RoutedBy.RUNTIME if task.runtime else RoutedBy.MODEL)

    def _publish(self, task: Task, where: Route, tier: str | None) -> None:
        attributes = messages.attributes(task, where, tier)
        message = messages.encode(task, where)
        if not messages.fits_topic(message, attributes):
            message = messages.encode(task, where, content_ref=self._store_content(task))
        self._topic.publish(message, attributes=attributes, group=task.tenant)
        _log.info("published", extra={"runtime": where.runtime, "routed_by": where.by.value})

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
