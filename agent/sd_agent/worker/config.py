"""The queue agent's configuration, read once from the environment."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sd_agent.contract.errors import ConfigurationError
from sd_agent.contract.rows import DEFAULT_RETENTION_DAYS
from sd_agent.contract.task import Dialect

__all__ = ["Config", "Secret", "WebUIKind"]

WEBUI_KINDS = ("a1111", "comfyui")
WebUIKind = str
# SQS holds a message for 12 hours per receive; an answer has to be out before.
_MAX_TIMEOUT_S = 11 * 60 * 60
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


class Secret:
    """Text that prints as stars."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('****')"

    __str__ = __repr__


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything the agent needs to know; times in seconds. The README's table describes the variables."""

    queue_url: str
    dlq_url: str
    output_topic_arn: str
    bucket: str
    runtime: str
    webui_url: str
    worker: str
    error_topic_arn: str | None = None
    task_table: str | None = None
    webui_kind: WebUIKind = "a1111"
    webui_auth: Secret | None = None
    models: tuple[str, ...] = ()
    dynamic: bool = False
    dialect: Dialect = Dialect.DEFAULT
    grace_s: int = 25
    poll_s: int = 10
    visibility_s: int = 60
    timeout_s: int = 600
    max_attempts: int = 3
    retention_days: int = DEFAULT_RETENTION_DAYS
    input_allow: frozenset[str] = field(default_factory=frozenset)
    input_buckets: frozenset[str] = field(default_factory=frozenset)
    tenant_names: frozenset[str] = field(default_factory=frozenset)
    region: str = ""
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Config:
        """Read the variables. Raises ConfigurationError naming the variable that is missing or wrong."""
        read = _Reader(environment)
        bucket = read.required("SD_BUCKET")
        auth = read.text("SD_WEBUI_AUTH")
        return cls(
            queue_url=read.url("SD_QUEUE_URL"),
            dlq_url=read.url("SD_DLQ_URL"),
            output_topic_arn=read.required("SD_OUTPUT_TOPIC_ARN"),
            error_topic_arn=read.text("SD_ERROR_TOPIC_ARN"),
            bucket=bucket,
            runtime=read.required("SD_RUNTIME"),
            webui_url=read.url("SD_WEBUI_URL").rstrip("/"),
            worker=f"{read.text('POD_NAME') or socket.gethostname()}-{uuid.uuid4().hex[:8]}",
            task_table=read.text("SD_TASK_TABLE"),
            webui_kind=read.choice("SD_WEBUI_KIND", WEBUI_KINDS, default="a1111"),
            webui_auth=Secret(auth) if auth else None,
            models=read.listed("SD_MODELS"),
            dynamic=read.flag("SD_DYNAMIC"),
            dialect=Dialect(read.choice("SD_DIALECT", tuple(Dialect), default=Dialect.DEFAULT)),
            grace_s=read.whole("SD_GRACE_S", default=25, low=1, high=_MAX_TIMEOUT_S),
            poll_s=read.whole("SD_POLL_S", default=10, low=0, high=20),
            visibility_s=read.whole("SD_VISIBILITY_S", default=60, low=5, high=3600),
            timeout_s=read.whole("SD_TASK_TIMEOUT_S", default=600, low=1, high=_MAX_TIMEOUT_S),
            max_attempts=read.whole("SD_MAX_ATTEMPTS", default=3, low=1, high=100),
            retention_days=read.whole("SD_TASK_RETENTION_DAYS", default=DEFAULT_RETENTION_DAYS, low=1, high=3650),
            input_allow=frozenset(entry.lower() for entry in read.listed("SD_INPUT_ALLOW")),
            input_buckets=frozenset({bucket, *read.listed("SD_INPUT_BUCKETS")}),
            tenant_names=frozenset(read.listed("SD_TENANT_NAMES")),
            region=read.text("AWS_REGION") or read.text("AWS_DEFAULT_REGION") or "",
            log_level=read.choice("SD_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO"),
        )


class _Reader:
    """Typed access to the environment; each error names its variable."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str | None:
        return self._environment.get(name, "").strip() or None

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise ConfigurationError(f"{name} is not set")
        return value

    def url(self, name: str) -> str:
        value = self.required(name)
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise ConfigurationError(f"{name} must be an http or https URL")
        return value

    def listed(self, name: str) -> tuple[str, ...]:
        entries = (entry.strip() for entry in (self.text(name) or "").split(","))
        return tuple(entry for entry in entries if entry)

    def flag(self, name: str) -> bool:
        value = (self.text(name) or "").lower()
        if value not in _TRUE | _FALSE:
            raise ConfigurationError(f"{name} must be true or false")
        return value in _TRUE

    def choice(self, name: str, choices: tuple[str, ...], *, default: str) -> str:
        value = self.text(name) or default
        if value not in choices:
            raise ConfigurationError(f"{name} must be one of {', '.join(choices)}")
        return value

    def whole(self, name: str, *, default: int, low: int, high: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ConfigurationError(f"{name} must be a whole number from {low} to {high}")
        return int(value)
