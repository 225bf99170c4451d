"""The OpenAPI 3.1 document: paths from the list of operations, schemas by hand.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sd_agent.contract.images import UPLOAD_TYPES
from sd_agent.contract.rows import MAX_TTL_S, Status
from sd_agent.contract.task import Dialect, TaskType
from sd_agent.intake.operations import OPERATIONS, Operation
from sd_agent.intake.tasks import BATCH_LIMIT, PAGE_DEFAULT, PAGE_LIMIT

__all__ = ["document"]

_VERSION = "1.0.0"
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_OBJECT = {"type": "object", "additionalProperties": True}
_TIME = {"type": "string", "format": "date-time"}

Schema = Mapping[str, Any]


@cache
def document() -> dict[str, Any]:
    """The whole document; the same object every time, so not to be changed."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Asynchronous Stable Diffusion",
            "version": _VERSION,
            "description": "Takes tasks in; each gets one answer, on the topic of answers and in the task.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(_SCHEMAS),
            "responses": {"Error": _json("The request was refused, or could not be taken in", _ref("Error"))},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    summary, request, replies = _DESCRIPTIONS[operation.name]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "security": [{"key": []}] if operation.key else [],
        "responses": {status: _json(text, schema) for status, (text, schema) in replies.items()}
        | {"default": {"$ref": "#/components/responses/Error"}},
    }
    parameters = list(_QUERIES.get(operation.name, ()))
    if "{id}" in operation.path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": _ref("Id")})
    if parameters:
        described["parameters"] = parameters
    if request is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": request}}}
    return described


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(text: str, schema: Schema) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _closed(properties: Schema, *required: str) -> dict[str, Any]:
    """An object that holds nothing else."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _reply(properties: Schema) -> dict[str, Any]:
    """An object that always holds all of it, and may hold more one day."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _query(name: str, schema: Schema, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


_CHOSEN: Schema = {
    "id": _ref("Id"),
    "tasktype": {"enum": [kind.value for kind in TaskType]},
    "runtime": {"type": "string", "description": "a runtime by its name, in place of what the model decides"},
    "sd_model_checkpoint": _TEXT,
    "prefix": {"type": "string", "default": "outputs", "description": "the folder that results are stored under"},
    "context": {"description": "any JSON of up to 16 KiB; the answer holds it again"},
    "uid": {"type": "string", "maxLength": 8192, "description": "whose task it is, for lists"},
    "dialect": {"enum": [dialect.value for dialect in Dialect], "description": "the shape of the answer"},
    "ttl": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_TTL_S,
        "description": "seconds within which the task must have begun; else it is answered `expired`",
    },
}
_CONTENT: Schema = {**_OBJECT, "description": "an SD WebUI body, or a ComfyUI graph for the tasktype pipeline"}
_VIEW: Schema = {
    "id": _ref("Id"),
    "status": {"enum": [status.value for status in Status]},
    "runtime": _TEXT,
    "uid": _MAYBE_TEXT,
    "created_at": _TIME,
    "updated_at": _TIME,
    "expires_at": {"type": ["string", "null"], "format": "date-time"},
    "attempts": {"type": "integer"},
    "progress": {"type": ["number", "null"], "description": "from 0 to 1 while the task runs, if its agent says"},
    "cancel_requested": {"type": "boolean"},
}
_ERROR: Schema = _reply({"code": _TEXT, "message": _TEXT, "field": _MAYBE_TEXT})
_RECEIPT: Schema = {"id": _ref("Id"), "runtime": _TEXT, "output_location": _TEXT}

