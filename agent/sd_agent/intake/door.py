"""What every route that takes tasks does: find the tenant, and hand the task in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sd_agent.contract import jsonvalue, logs
from sd_agent.contract.errors import NoRuntime
from sd_agent.contract.names import DEFAULT_TENANT
from sd_agent.contract.task import Task
from sd_agent.intake.config import Config, Tenant
from sd_agent.intake.http import HttpError, Request
from sd_agent.intake.service import Accepted, Conflict, Intake

__all__ = ["Door"]


class Door:
    """Between HTTP and the use cases."""

    def __init__(self, *, intake: Intake, config: Config) -> None:
        self._intake = intake
        self._config = config

    def read(self, request: Request) -> tuple[dict[str, Any], Tenant]:
        """The request's body and whose it is. Raises InvalidRequest for anything but a JSON object."""
        return jsonvalue.loads_object(request.body), self.tenant(request)

    def tenant(self, request: Request) -> Tenant:
        """Whose request it is."""
        return self._config.tenant_of(request.api_key)

    def reserved(self, tenant: Tenant) -> frozenset[str]:
        """What the tenant's prefixes must not begin with."""
        # A named tenant's keys begin with its name anyway; the default tenant must not reach into them.
        return self._config.tenant_names if tenant.name == DEFAULT_TENANT else frozenset()

    def submit(self, task: Task, tenant: Tenant, fields: Mapping[str, str]) -> Accepted:
        """Hand a task in. `fields` says where this route's body holds what a refusal is about."""
        with logs.task_log(task.id, task.tenant):
            try:
                return self._intake.submit(task, tenant.tier)
            except NoRuntime as error:
                field = fields.get(error.field or "", error.field)
                raise HttpError(404, error.code.value, error.message, field) from error
            except Conflict as error:
                raise HttpError(409, "conflict", str(error), fields["id"]) from error
