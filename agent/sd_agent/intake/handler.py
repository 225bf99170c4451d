"""AWS Lambda's entry point: `sd_agent.intake.handler.handler`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sd_agent.contract import logs, requests
from sd_agent.contract.errors import ConfigurationError
from sd_agent.intake import aws, openapi, operations
from sd_agent.intake.config import Config
from sd_agent.intake.door import Door
from sd_agent.intake.failures import as_http_error
from sd_agent.intake.http import HttpError, Request, error_response, json_response
from sd_agent.intake.service import Intake
from sd_agent.intake.tasks import TasksApi

__all__ = ["Application", "handler"]

_log = logging.getLogger(__name__)
_V1ALPHA1_FIELDS = {
    "id": "alwayson_scripts.id_task",
    "runtime": "alwayson_scripts.sd_model_checkpoint",
    "sd_model_checkpoint": "alwayson_scripts.sd_model_checkpoint",
}
_V1ALPHA2_FIELDS = {
    "id": "task.metadata.id",
    "runtime": "task.metadata.runtime",
    "sd_model_checkpoint": "task.metadata.sd_model_checkpoint",
}

Response = dict[str, Any]
Handle = Callable[[Request, Mapping[str, str]], Response]


def handler(event: Mapping[str, Any], context: object) -> Response:
    """Answer one API Gateway REST proxy event; never raises."""
    try:
        return _application().respond(event)
    except ConfigurationError as error:
        _log.error("configuration", extra={"reason": str(error)})
        return error_response(HttpError(500, "misconfigured", f"intake is not configured: {error}"))


@cache
def _application() -> Application:
    """One application, with its clients and their connections, per process."""
    config = Config.from_environment(os.environ)
    logs.configure(config.log_level)
    clients = aws.Clients()
    intake = Intake(
        table=aws.DynamoTable(client=clients.dynamodb, name=config.table),
        topic=aws.SnsTopic(client=clients.sns, arn=config.topic_arn),
        storage=aws.S3Storage(client=clients.s3, bucket=config.bucket),
        routes=aws.DynamoRoutes(client=clients.dynamodb, table=config.table),
        answers=_topic(clients, config.output_topic_arn),
        error_answers=_topic(clients, config.error_topic_arn),
        retention_days=config.retention_days,
        ttl_s=config.ttl_s,
        region=config.region,
    )
    return Application(intake=intake, config=config)


def _topic(clients: aws.Clients, arn: str | None) -> aws.SnsTopic | None:
    return None if arn is None else aws.SnsTopic(client=clients.sns, arn=arn)


class Application:
    """The API's operations, and every failure turned into the one error shape."""

    def __init__(self, *, intake: Intake, config: Config) -> None:
        self._door = Door(intake=intake, config=config)
        tasks = TasksApi(intake=intake, door=self._door)
        own: Mapping[str, Handle] = {
            "submit_v1alpha1": self._v1alpha1,
            "submit_v1alpha2": self._v1alpha2,
            "describe_api": self._describe,
        }
        self._handles: Mapping[str, Handle] = {
            operation.name: own.get(operation.name) or getattr(tasks, operation.name)
            for operation in operations.OPERATIONS
        }

    def respond(self, event: Mapping[str, Any]) -> Response:
        """Answer one event; never raises."""
        try:
            response = self._route(Request.from_event(event))
        except Exception as error:
            response = error_response(as_http_error(error))
        _log.info(
            "request",
            extra={
                "method": event.get("httpMethod"),
                "path": event.get("path"),
                "status": response["statusCode"],
                "request_id": (event.get("requestContext") or {}).get("requestId"),
            },
        )
        return response

    def _route(self, request: Request) -> Response:
        found = operations.find(request.method, request.path)
        if found is not None:
            operation, values = found
            return self._handles[operation.name](request, values)
        methods = operations.methods_of(request.path)
        if not methods:
            raise HttpError(404, "not_found", f"there is no {request.path}")
        allowed = ", ".join(methods)
        message = f"{request.path} takes {allowed}, not {request.method}"
        raise HttpError(405, "method_not_allowed", message, headers={"allow": allowed})

    def _v1alpha1(self, request: Request, values: Mapping[str, str]) -> Response:
        body, tenant = self._door.read(request)
        task = requests.v1alpha1_task(body, tenant=tenant.name, reserved=self._door.reserved(tenant))
        accepted = self._door.submit(task, tenant, _V1ALPHA1_FIELDS)
        return json_response(200, requests.v1alpha1_receipt(task, accepted.output_location))

    def _v1alpha2(self, request: Request, values: Mapping[str, str]) -> Response:
        body, tenant = self._door.read(request)
        task = requests.v1alpha2_task(body, tenant=tenant.name, reserved=self._door.reserved(tenant))
        accepted = self._door.submit(task, tenant, _V1ALPHA2_FIELDS)
        return json_response(200, requests.v1alpha2_receipt(task, accepted.output_location, accepted.runtime))

    def _describe(self, request: Request, values: Mapping[str, str]) -> Response:
        return json_response(200, openapi.document())
