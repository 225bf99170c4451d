# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""A REST API as it is, in the words of rest_api_layout."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import doing, found, pages
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import AwsFailure
from ansible_collections.stable_diffusion.eks.plugins.module_utils.rest_api_layout import (
    API,
    KEY,
    OWNER_TAG,
    PLAN,
    RESOURCE,
    RESPONSE,
    ROUTE,
    STAGE,
    PartKey,
    Parts,
    digest,
)

Ids = dict[PartKey, str]
MISSING = ("NotFoundException",)
ROOT = "/"
PAGE = 500


def read(api_gateway: Any, name: str, stage: str, keys: Container[str] = ()) -> tuple[Parts, Ids]:
    """Every part of the API of that name, its usage plan, the keys so named or marked as its own, and their ids."""
    parts: Parts = {}
    ids: Ids = {}
    with doing(f"look at the REST API {name}"):
        api = _api(api_gateway, name)
        if api:
            parts[API, name] = {
                "endpoint": ",".join(api["endpointConfiguration"]["types"]),
                "description": api.get("description", ""),
                "tags": api.get("tags", {}),
            }
            ids[API, name] = api["id"]
            _read_deployed(api_gateway, api["id"], parts, ids)
            _read_stage(api_gateway, api["id"], stage, parts)
        digests = {}
        for key in _list(api_gateway, "get_api_keys", nameQuery=f"{name}-", includeValues=True):
            digests[key["id"]] = digest(key["value"])
            if key["name"] in keys or key.get("tags", {}).get(OWNER_TAG) == name:
                tags = key.get("tags", {})
                parts[KEY, key["name"]] = {"digest": digests[key["id"]], "enabled": key["enabled"], "tags": tags}
                ids[KEY, key["name"]] = key["id"]
        for usage in _list(api_gateway, "get_usage_plans"):
            if usage["name"] == name:
                members = _list(api_gateway, "get_usage_plan_keys", usagePlanId=usage["id"])
                held = {member["name"]: digests.get(member["id"]) for member in members}
                parts[PLAN, name] = _usage_plan(usage, api["id"] if api else None, held)
                ids[PLAN, name] = usage["id"]
    return parts, ids


def _list(api_gateway: Any, operation: str, **kwargs: Any) -> list[Any]:
    return pages(api_gateway, operation, "items", **kwargs, PaginationConfig={"PageSize": PAGE})


def _api(api_gateway: Any, name: str) -> dict[str, Any] | None:
    """The API of that name; API Gateway allows several, we don't."""
    named = [api for api in _list(api_gateway, "get_rest_apis") if api["name"] == name]
    if len(named) > 1:
        listed = ", ".join(api["id"] for api in named)
        raise AwsFailure(f"there is more than one REST API {name} ({listed}): delete those that are not in use")
    return named[0] if named else None


def _read_deployed(api_gateway: Any, api: str, parts: Parts, ids: Ids) -> None:
    for resource in _list(api_gateway, "get_resources", restApiId=api, embed=["methods"]):
        path = resource["path"]
        ids[RESOURCE, path] = resource["id"]
        if path != ROOT:
            parts[RESOURCE, path] = {}
        for verb, method in (resource.get("resourceMethods") or {}).items():
            parts[ROUTE, f"{verb} {path}"] = _route(method)
    for response in api_gateway.get_gateway_responses(restApiId=api, limit=PAGE).get("items", ()):
        if not response.get("defaultResponse", False):
            parts[RESPONSE, response["responseType"]] = {
                "status_code": response.get("statusCode", ""),
                "template": response.get("responseTemplates", {}).get("application/json", ""),
            }


def _route(method: Mapping[str, Any]) -> dict[str, Any]:
    integration = method.get("methodIntegration") or {}
    uri = integration.get("uri") or ""
    function = uri.partition("/functions/")[2].removesuffix("/invocations")
    return {
        # Anything but a proxy integration differs, whatever its function.
        "function": function if integration.get("type") == "AWS_PROXY" else uri,
        "api_key_required": method.get("apiKeyRequired", False),
        "timeout_ms": integration.get("timeoutInMillis"),
    }


def _read_stage(api_gateway: Any, api: str, name: str, parts: Parts) -> None:
    stage = found(api_gateway.get_stage, *MISSING, restApiId=api, stageName=name)
    if stage is None:
        return
    deployment = found(api_gateway.get_deployment, *MISSING, restApiId=api, deploymentId=stage["deploymentId"])
    parts[STAGE, name] = {"content": (deployment or {}).get("description", ""), "tags": stage.get("tags", {})}


def _usage_plan(usage: Mapping[str, Any], api: str | None, keys: Mapping[str, str | None]) -> dict[str, Any]:
    throttle = usage.get("throttle") or {}
    stages = [entry["stage"] for entry in usage.get("apiStages") or () if entry["apiId"] == api]
    return {
        "stage": stages[0] if stages else None,
        "keys": dict(keys),
        "rate_limit": throttle.get("rateLimit"),
        "burst_limit": throttle.get("burstLimit"),
        "tags": usage.get("tags", {}),
    }
