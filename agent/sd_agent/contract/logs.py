"""JSON lines on standard error, each with the id of the task at hand; only commands and handlers set it up."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

__all__ = ["JsonLines", "configure", "task_log"]

_task: ContextVar[str | None] = ContextVar("sd_agent_task", default=None)
_tenant: ContextVar[str | None] = ContextVar("sd_agent_tenant", default=None)
_ROOT = "sd_agent"
# The attributes that every record has; what else a record carries came by `extra=` and is logged.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object per record: time (UTC), level, logger, message, task, tenant, and the record's extras."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (task := _task.get()) is not None:
            line["task"] = task
            line["tenant"] = _tenant.get()
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


@contextmanager
def task_log(task_id: str, tenant: str) -> Iterator[None]:
    """Everything logged inside carries this task's id."""
    task_token, tenant_token = _task.set(task_id), _tenant.set(tenant)
    try:
        yield
    finally:
        _task.reset(task_token)
        _tenant.reset(tenant_token)


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send this package's records, and only these, as JSON lines to `stream` (standard error)."""
    logger = logging.getLogger(_ROOT)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    # AWS Lambda's runtime has a handler of its own on the root logger: without this each line would come twice.
    logger.propagate = False
