"""Messages on the input topic and what queues make of them.

A message is `{"metadata": {…}, "content": {…}}`; one that is too large for the topic carries `content_ref` (an object
in S3) in place of `content`. Older publishers send the flat shape: a v1alpha1 body plus `s3_output_path`.
A queue delivers either the bare message or SNS's envelope around it.
Sizes and attribute limits: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sd_agent.contract import jsonvalue, names
from sd_agent.contract.errors import InvalidRequest
from sd_agent.contract.requests import metadata_task, v1alpha1_task
from sd_agent.contract.routing import Route, RoutedBy
from sd_agent.contract.task import Task

__all__ = [
    "TOPIC_LIMIT_BYTES",
    "ContentRef",
    "Message",
    "attributes",
    "encode",
    "fits_topic",
    "open_message",
    "readable_identity",
    "task_of",
    "with_content",
]

TOPIC_LIMIT_BYTES = 256 * 1024
# What SNS's envelope adds around a message on its way to a queue: ids, ARNs, a signature and URLs.
_ENVELOPE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class ContentRef:
    """A content that travels by S3. sha256: hex, of the object's bytes."""

    bucket: str
    key: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """A queue's message, opened: one JSON object of either shape, and its attributes."""

    payload: Mapping[str, Any]
    attributes: Mapping[str, str]

    @property
    def content_ref(self) -> ContentRef | None:
        """Where the content is, if it isn't in the message. Raises InvalidRequest for a damaged reference."""
        reference = self.payload.get("content_ref")
        if reference is None:
            return None
        fields = jsonvalue.expect_object(reference, "content_ref")
        url, sha256 = fields.get("url"), fields.get("sha256")
        if not isinstance(url, str) or not isinstance(sha256, str) or not url.startswith("s3://"):
            raise InvalidRequest.at("content_ref", "content_ref must hold the url of an S3 object and its sha256")
        bucket, key = names.split_s3_url(url)
        if not key.startswith(f"{names.REQUESTS_PREFIX}/") or ".." in key.split("/"):
            raise InvalidRequest.at("content_ref.url", "content_ref.url must be a stored request")
        return ContentRef(bucket=bucket, key=key, sha256=sha256)


def encode(task: Task, route: Route, *, content_ref: ContentRef | None = None) -> str:
    """The message for a task; with `content_ref` the content is left out."""
    metadata: dict[str, Any] = {
        "id": task.id,
        "runtime": route.runtime,
        "routed_by": route.by.value,
        "tasktype": task.tasktype.value,
        "prefix": task.prefix,
        "context": task.context,
        "tenant": task.tenant,
        "sd_model_checkpoint": task.model,
        "uid": task.uid,
        "dialect": task.dialect and task.dialect.value,
        "ttl": task.ttl,
    }
    message: dict[str, Any] = {
        "metadata": {key: value for key, value in metadata.items() if value is not None or key == "context"}
    }
    if content_ref is None:
        message["content"] = task.content
    else:
        message["content_ref"] = {
            "url": names.s3_url(content_ref.bucket, content_ref.key),
            "sha256": content_ref.sha256,
        }
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def attributes(task: Task, route: Route, tier: str | None) -> dict[str, str]:
    """The message's attributes, which subscription filters match."""
    values = {"runtime": route.runtime, "sd_model_checkpoint": task.model_file, "tier": tier}
    return {name: value for name, value in values.items() if value}


def fits_topic(message: str, message_attributes: Mapping[str, str]) -> bool:
    """Whether topic and queue take it: SNS counts the attributes too, and escapes the message in its envelope."""
    size = len(json.dumps(message, ensure_ascii=False).encode()) + _ENVELOPE_BYTES
    size += sum(len(name.encode()) + len("String") + len(value.encode()) for name, value in message_attributes.items())
    return size <= TOPIC_LIMIT_BYTES


def open_message(body: str, message_attributes: Mapping[str, str] | None = None) -> Message:
    """Take a queue message's body out of its envelope, if it has one. Raises InvalidRequest."""
    payload = jsonvalue.loads_object(body)
    if payload.get("Type") == "Notification" and isinstance(payload.get("Message"), str):
        return Message(
            payload=jsonvalue.loads_object(payload["Message"], "Message"),
            attributes=_envelope_attributes(payload.get("MessageAttributes")),
        )
    return Message(payload=payload, attributes=dict(message_attributes or {}))


def with_content(message: Message, stored: bytes) -> Message:
    """The message with its stored content put back. Raises InvalidRequest where the bytes aren't those referred to."""
    reference = message.content_ref
    if reference is None or hashlib.sha256(stored).hexdigest() != reference.sha256:
        raise InvalidRequest.at("content_ref.sha256", "the stored content is not the one that the message refers to")
    payload = {key: value for key, value in message.payload.items() if key != "content_ref"}
    return replace(message, payload=payload | {"content": jsonvalue.loads_object(stored, "content")})


def task_of(message: Message) -> Task:
    """The task in a message of either shape. Raises InvalidRequest."""
    payload = message.payload
    if "metadata" in payload:
        task = metadata_task(payload, "", tenant=_tenant(payload))
        metadata = payload["metadata"]
        if metadata.get("routed_by", RoutedBy.RUNTIME) != RoutedBy.RUNTIME:
            # The runtime in the message is then what routing chose, not what the requester asked for.
            task = replace(task, runtime=None)
        return task
    if "alwayson_scripts" in payload:
        return _flat_task(payload)
    raise InvalidRequest.at("metadata", "a message needs metadata and content, or a v1alpha1 body")


def readable_identity(body: str) -> str | None:
    """The task id in a message that is otherwise invalid, or None: enough to answer it."""
    try:
        payload = open_message(body).payload
        metadata, header = payload.get("metadata"), payload.get("alwayson_scripts")
        if isinstance(metadata, dict):
            return names.check_id(metadata.get("id"), "id")
        if isinstance(header, dict):
            return names.check_id(header.get("id_task"), "id")
    except InvalidRequest:
        pass
    return None


def _flat_task(payload: Mapping[str, Any]) -> Task:
    """A v1alpha1 body with `s3_output_path`: `bucket/folder` or `s3://bucket/folder`, ending in the id or not."""
    body = {key: value for key, value in payload.items() if key != "s3_output_path"}
    task = v1alpha1_task(body)
    output = payload.get("s3_output_path")
    if output is None or output == "":
        return task
    if not isinstance(output, str):
        raise InvalidRequest.at("s3_output_path", "s3_output_path must be a string")
    _ignored, key = names.split_s3_url(output.rstrip("/"))
    folder = key.removesuffix(task.id).rstrip("/") if key == task.id or key.endswith(f"/{task.id}") else key
    return replace(task, prefix=names.check_prefix(folder, "s3_output_path") if folder else "")


def _tenant(payload: Mapping[str, Any]) -> str:
    """The tenant that a message claims; whoever reads it decides whether to believe that."""
    metadata = payload["metadata"]
    tenant = metadata.get("tenant") if isinstance(metadata, dict) else None
    if tenant is None:
        return names.DEFAULT_TENANT
    if not isinstance(tenant, str) or not names.is_tenant(tenant):
        raise InvalidRequest.at("metadata.tenant", "metadata.tenant must be a tenant's name")
    return tenant


def _envelope_attributes(value: Any) -> dict[str, str]:
    entries = value.items() if isinstance(value, dict) else ()
    return {
        name: entry["Value"]
        for name, entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("Value"), str)
    }
