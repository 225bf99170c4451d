"""The handlers of our own routes, /v1."""

from __future__ import annotations

import base64
import binascii
import contextvars
import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from sd_agent.contract import names, requests
from sd_agent.contract.errors import InvalidRequest
from sd_agent.contract.images import MAX_INPUT_BYTES, UPLOAD_TYPES
from sd_agent.contract.jsonvalue import loads_object
from sd_agent.contract.rows import Row, Status
from sd_agent.intake.config import Tenant
from sd_agent.intake.door import Door
from sd_agent.intake.failures import as_http_error
from sd_agent.intake.http import HttpError, Request, error_body, json_response
from sd_agent.intake.ports import Place, Query
from sd_agent.intake.service import Conflict, Intake

__all__ = ["BATCH_LIMIT", "PAGE_DEFAULT", "PAGE_LIMIT", "TasksApi"]

BATCH_LIMIT = 100
PAGE_LIMIT = 100
PAGE_DEFAULT = 50
# Enough to put a hundred tasks through well within the 29 s that API Gateway waits.
_THREADS = 8
_FIELDS = {"id": "id", "runtime": "runtime", "sd_model_checkpoint": "sd_model_checkpoint"}

Response = dict[str, Any]


class TasksApi:
    """One method for each operation; they raise what intake.failures knows to answer."""

    def __init__(self, *, intake: Intake, door: Door) -> None:
        self._intake = intake
        self._door = door

    def submit_task(self, request: Request, values: Mapping[str, str]) -> Response:
        """POST /v1/tasks; a task without an id gets one."""
        body, tenant = self._door.read(request)
        return json_response(200, self._submit({"id": uuid.uuid4().hex, **body}, tenant))

    def put_task(self, request: Request, values: Mapping[str, str]) -> Response:
        """PUT /v1/tasks/{id}."""
        body, tenant = self._door.read(request)
        task_id = names.check_id(values["id"], "id")
        if body.get("id", task_id) != task_id:
            raise InvalidRequest.at("id", "id is another one than in the path")
        return json_response(200, self._submit({**body, "id": task_id}, tenant))

    def get_task(self, request: Request, values: Mapping[str, str]) -> Response:
        """GET /v1/tasks/{id}."""
        row = self._intake.get(self._door.tenant(request).name, names.check_id(values["id"], "id"))
        if row is None:
            raise _no_task(values["id"])
        return json_response(200, _view(row) | {"answer": None if row.answer is None else json.loads(row.answer)})

    def cancel_task(self, request: Request, values: Mapping[str, str]) -> Response:
        """DELETE /v1/tasks/{id}: 200 where the task is cancelled, 202 where its agent has been asked to."""
        task_id = names.check_id(values["id"], "id")
        try:
            row = self._intake.cancel(self._door.tenant(request).name, task_id)
        except Conflict as error:
            raise HttpError(409, "conflict", str(error), "id") from error
        if row is None:
            raise _no_task(task_id)
        return json_response(200 if row.status is Status.CANCELLED else 202, _view(row))

    def list_tasks(self, request: Request, values: Mapping[str, str]) -> Response:
        """GET /v1/tasks."""
        page = self._intake.page(_query(self._door.tenant(request).name, request.query))
        cursor = None if page.next is None else _cursor(page.next)
        return json_response(200, {"tasks": [_view(row) for row in page.rows], "next_cursor": cursor})

    def submit_batch(self, request: Request, values: Mapping[str, str]) -> Response:
        """POST /v1/batches."""
        body, tenant = self._door.read(request)
        entries = body.get("tasks")
        if set(body) != {"tasks"} or not isinstance(entries, list) or not 1 <= len(entries) <= BATCH_LIMIT:
            raise InvalidRequest.at("tasks", f"the body must be {{'tasks': a list of 1 to {BATCH_LIMIT} tasks}}")
        bodies: list[Any] = [
            {"id": uuid.uuid4().hex, **entry} if isinstance(entry, dict) else entry for entry in entries
        ]
        results: list[dict[str, Any]] = [{}] * len(bodies)
        # Entries of one id go one after the other: at the same time each would take itself for the first.
        together: dict[str, list[int]] = defaultdict(list)
        for number, entry in enumerate(bodies):
            together[str(entry.get("id")) if isinstance(entry, dict) else ""].append(number)

        def take(numbers: list[int]) -> None:
            for number in numbers:
                results[number] = self._entry(bodies[number], number, tenant)

        with ThreadPoolExecutor(max_workers=min(_THREADS, len(together))) as pool:
            futures = [pool.submit(contextvars.copy_context().run, take, numbers) for numbers in together.values()]
        for future in futures:
            future.result()
        return json_response(200, {"results": results})

    def create_upload(self, request: Request, values: Mapping[str, str]) -> Response:
        """POST /v1/uploads."""
        body, tenant = self._door.read(request)
        content_type = body.get("content_type")
        if set(body) - {"content_type"} or not isinstance(content_type, str) or content_type not in UPLOAD_TYPES:
            kinds = ", ".join(sorted(UPLOAD_TYPES))
            raise InvalidRequest.at("content_type", f"content_type, the only field, must be one of {kinds}")
        upload = self._intake.upload(tenant.name, content_type, UPLOAD_TYPES[content_type], MAX_INPUT_BYTES)
        return json_response(
            200,
            {
                "method": "POST",
                "url": upload.form.url,
                "fields": dict(upload.form.fields),
                "s3_url": upload.s3_url,
                "max_bytes": upload.max_bytes,
                "expires_at": _iso(upload.expires_at),
            },
        )

    def _submit(self, body: Mapping[str, Any], tenant: Tenant, path: str = "") -> dict[str, Any]:
        task = requests.v1_task(body, path=path, tenant=tenant.name, reserved=self._door.reserved(tenant))
        accepted = self._door.submit(task, tenant, {name: path + field for name, field in _FIELDS.items()})
        return {"id": task.id, "runtime": accepted.runtime, "output_location": accepted.output_location}

    def _entry(self, body: Any, number: int, tenant: Tenant) -> dict[str, Any]:
        """One entry's result; whatever goes wrong with it is its own."""
        path = f"tasks.{number}."
        try:
            if not isinstance(body, dict):
                raise InvalidRequest.at(path.rstrip("."), f"{path.rstrip('.')} must be an object")
            return {"status": 200, "task": self._submit(body, tenant, path), "error": None}
        except Exception as error:
            failure = as_http_error(error)
            return {"status": failure.status, "task": None, **error_body(failure)}


