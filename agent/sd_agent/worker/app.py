"""Putting the agent together, and its loop."""

from __future__ import annotations

import logging

from sd_agent.contract.errors import ConfigurationError
from sd_agent.worker.agent import Agent, Outcome
from sd_agent.worker.aws import Clients, S3Storage, SnsTopic, SqsQueue
from sd_agent.worker.config import Config
from sd_agent.worker.fetch import HttpFetcher
from sd_agent.worker.inputs import InputFetcher
from sd_agent.worker.ports import Table
from sd_agent.worker.runner import TaskRunner
from sd_agent.worker.stop import Stop
from sd_agent.worker.supervisor import ThreadSupervisor
from sd_agent.worker.table import DynamoTable, NoTable
from sd_agent.worker.webui.a1111 import A1111
from sd_agent.worker.webui.base import WebUI
from sd_agent.worker.webui.http import WebUIClient

__all__ = ["build", "make_webui", "serve"]

_log = logging.getLogger(__name__)
_MAX_PAUSE_S = 30


def make_webui(config: Config) -> WebUI:
    """The adapter for the WebUI's kind. Raises ConfigurationError for a kind that this version doesn't speak."""
    if config.webui_kind != "a1111":
        raise ConfigurationError(f"SD_WEBUI_KIND: this version of the agent has no adapter for {config.webui_kind}")
    # The supervisor ends a task that takes too long; the connection only has to outlast it.
    client = WebUIClient(url=config.webui_url, slow_s=config.timeout_s + 30, auth=config.webui_auth)
    return A1111(client=client, served=() if config.dynamic else config.models)


def build(config: Config, stop: Stop) -> Agent:
    """The agent with everything real. Raises ConfigurationError."""
    webui = make_webui(config)
    clients = Clients(config.region)
    storage = S3Storage(client=clients.s3, bucket=config.bucket)
    table: Table = NoTable()
    if config.task_table is not None:
        table = DynamoTable(
            client=clients.dynamodb,
            name=config.task_table,
            worker=config.worker,
            retention_days=config.retention_days,
        )
    fetcher = InputFetcher(
        http=HttpFetcher(allow=config.input_allow),
        storage=storage,
        buckets=config.input_buckets,
        tenant_names=config.tenant_names,
    )
    return Agent(
        config=config,
        queue=SqsQueue(
            client=clients.sqs,
            url=config.queue_url,
            dlq_url=config.dlq_url,
            poll_s=config.poll_s,
            visibility_s=config.visibility_s,
        ),
        table=table,
        topic=SnsTopic(client=clients.sns, arn=config.output_topic_arn),
        error_topic=SnsTopic(client=clients.sns, arn=config.error_topic_arn or config.output_topic_arn),
        storage=storage,
        webui=webui,
        runner=TaskRunner(webui=webui, fetcher=fetcher, storage=storage, bucket=config.bucket),
        supervisor=ThreadSupervisor(
            stop=stop, beat_s=config.visibility_s / 3, timeout_s=config.timeout_s, grace_s=config.grace_s
        ),
        stop=stop,
    )


def serve(agent: Agent, stop: Stop) -> None:
    """Iterate until asked to stop; pause, longer each time, while what the agent depends on is down."""
    failures = 0
    while not stop.requested:
        result = agent.iterate()
        _log.debug("iteration", extra={"outcome": result.value})
        if result is Outcome.UNAVAILABLE:
            failures += 1
            stop.pause(min(_MAX_PAUSE_S, 2 ** min(failures, 5)))
        elif result is Outcome.WEBUI_DOWN:
            failures = 0
            stop.pause(1.0)
        else:
            failures = 0
    _log.info("stopped")
