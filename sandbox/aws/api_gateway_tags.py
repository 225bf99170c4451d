"""Tags of API Gateway's resources: what TagResource sets is what the resource itself shows (ministack keeps two books).

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ministack.services import apigateway_v1

__all__ = ["install"]

Answer = tuple[int, dict[str, str], bytes]

_ARN = re.compile(r"arn:[^:]+:apigateway:[^:]*::/(restapis|apikeys|usageplans)/([^/]+)(?:/stages/([^/]+))?")


def install() -> None:
    """Replace ministack's three tag actions for the resources known here; once in a process."""
    apigateway_v1._get_v1_tags = _for_records(apigateway_v1._get_v1_tags, _get)
    apigateway_v1._tag_v1_resource = _for_records(apigateway_v1._tag_v1_resource, _tag)
    apigateway_v1._untag_v1_resource = _for_records(apigateway_v1._untag_v1_resource, _untag)


def _for_records(action: Callable[..., Answer], own: Callable[..., Answer]) -> Callable[..., Answer]:
    """The own action on the record of an ARN; ministack's for an ARN of anything else."""

    def act(resource_arn: str, *arguments: Any) -> Answer:
        record = _record(resource_arn)
        return action(resource_arn, *arguments) if record is None else own(record, *arguments)

    return act


def _record(arn: str) -> dict[str, Any] | None:
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    kind, key, stage = match.groups()
    if stage is not None:
        stages: dict[str, dict[str, Any]] = apigateway_v1._stages_v1.get(key, {})
        return stages.get(stage)
    stores = {
        "restapis": apigateway_v1._rest_apis,
        "apikeys": apigateway_v1._api_keys,
        "usageplans": apigateway_v1._usage_plans,
    }
    record: dict[str, Any] | None = stores[kind].get(key)
    return record


def _get(record: dict[str, Any]) -> Answer:
    answer: Answer = apigateway_v1._v1_response({"tags": record["tags"]})
    return answer


def _tag(record: dict[str, Any], request: dict[str, Any]) -> Answer:
    record["tags"] = {**record["tags"], **request.get("tags", {})}
    return 204, {}, b""


def _untag(record: dict[str, Any], keys: list[str]) -> Answer:
    record["tags"] = {key: value for key, value in record["tags"].items() if key not in keys}
    return 204, {}, b""