def _view(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status.value,
        "runtime": row.runtime,
        "uid": row.uid,
        "created_at": _iso(row.created_at),
        "updated_at": _iso(row.updated_at),
        "expires_at": _iso(row.deadline) if row.deadline else None,
        "attempts": row.attempt,
        "progress": row.progress,
        "cancel_requested": row.cancel or row.status is Status.CANCELLED,
    }


def _query(tenant: str, query: Mapping[str, str]) -> Query:
    unknown = sorted(set(query) - {"uid", "status", "limit", "cursor"})
    if unknown:
        raise InvalidRequest.at(unknown[0], f"{unknown[0]} is not one of uid, status, limit, cursor")
    uid, status = query.get("uid") or None, query.get("status") or None
    if uid is None and status is None:
        raise InvalidRequest.at("uid", "uid or status is required")
    if status is not None and status not in tuple(Status):
        raise InvalidRequest.at("status", f"status must be one of {', '.join(Status)}")
    if uid is not None:
        _check_text(uid, "uid")
    limit = query.get("limit") or str(PAGE_DEFAULT)
    if not limit.isascii() or not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= PAGE_LIMIT:
        raise InvalidRequest.at("limit", f"limit must be a whole number from 1 to {PAGE_LIMIT}")
    return Query(
        tenant=tenant,
        limit=int(limit),
        uid=uid,
        status=None if status is None else Status(status),
        after=_place(query["cursor"]) if query.get("cursor") else None,
    )


def _check_text(text: str, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest.at(field, f"{field} holds half of a surrogate pair") from None


def _cursor(place: Place) -> str:
    text = json.dumps({"id": place.id, "created_at": place.created_at}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    """Where a cursor points. It names no tenant: whose list it is follows from the key alone."""
    damaged = InvalidRequest.at("cursor", "cursor is not one that this list gave")
    try:
        value = loads_object(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        place = Place(id=names.check_id(value.get("id"), "cursor"), created_at=str(value.get("created_at")))
        moment = float(place.created_at)
    except (ValueError, binascii.Error, InvalidRequest):
        raise damaged from None
    if not 0 <= moment < 1e11 or len(place.created_at) > 20 or not set(place.created_at) <= set("0123456789."):
        raise damaged
    return place


def _no_task(task_id: str) -> HttpError:
    return HttpError(404, "not_found", f"there is no task {task_id}", "id")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
