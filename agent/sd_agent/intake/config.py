"""Intake's configuration, read once from the environment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sd_agent.contract import names
from sd_agent.contract.errors import ConfigurationError, InvalidRequest
from sd_agent.contract.jsonvalue import loads_object
from sd_agent.contract.rows import DEFAULT_RETENTION_DAYS, DEFAULT_TTL_S, MAX_TTL_S

__all__ = ["Config", "Tenant", "required", "whole"]


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """Who a request belongs to. tier: the class of requests that the tenant pays for, or None."""

    name: str = names.DEFAULT_TENANT
    tier: str | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything intake needs to know.

    ttl_s: how long a task may wait where the request doesn't say. output_topic_arn, error_topic_arn: where the answers
    to cancelled tasks go; without them the sweep publishes those. tenants: by the first 16 hex digits of the
    SHA-256 of their API key, so that no key is in the environment.
    """

    topic_arn: str
    table: str
    bucket: str
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    retention_days: int = DEFAULT_RETENTION_DAYS
    ttl_s: int = DEFAULT_TTL_S
    output_topic_arn: str | None = None
    error_topic_arn: str | None = None
    region: str = ""
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Config:
        """Read the variables. Raises ConfigurationError naming the variable that is missing or wrong."""
        return cls(
            topic_arn=required(environment, "SD_INPUT_TOPIC_ARN"),
            table=required(environment, "SD_TASK_TABLE"),
            bucket=required(environment, "SD_BUCKET"),
            tenants=_tenants(environment.get("SD_TENANTS") or "{}"),
            retention_days=whole(environment, "SD_TASK_RETENTION_DAYS", DEFAULT_RETENTION_DAYS, "days", 3650),
            ttl_s=whole(environment, "SD_TASK_TTL_S", DEFAULT_TTL_S, "seconds", MAX_TTL_S),
            output_topic_arn=environment.get("SD_OUTPUT_TOPIC_ARN", "").strip() or None,
            error_topic_arn=environment.get("SD_ERROR_TOPIC_ARN", "").strip() or None,
            region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "",
            log_level=(environment.get("SD_LOG_LEVEL") or "INFO").upper(),
        )

    @property
    def tenant_names(self) -> frozenset[str]:
        """The names that only their tenants' prefixes may begin with."""
        return frozenset(tenant.name for tenant in self.tenants.values()) - {names.DEFAULT_TENANT}

    def tenant_of(self, api_key: str | None) -> Tenant:
        """The tenant of an API key; an unknown or absent key gives the default tenant."""
        if not api_key:
            return Tenant()
        return self.tenants.get(hashlib.sha256(api_key.encode()).hexdigest()[:16], Tenant())


def required(environment: Mapping[str, str], name: str) -> str:
    """A variable that must be set. Raises ConfigurationError naming it."""
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"{name} is not set")
    return value


def whole(environment: Mapping[str, str], name: str, default: int, unit: str, most: int) -> int:
    """A whole number of something. Raises ConfigurationError naming the variable."""
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ConfigurationError(f"{name} must be a whole number of {unit} from 1 to {most}")
    return int(text)


def _tenants(text: str) -> dict[str, Tenant]:
    try:
        entries = loads_object(text)
    except InvalidRequest as error:
        raise ConfigurationError(f"SD_TENANTS is not a JSON object: {error.message}") from None
    tenants = {}
    for key_id, entry in entries.items():
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not names.is_tenant(name):
            raise ConfigurationError("SD_TENANTS holds an entry without a proper tenant's name")
        tier = entry.get("tier")
        if tier is not None and not isinstance(tier, str):
            raise ConfigurationError(f"SD_TENANTS gives {name} a tier that is not a string")
        tenants[key_id] = Tenant(name=name, tier=tier or None)
    return tenants
