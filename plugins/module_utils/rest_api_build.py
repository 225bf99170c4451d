# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The calls that make a REST API what rest_api_layout planned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    Account,
    doing,
    found,
    pages,
    tag_changes,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change
from ansible_collections.stable_diffusion.eks.plugins.module_utils.rest_api_layout import (
    API,
    KEY,
    PLAN,
    RESOURCE,
    RESPONSE,
    ROUTE,
    STAGE,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.rest_api_read import MISSING, Ids

JSON = "application/json"
LAMBDA_API = "2015-03-31"


class Builder:
    """Makes changes one after the other; ids grows with what it makes. values: those of the API keys by full name."""

    def __init__(self, api_gateway: Any, name: str, account: Account, ids: Ids, values: Mapping[str, str]) -> None:
        self.gateway = api_gateway
        self.name = name
        self.account = account
        self.ids = ids
        self._values = values

    @property
    def api(self) -> str:
        """The API's id."""
        return self.ids[API, self.name]

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes; raises AwsFailure naming the one that failed."""
        make: dict[str, Callable[[Change], None]] = {
            API: self._api,
            RESPONSE: self._response,
            RESOURCE: self._resource,
            ROUTE: self._route,
            STAGE: self._stage,
            KEY: self._key,
            PLAN: self._plan,
        }
        for change in changes:
            with doing(str(change)):
                if change.action == "delete":
                    self._delete(change)
                    continue
                make[change.kind](change)
                if change.action == "update" and "tags" in change.after:
                    self._tag(change)

    def _api(self, change: Change) -> None:
        if change.action == "create":
            answer = self.gateway.create_rest_api(
                name=change.name,
                description=change.after["description"],
                endpointConfiguration={"types": [change.after["endpoint"]]},
                tags=change.after.get("tags", {}),
            )
            self.ids[API, change.name] = answer["id"]
            self.ids[RESOURCE, "/"] = answer.get("rootResourceId") or self._root(answer["id"])
            return
        operations = []
        if "description" in change.after:
            operations.append(_replace("/description", change.after["description"]))
        if "endpoint" in change.after:
            path = f"/endpointConfiguration/types/{change.before['endpoint']}"
            operations.append(_replace(path, change.after["endpoint"]))
        if operations:
            self.gateway.update_rest_api(restApiId=self.api, patchOperations=operations)

    def _root(self, api: str) -> str:
        resources = pages(self.gateway, "get_resources", "items", restApiId=api)
        return next(resource["id"] for resource in resources if resource["path"] == "/")

    def _response(self, change: Change) -> None:
        self.gateway.put_gateway_response(
            restApiId=self.api,
            responseType=change.name,
            statusCode=change.data["status_code"],
            responseTemplates={JSON: change.data["template"]},
        )

    def _resource(self, change: Change) -> None:
        parent, _slash, part = change.name.rpartition("/")
        answer = self.gateway.create_resource(
            restApiId=self.api, parentId=self.ids[RESOURCE, parent or "/"], pathPart=part
        )
        self.ids[RESOURCE, change.name] = answer["id"]

    def _route(self, change: Change) -> None:
        where = self._where(change)
        if change.action == "create":
            self.gateway.put_method(**where, authorizationType="NONE", apiKeyRequired=change.after["api_key_required"])
        elif "api_key_required" in change.after:
            flag = "true" if change.after["api_key_required"] else "false"
            self.gateway.update_method(**where, patchOperations=[_replace("/apiKeyRequired", flag)])
        self.gateway.put_integration(
            **where,
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=self._uri(change.data["function"]),
            timeoutInMillis=change.data["timeout_ms"],
        )

    def _uri(self, function: str) -> str:
        path = f"path/{LAMBDA_API}/functions/{function}/invocations"
        return self.account.arn("apigateway", path, account="lambda")

    def _where(self, change: Change) -> dict[str, str]:
        verb, _space, path = change.name.partition(" ")
        return {"restApiId": self.api, "resourceId": self.ids[RESOURCE, path], "httpMethod": verb}

    def _stage(self, change: Change) -> None:
        if "content" not in change.after:
            return
        answer = self.gateway.create_deployment(restApiId=self.api, description=change.after["content"])
        where = {"restApiId": self.api, "stageName": change.name}
        if change.action == "create":
            tags = change.after.get("tags", {})
            self.gateway.create_stage(**where, deploymentId=answer["id"], tags=tags)
        else:
            self.gateway.update_stage(**where, patchOperations=[_replace("/deploymentId", answer["id"])])
        self._forget_deployments(answer["id"])

    def _forget_deployments(self, keep: str) -> None:
        """API Gateway keeps every picture for ever; those that no stage shows are of no use."""
        stages = self.gateway.get_stages(restApiId=self.api)["item"]
        shown = {keep, *(stage["deploymentId"] for stage in stages)}
        for deployment in pages(self.gateway, "get_deployments", "items", restApiId=self.api):
            if deployment["id"] not in shown:
                self.gateway.delete_deployment(restApiId=self.api, deploymentId=deployment["id"])

    def _key(self, change: Change) -> None:
        if change.action == "create":
            answer = self.gateway.create_api_key(
                name=change.name, value=self._values[change.name], enabled=True, tags=change.after.get("tags", {})
            )
            self.ids[KEY, change.name] = answer["id"]
        elif "enabled" in change.after:
            operation = _replace("/enabled", "true")
            self.gateway.update_api_key(apiKey=self.ids[KEY, change.name], patchOperations=[operation])

    def _plan(self, change: Change) -> None:
        after = change.after
        if change.action == "create":
            throttle = {"rateLimit": after["rate_limit"], "burstLimit": after["burst_limit"]}
            answer = self.gateway.create_usage_plan(
                name=change.name,
                apiStages=[{"apiId": self.api, "stage": after["stage"]}],
                tags=after.get("tags", {}),
                **({"throttle": throttle} if None not in throttle.values() else {}),
            )
            self.ids[PLAN, change.name] = answer["id"]
        else:
            operations = [*self._stage_operations(change), *_throttle_operations(change)]
            if operations:
                self.gateway.update_usage_plan(usagePlanId=self.ids[PLAN, change.name], patchOperations=operations)
        if "keys" in after:
            self._plan_keys(self.ids[PLAN, change.name], after["keys"])

    def _stage_operations(self, change: Change) -> list[dict[str, str]]:
        if "stage" not in change.after:
            return []
        operations = [{"op": "add", "path": "/apiStages", "value": f"{self.api}:{change.after['stage']}"}]
        if change.before["stage"]:
            old = f"{self.api}:{change.before['stage']}"
            operations.insert(0, {"op": "remove", "path": "/apiStages", "value": old})
        return operations

    def _plan_keys(self, plan: str, names: Iterable[str]) -> None:
        """Make the plan's keys those named, as the keys are by now: one that came again has another id."""
        listed = pages(self.gateway, "get_usage_plan_keys", "items", usagePlanId=plan)
        there = {key["id"] for key in listed}
        wanted = {self.ids[KEY, name] for name in names}
        for identifier in sorted(there - wanted):
            found(self.gateway.delete_usage_plan_key, *MISSING, usagePlanId=plan, keyId=identifier)
        for identifier in sorted(wanted - there):
            self.gateway.create_usage_plan_key(usagePlanId=plan, keyId=identifier, keyType="API_KEY")

    def _tag(self, change: Change) -> None:
        arn = self._arn(change)
        added, removed = tag_changes(change.before["tags"] or {}, change.after["tags"], True)
        if added:
            self.gateway.tag_resource(resourceArn=arn, tags=added)
        if removed:
            self.gateway.untag_resource(resourceArn=arn, tagKeys=removed)

    def _arn(self, change: Change) -> str:
        paths = {API: "restapis", KEY: "apikeys", PLAN: "usageplans"}
        if change.kind == STAGE:
            return self.account.arn("apigateway", f"/restapis/{self.api}/stages/{change.name}", account="")
        identifier = self.ids[change.kind, change.name]
        return self.account.arn("apigateway", f"/{paths[change.kind]}/{identifier}", account="")

    def _delete(self, change: Change) -> None:
        if change.kind == ROUTE:
            found(self.gateway.delete_method, *MISSING, **self._where(change))
            return
        if change.kind == RESPONSE:
            found(self.gateway.delete_gateway_response, *MISSING, restApiId=self.api, responseType=change.name)
            return
        identifier = self.ids.pop((change.kind, change.name))
        if change.kind == RESOURCE:
            found(self.gateway.delete_resource, *MISSING, restApiId=self.api, resourceId=identifier)
        elif change.kind == KEY:
            found(self.gateway.delete_api_key, *MISSING, apiKey=identifier)
        elif change.kind == API:
            found(self.gateway.delete_rest_api, *MISSING, restApiId=identifier)
        else:
            self._delete_plan(identifier, change)

    def _delete_plan(self, identifier: str, change: Change) -> None:
        if change.before["stage"]:
            operation = {"op": "remove", "path": "/apiStages", "value": f"{self.api}:{change.before['stage']}"}
            self.gateway.update_usage_plan(usagePlanId=identifier, patchOperations=[operation])
        found(self.gateway.delete_usage_plan, *MISSING, usagePlanId=identifier)


def _replace(path: str, value: str) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": value}


def _throttle_operations(change: Change) -> list[dict[str, str]]:
    paths = {"rate_limit": "/throttle/rateLimit", "burst_limit": "/throttle/burstLimit"}
    limits = {name: change.after[name] for name in paths if name in change.after}
    if limits and all(value is None for value in limits.values()):
        return [{"op": "remove", "path": "/throttle"}]
    return [_replace(paths[name], str(value)) for name, value in limits.items() if value is not None]
