"""Submit tasks and collect their answers."""

from __future__ import annotations

from sd_agent.client.client import Client
from sd_agent.client.deliveries import Deliveries
from sd_agent.client.errors import ClientError, RequestRefused, ServiceUnavailable, Unverified, WaitTimeout

__all__ = [
    "Client",
    "ClientError",
    "Deliveries",
    "RequestRefused",
    "ServiceUnavailable",
    "Unverified",
    "WaitTimeout",
]
