"""AWS Lambda's entry point: `sd_agent.intake.handler.handler`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sd_agent.contract import jsonvalue, logs, requests
from sd_agent.contract.errors import ConfigurationError, InvalidRequest, NoRuntime
from sd_agent.contract.names import DEFAULT_TENANT
from sd_agent.contract.task import Task
from sd_agent.intake import aws
from sd_agent.intake.config import Config, Tenant
from sd_agent.intake.http import HttpError, Request, error_response, json_response
from sd_agent.intake.ports import Unavailable
from sd_agent.intake.service import Accepted, Conflict, Intake

__all__ = ["Application", "handler"]

_log = logging.getLogger(__name__)
_RETRY_AFTER = {"retry-after": "5"}
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
    table = aws.DynamoTable(client=clients.dynamodb, name=config.table)
    intake = Intake(
        table=table,
        topic=aws.SnsTopic(client=clients.sns, arn=config.topic_arn),
        storage=aws.S3Storage(client=clients.s3, bucket=config.bucket),
        routes=aws.DynamoRoutes(client=clients.dynamodb, table=config.table),
        retention_days=config.retention_days,
    )
    return Application(intake=intake, config=config)


class Application:
    """The API's routes, and every failure turned into the one error shape."""

    def __init__(self, *, intake: Intake, config: Config) -> None:
        self._intake = intake
        self._config = config
        self._routes: Mapping[str, Mapping[str, Callable[[Request], Response]]] = {
            "/v1alpha1": {"POST": self._v1alpha1},
            "/v1alpha2": {"POST": self._v1alpha2},
        }

    def respond(self, event: Mapping[str, Any]) -> Response:
        """Answer one event; never raises."""
        response = self._respond(event)
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

    def _respond(self, event: Mapping[str, Any]) -> Response:
        try:
            request = Request.from_event(event)
            return self._route(request)(request)
        except HttpError as error:
            return error_response(error)
        except InvalidRequest as error:
            return error_response(HttpError(400, error.code.value, error.message, error.field))
        except (Unavailable, ConfigurationError) as error:
            _log.error("unavailable", extra={"reason": str(error)})
            message = "the request could not be taken in just now; send it again"
            return error_response(HttpError(503, "unavailable", message, headers=_RETRY_AFTER))
        except Exception:
            _log.exception("internal error")
            return error_response(HttpError(500, "internal", "intake failed; the error is in its log"))

    def _route(self, request: Request) -> Callable[[Request], Response]:
        methods = self._routes.get(request.path)
        if methods is None:
            raise HttpError(404, "not_found", f"there is no {request.path}")
        if request.method not in methods:
            allowed = ", ".join(sorted(methods))
            message = f"{request.path} takes {allowed}, not {request.method}"
            raise HttpError(405, "method_not_allowed", message, headers={"allow": allowed})
        return methods[request.method]

    def _v1alpha1(self, request: Request) -> Response:
        body, tenant = self._read(request)
        task = requests.v1alpha1_task(body, tenant=tenant.name, reserved=self._reserved(tenant))
        accepted = self._submit(task, tenant, _V1ALPHA1_FIELDS)
        return json_response(200, requests.v1alpha1_receipt(task, accepted.output_location))

    def _v1alpha2(self, request: Request) -> Response:
        body, tenant = self._read(request)
        task = requests.v1alpha2_task(body, tenant=tenant.name, reserved=self._reserved(tenant))
        accepted = self._submit(task, tenant, _V1ALPHA2_FIELDS)
        return json_response(200, requests.v1alpha2_receipt(task, accepted.output_location, accepted.runtime))

    def _submit(self, task: Task, tenant: Tenant, fields: Mapping[str, str]) -> Accepted:
        """`fields` says where this route's body holds what a refusal is about."""
        with logs.task_log(task.id, task.tenant):
            try:
                return self._intake.submit(task, tenant.tier)
            except NoRuntime as error:
                field = fields.get(error.field or "", error.field)
                raise HttpError(404, error.code.value, error.message, field) from error
            except Conflict as error:
                raise HttpError(409, "conflict", str(error), fields["id"]) from error

    def _read(self, request: Request) -> tuple[dict[str, Any], Tenant]:
        return jsonvalue.loads_object(request.body), self._config.tenant_of(request.api_key)

    def _reserved(self, tenant: Tenant) -> frozenset[str]:
        # A named tenant's keys begin with its name anyway; the default tenant must not reach into them.
        return self._config.tenant_names if tenant.name == DEFAULT_TENANT else frozenset()
