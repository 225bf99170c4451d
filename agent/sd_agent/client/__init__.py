"""Submit tasks and collect their answers."""

from __future__ import annotations

from sd_agent.client.client import Client
from sd_agent.client.errors import ClientError, RequestRefused, ServiceUnavailable, WaitTimeout

__all__ = ["Client", "ClientError", "RequestRefused", "ServiceUnavailable", "WaitTimeout"]