_SCHEMAS: Schema = {
    "Id": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"},
    "Error": _reply({"error": _ERROR}),
    "NewTask": _closed({**_CHOSEN, "content": _CONTENT}, "tasktype", "content"),
    "Receipt": _reply(_RECEIPT),
    "Task": _reply(_VIEW),
    "TaskWithAnswer": _reply({**_VIEW, "answer": {"type": ["object", "null"], "additionalProperties": True}}),
    "TaskList": _reply({"tasks": {"type": "array", "items": _ref("Task")}, "next_cursor": _MAYBE_TEXT}),
    "Batch": _closed(
        {"tasks": {"type": "array", "items": _ref("NewTask"), "minItems": 1, "maxItems": BATCH_LIMIT}}, "tasks"
    ),
    "BatchResult": _reply(
        {
            "status": {"type": "integer"},
            "task": {"oneOf": [_ref("Receipt"), {"type": "null"}]},
            "error": {"oneOf": [_ERROR, {"type": "null"}]},
        }
    ),
    "BatchResults": _reply({"results": {"type": "array", "items": _ref("BatchResult")}}),
    "NewUpload": _closed({"content_type": {"enum": sorted(UPLOAD_TYPES)}}, "content_type"),
    "Upload": _reply(
        {
            "method": {"const": "POST"},
            "url": _TEXT,
            "fields": {"type": "object", "additionalProperties": _TEXT, "description": "before the field `file`"},
            "s3_url": {"type": "string", "description": "what to name the image by in a task"},
            "max_bytes": {"type": "integer"},
            "expires_at": _TIME,
        }
    ),
    "V1Alpha1Task": {
        "type": "object",
        "description": "an SD WebUI body; `alwayson_scripts` holds the task's own fields among the scripts",
        "properties": {
            "alwayson_scripts": {
                "type": "object",
                "properties": {
                    "task": {"enum": ["text-to-image", "image-to-image", "extra-single-image"]},
                    "sd_model_checkpoint": _TEXT,
                    "id_task": _ref("Id"),
                    "uid": _TEXT,
                    "save_dir": {"type": "string", "default": "outputs"},
                    "image_link": {"type": "string", "description": "a URL, or several separated by commas"},
                    "sd_vae": _TEXT,
                    "override_settings": _OBJECT,
                },
                "required": ["task", "sd_model_checkpoint", "id_task"],
            }
        },
        "required": ["alwayson_scripts"],
    },
    "V1Alpha1Receipt": _reply(
        {"id_task": _ref("Id"), "task": _TEXT, "sd_model_checkpoint": _TEXT, "output_location": _TEXT}
    ),
    "V1Alpha2Task": {
        "type": "object",
        "properties": {
            "task": {
                "type": "object",
                "properties": {
                    "metadata": {"type": "object", "properties": _CHOSEN, "required": ["id", "tasktype"]},
                    "content": _CONTENT,
                },
                "required": ["metadata", "content"],
            }
        },
        "required": ["task"],
    },
}

# For each operation: what it does, the body it takes, and what it answers with where all is well.
_DESCRIPTIONS: Mapping[str, tuple[str, Schema | None, Mapping[str, tuple[str, Schema]]]] = {
    "submit_v1alpha1": (
        "Hand a task in (v1alpha1)",
        _ref("V1Alpha1Task"),
        {"200": ("The receipt", _ref("V1Alpha1Receipt"))},
    ),
    "submit_v1alpha2": (
        "Hand a task in (v1alpha2)",
        _ref("V1Alpha2Task"),
        {"200": ("The receipt", _ref("Receipt"))},
    ),
    "submit_task": (
        "Hand a task in; without an id it gets one",
        _ref("NewTask"),
        {"200": ("The receipt", _ref("Receipt"))},
    ),
    "put_task": (
        "Hand a task in under an id; the same again gives the same receipt",
        _ref("NewTask"),
        {"200": ("The receipt", _ref("Receipt"))},
    ),
    "get_task": (
        "Where a task stands, and its answer once there is one",
        None,
        {"200": ("The task", _ref("TaskWithAnswer"))},
    ),
    "list_tasks": (
        "Tasks of one uid or of one status, the newest first",
        None,
        {"200": ("A page of tasks", _ref("TaskList"))},
    ),
    "cancel_task": (
        "Take a task back",
        None,
        {
            "200": ("It is cancelled", _ref("Task")),
            "202": ("It is running; its agent will end it soon, unless it is done before", _ref("Task")),
        },
    ),
    "submit_batch": (
        "Hand several tasks in; each has its own result",
        _ref("Batch"),
        {"200": ("The results, in the order of the tasks", _ref("BatchResults"))},
    ),
    "create_upload": (
        "Get a form with which to store one input image",
        _ref("NewUpload"),
        {"200": ("The form", _ref("Upload"))},
    ),
    "describe_api": ("This document", None, {"200": ("An OpenAPI document", _OBJECT)}),
}

_QUERIES: Mapping[str, tuple[dict[str, Any], ...]] = {
    "list_tasks": (
        _query("uid", _TEXT, "only tasks of this uid; this or status is required"),
        _query("status", {"enum": [status.value for status in Status]}, "only tasks of this status"),
        _query(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT, "default": PAGE_DEFAULT},
            "the most tasks on a page; a page may hold fewer although more follow",
        ),
        _query("cursor", _TEXT, "`next_cursor` of the page before; null on the last page"),
    )
}
