# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What a REST API of ours consists of: pure, from routes, error responses and keys to every part of it.

As in vpc_layout, a part is known by its kind and name and refers to others by their names.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import canonical, tags_after
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput

API = "rest api"
RESPONSE = "gateway response"
RESOURCE = "resource"
ROUTE = "route"
STAGE = "stage"
KEY = "api key"
PLAN = "usage plan"
# What a deployment takes a picture of.
DEPLOYED = (RESPONSE, RESOURCE, ROUTE)
# Made in this order; of what is deployed, what goes must go before the picture is taken.
MADE = (API, RESPONSE, RESOURCE, ROUTE)
SERVED = (STAGE, KEY, PLAN)
TAGGED = (API, STAGE, KEY, PLAN)

# API Gateway waits no longer for an integration (without a quota increase).
TIMEOUT_MS = 29000
# How keys are known again: another API's name may begin with ours.
OWNER_TAG = "stable_diffusion.eks/rest-api"
# https://docs.aws.amazon.com/apigateway/latest/api/API_CreateApiKey.html
SHORTEST_KEY, LONGEST_KEY = 20, 128

PartKey = tuple[str, str]
Parts = dict[PartKey, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the operator chose. keys: values by name; responses: {type: {status_code, template}}."""

    name: str
    stage: str
    function_arn: str
    routes: Sequence[Mapping[str, Any]]
    responses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    rate_limit: float | None = None
    burst_limit: int | None = None
    description: str = ""
    tags: Mapping[str, str] | None = None
    purge_tags: bool = True

    def key(self, name: str) -> str:
        """What API Gateway calls a key."""
        return f"{self.name}-{name}"


def digest(value: str) -> str:
    """What a diff shows of a secret; the same that intake knows a tenant's key by."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def check(settings: Settings) -> None:
    """Raise BadInput naming the route or key that is wrong."""
    for route in settings.routes:
        if not route["path"].startswith("/") or "//" in route["path"] or route["path"] == "/":
            raise BadInput(f"route {route['path']} must be a path of at least one part, such as /v1")
    owners: dict[str, str] = {}
    for name, value in settings.keys.items():
        if not SHORTEST_KEY <= len(value) <= LONGEST_KEY:
            raise BadInput(f"the API key {name} must have {SHORTEST_KEY} to {LONGEST_KEY} characters")
        if value in owners:
            raise BadInput(f"the API keys {owners[value]} and {name} have the same value")
        owners[value] = name


def wanted(settings: Settings, current: Parts) -> Parts:
    """Every part as it shall be; current only for the tags that stay."""
    check(settings)
    parts: Parts = {(API, settings.name): {"endpoint": "REGIONAL", "description": settings.description}}
    for kind, response in settings.responses.items():
        parts[RESPONSE, kind] = dict(response)
    for route in settings.routes:
        for path in _ancestors(route["path"]):
            parts[RESOURCE, path] = {}
        for method in route["methods"]:
            parts[ROUTE, f"{method} {route['path']}"] = {
                "function": settings.function_arn,
                "api_key_required": route["api_key_required"],
                "timeout_ms": TIMEOUT_MS,
            }
    parts[STAGE, settings.stage] = {"content": fingerprint(parts)}
    for name, value in settings.keys.items():
        parts[KEY, settings.key(name)] = {"digest": digest(value), "enabled": True}
    if settings.keys:
        parts[PLAN, settings.name] = {
            "stage": settings.stage,
            # With the digests: a key that came again must be put in again.
            "keys": {settings.key(name): digest(value) for name, value in settings.keys.items()},
            "rate_limit": settings.rate_limit,
            "burst_limit": settings.burst_limit,
        }
    for kind, name in [key for key in parts if key[0] in TAGGED]:
        own = {OWNER_TAG: settings.name} if kind == KEY else {}
        if settings.tags is not None or own:
            present = current.get((kind, name), {}).get("tags", {})
            purge = settings.purge_tags and settings.tags is not None
            parts[kind, name]["tags"] = tags_after(present, {**(settings.tags or {}), **own}, purge)
    return parts


def _ancestors(path: str) -> Iterator[str]:
    """/a/b gives /a and /a/b."""
    parts = path.strip("/").split("/")
    for length in range(1, len(parts) + 1):
        yield "/" + "/".join(parts[:length])


def fingerprint(parts: Parts) -> str:
    """What tells one deployment from another: a digest of all that a deployment takes a picture of."""
    deployed = {f"{kind} {name}": properties for (kind, name), properties in parts.items() if kind in DEPLOYED}
    return f"sha256:{hashlib.sha256(canonical(deployed).encode()).hexdigest()}"


def plan(current: Parts, to_be: Parts) -> list[Change]:
    """Changes in the order in which to make them; a changed key's value shows as deletion and creation."""
    if not to_be:
        # The plan holds on to the stage, and deleting the API takes all the rest with it.
        gone = [key for kind in (PLAN, KEY, API) for key in current if key[0] == kind]
        return [Change("delete", *key, current[key]) for key in gone]
    changes: list[Change] = []
    for kind in MADE:
        for key in _of(kind, to_be):
            changes += _compared(key, current, to_be)
    for kind in reversed(DEPLOYED):
        surplus = sorted((key for key in _of(kind, current) if key not in to_be), reverse=True)
        changes += [Change("delete", *key, current[key]) for key in surplus]
    for kind in SERVED:
        for key in _of(kind, to_be):
            changes += _renewed(_compared(key, current, to_be), current, to_be)
    for kind in (PLAN, KEY):
        changes += [Change("delete", *key, current[key]) for key in _of(kind, current) if key not in to_be]
    return changes


def _compared(key: PartKey, current: Parts, to_be: Parts) -> list[Change]:
    """The change of one part; its data is the whole part as it shall be, for calls that replace all of it."""
    changes = compare(*key, current.get(key), to_be[key])
    return [dataclasses.replace(change, data=to_be[key]) for change in changes]


def _of(kind: str, parts: Parts) -> list[PartKey]:
    return [key for key in parts if key[0] == kind]


def _renewed(changes: list[Change], current: Parts, to_be: Parts) -> list[Change]:
    """API Gateway can't change a key's value: it goes, and comes again."""
    renewed: list[Change] = []
    for change in changes:
        key = (change.kind, change.name)
        if change.kind == KEY and change.action == "update" and "digest" in change.after:
            renewed += [Change("delete", *key, current[key]), Change("create", *key, None, to_be[key])]
        else:
            renewed.append(change)
    return renewed
