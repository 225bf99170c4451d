"""What an error reply of SD WebUI means.

Its 500s are mostly mistakes in the request: the body, not the status, tells. Three shapes (SD WebUI v1.10.1):
`{"error": class, "detail", "body", "errors"}` from a handler, `{"detail": [{"loc", "msg", …}]}` from request
validation, `{"detail": "Not Found"}` from routing.
"""

from __future__ import annotations

from typing import Any

from sd_agent.contract.errors import ErrorCode
from sd_agent.worker.errors import TaskError
from sd_agent.worker.webui.http import Reply

__all__ = ["error_of"]

_MAX_TEXT = 500
# Exceptions that the same request would meet again, whatever the day.
_MISTAKES = frozenset(
    {
        "AssertionError",
        "AttributeError",
        "HTTPException",
        "IndexError",
        "KeyError",
        "OverflowError",
        "RuntimeError",
        "TypeError",
        "UnicodeDecodeError",
        "UnidentifiedImageError",
        "ValueError",
        "ZeroDivisionError",
    }
)
# The checkpoint is missing or cannot be loaded yet: a sync may still be writing it.
_MODEL_NOT_READY = frozenset({"FileNotFoundError", "SafetensorError"})
_HARDWARE_WORDS = ("cuda", "cudnn", "cublas", "hip error", "out of memory", "device-side", "nccl")


def error_of(reply: Reply) -> TaskError:
    """The TaskError for a reply whose status is not 200."""
    body = reply.json()
    if not isinstance(body, dict):
        return TaskError(ErrorCode.WEBUI_ERROR, f"the WebUI answered {reply.status} without JSON", retry=True)
    if isinstance(body.get("detail"), list):
        return TaskError(ErrorCode.INVALID_REQUEST, _validation_text(body["detail"]))
    name = body.get("error")
    text = _text(body)
    if not isinstance(name, str):
        # Routing: a path or a method that this WebUI doesn't have, or a proxy's own error.
        return TaskError(ErrorCode.WEBUI_ERROR, _sentence(reply, text), retry=reply.status >= 500)
    return _handler_error(reply, name, text)


def _handler_error(reply: Reply, name: str, text: str) -> TaskError:
    lowered = text.lower()
    if reply.status == 401:
        return TaskError(ErrorCode.WEBUI_ERROR, "the WebUI wants a user name and a password (SD_WEBUI_AUTH)")
    if name == "OutOfMemoryError" or any(word in lowered for word in _HARDWARE_WORDS):
        return TaskError(ErrorCode.WEBUI_ERROR, _sentence(reply, text or name), retry=True)
    if lowered.startswith("model ") and lowered.endswith(" not found"):
        return TaskError(ErrorCode.MODEL_NOT_FOUND, text)
    if name in _MODEL_NOT_READY:
        return TaskError(ErrorCode.MODEL_NOT_READY, _sentence(reply, f"{name} {text}".strip()), retry=True)
    if name == "NansException":
        return TaskError(ErrorCode.WEBUI_ERROR, _sentence(reply, text))
    if name in _MISTAKES or (name == "OSError" and "image" in lowered):
        return TaskError(ErrorCode.INVALID_REQUEST, _sentence(reply, f"{name} {text}".strip()))
    return TaskError(ErrorCode.WEBUI_ERROR, _sentence(reply, f"{name} {text}".strip()), retry=True)


def _validation_text(details: list[Any]) -> str:
    complaints = []
    for detail in details[:5]:
        location, message = (detail.get("loc"), detail.get("msg")) if isinstance(detail, dict) else ((), detail)
        where = ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else ""
        complaints.append(f"{where}: {message}" if where else str(message))
    return f"the WebUI refused the body: {'; '.join(complaints)}"[:_MAX_TEXT]


def _text(body: dict[str, Any]) -> str:
    for name in ("detail", "errors"):
        if isinstance(body.get(name), str) and body[name].strip():
            return " ".join(body[name].split())[:_MAX_TEXT]
    return ""


def _sentence(reply: Reply, text: str) -> str:
    return f"the WebUI answered {reply.status}: {text}" if text else f"the WebUI answered {reply.status}"
