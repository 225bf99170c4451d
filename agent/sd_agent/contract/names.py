"""Names: what an id, a prefix, a model or a tenant may look like, and the S3 keys that follow from them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sd_agent.contract.errors import InvalidRequest

__all__ = [
    "DEFAULT_PREFIX",
    "DEFAULT_TENANT",
    "REQUESTS_PREFIX",
    "UPLOADS_PREFIX",
    "check_id",
    "check_model",
    "check_prefix",
    "check_runtime",
    "image_key",
    "is_tenant",
    "location_key",
    "model_file",
    "request_key",
    "response_key",
    "s3_url",
    "split_s3_url",
    "upload_key",
]

DEFAULT_TENANT = "default"
DEFAULT_PREFIX = "outputs"
# Bodies too large for the topic; no prefix of a request can begin with an underscore.
REQUESTS_PREFIX = "_requests"
# Input images; for the same reason no task's output can lie here.
UPLOADS_PREFIX = "_uploads"

# Only characters that S3 keys, URLs, DynamoDB keys and shells all take as they are.
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_PREFIX_PART = re.compile(r"[A-Za-z0-9-][A-Za-z0-9._=-]{0,127}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RUNTIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# SD WebUI shows a checkpoint as `x.safetensors [first 10 digits of its sha256]`.
_TITLE = re.compile(r"(?P<file>.*\S)\s+\[[0-9a-fA-F]{6,64}\]")
_MAX_PREFIX = 256
_MAX_MODEL = 255


def check_id(value: Any, field: str) -> str:
    """A task id: 1 to 128 of A-Z a-z 0-9 . _ -, not beginning with a dot, without `..`."""
    text = _text(value, field)
    if not _ID.fullmatch(text) or ".." in text:
        raise InvalidRequest.at(
            field, f"{field} must be 1 to 128 letters, digits, dots, dashes or underscores, without '..'"
        )
    return text


def check_prefix(value: Any, field: str, reserved: Collection[str] = ()) -> str:
    """A key prefix: parts joined by single slashes; it must not begin with a `reserved` name (a tenant's)."""
    text = _text(value, field)
    parts = text.split("/")
    if len(text) > _MAX_PREFIX or not all(_PREFIX_PART.fullmatch(part) and ".." not in part for part in parts):
        raise InvalidRequest.at(
            field,
            f"{field} must be parts of letters, digits, dots, dashes, equal signs or underscores joined by '/', "
            f"up to {_MAX_PREFIX} characters, with no empty part, no '..' and no leading dot or underscore",
        )
    if parts[0] in reserved:
        raise InvalidRequest.at(field, f"{field} must not begin with the name of a tenant")
    return text


def check_model(value: Any, field: str) -> str:
    """A model as it was asked for: a file name, a title or a hash; no absolute path, no `..`."""
    text = _text(value, field)
    parts = text.split("/")
    if len(text) > _MAX_MODEL or not text.isprintable() or text != text.strip() or "" in parts or ".." in parts:
        raise InvalidRequest.at(field, f"{field} must be a model's file name of up to {_MAX_MODEL} characters")
    return text


def check_runtime(value: Any, field: str) -> str:
    """A runtime's name (whether it exists is the route table's business)."""
    text = _text(value, field)
    if not _RUNTIME.fullmatch(text):
        raise InvalidRequest.at(field, f"{field} must be a runtime's name: up to 63 letters, digits, dots or dashes")
    return text


def is_tenant(name: str) -> bool:
    """Whether `name` can be a tenant's name (`_system` and the like are the project's own)."""
    return bool(_TENANT.fullmatch(name)) and ".." not in name


def model_file(model: str) -> str:
    """The file name in a title: `x.safetensors [6ce0161689]` gives `x.safetensors`."""
    match = _TITLE.fullmatch(model)
    return match["file"] if match else model


def location_key(*, tenant: str, prefix: str, task_id: str) -> str:
    """The key, ending in a slash, under which everything of a task is stored."""
    parts = [prefix, task_id] if tenant == DEFAULT_TENANT else [tenant, prefix, task_id]
    # Only messages of the older flat shape can come without a prefix.
    return "/".join(part for part in parts if part) + "/"


def image_key(location: str, task_id: str, number: int, extension: str) -> str:
    """Key of a task's image; `number` counts from 1."""
    return f"{location}{task_id}-{number}.{extension}"


def response_key(location: str, task_id: str) -> str:
    """Key of the WebUI's response without the image bytes."""
    return f"{location}{task_id}.out"


def input_key(location: str, task_id: str) -> str:
    """Key of a task's content, kept for answers in a dialect that names it."""
    return f"{location}{task_id}.in"


def request_key(*, tenant: str, task_id: str, body_digest: str) -> str:
    """Key of a request body that is too large for the topic."""
    return f"{REQUESTS_PREFIX}/{tenant}/{task_id}/{body_digest}.json"


def upload_key(*, tenant: str, name: str) -> str:
    """Key of an input image that a tenant puts up."""
    folder = UPLOADS_PREFIX if tenant == DEFAULT_TENANT else f"{tenant}/{UPLOADS_PREFIX}"
    return f"{folder}/{name}"


def s3_url(bucket: str, key: str) -> str:
    """The s3:// form of an object's address."""
    return f"s3://{bucket}/{key}"


def split_s3_url(url: str) -> tuple[str, str]:
    """(bucket, key) of an s3:// URL; either may be empty, which callers refuse."""
    bucket, _ignored, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def _text(value: Any, field: str) -> str:
    if value is None or value == "":
        raise InvalidRequest.at(field, f"{field} is required")
    if not isinstance(value, str):
        raise InvalidRequest.at(field, f"{field} must be a string")
    return value
