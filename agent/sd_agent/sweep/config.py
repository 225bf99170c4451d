"""The sweep's configuration, read once from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sd_agent.contract.rows import DEFAULT_RETENTION_DAYS
from sd_agent.intake.config import required, whole

__all__ = ["Config"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything the sweep needs to know. system: what the queues' names begin with."""

    system: str
    input_topic_arn: str
    output_topic_arn: str
    table: str
    bucket: str
    error_topic_arn: str | None = None
    retention_days: int = DEFAULT_RETENTION_DAYS
    region: str = ""
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Config:
        """Read the variables. Raises ConfigurationError naming the variable that is missing or wrong."""
        return cls(
            system=required(environment, "SD_NAME"),
            input_topic_arn=required(environment, "SD_INPUT_TOPIC_ARN"),
            output_topic_arn=required(environment, "SD_OUTPUT_TOPIC_ARN"),
            table=required(environment, "SD_TASK_TABLE"),
            bucket=required(environment, "SD_BUCKET"),
            error_topic_arn=environment.get("SD_ERROR_TOPIC_ARN", "").strip() or None,
            retention_days=whole(environment, "SD_TASK_RETENTION_DAYS", DEFAULT_RETENTION_DAYS, "days", 3650),
            region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "",
            log_level=(environment.get("SD_LOG_LEVEL") or "INFO").upper(),
        )
