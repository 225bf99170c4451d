"""AWS Lambda's entry point: `sd_agent.sweep.handler.handler`, called every minute."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from sd_agent.contract import logs
from sd_agent.intake import aws as intake_aws
from sd_agent.sweep import aws
from sd_agent.sweep.config import Config
from sd_agent.sweep.service import Sweep

__all__ = ["build", "handler"]

_log = logging.getLogger(__name__)
# What is begun has to end, and the turn be given back.
_RESERVE_MS = 15_000


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """One run; returns how often each thing was done. Raises ConfigurationError, and Unavailable where no run began."""
    config = Config.from_environment(os.environ)
    logs.configure(config.log_level)
    done = build(config).run(lambda: context.get_remaining_time_in_millis() > _RESERVE_MS)
    _log.info("swept", extra={"done": dict(done)})
    return dict(done)


def build(config: Config) -> Sweep:
    """The sweep with everything real."""
    clients = intake_aws.Clients()
    errors = config.error_topic_arn
    return Sweep(
        table=aws.SweepTable(client=clients.dynamodb, name=config.table),
        topic=intake_aws.SnsTopic(client=clients.sns, arn=config.input_topic_arn),
        answers=intake_aws.SnsTopic(client=clients.sns, arn=config.output_topic_arn),
        error_answers=None if errors is None else intake_aws.SnsTopic(client=clients.sns, arn=errors),
        routes=intake_aws.DynamoRoutes(client=clients.dynamodb, table=config.table),
        dead_letters=aws.SqsDeadLetters(client=clients.sqs, system=config.system),
        contents=aws.S3Contents(client=clients.s3),
        bucket=config.bucket,
        region=config.region,
        retention_days=config.retention_days,
    )
