#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rest_api
short_description: An API Gateway REST API in front of one Lambda function
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes a regional REST API whose routes all go to one Lambda function, with API keys, a usage plan, error responses
    and a stage. One call lists what there is and makes only what differs.
  - Deploys only when something that a deployment holds has changed, and forgets former deployments.
  - A key whose value changes is deleted and made again; neither diff nor result ever shows a key's value.
  - The function's own policy must let API Gateway call it (M(amazon.aws.lambda_policy), with RV(execution_arn)).
  - Needs the actions C(apigateway:GET), C(apigateway:POST), C(apigateway:PUT), C(apigateway:PATCH) and
    C(apigateway:DELETE) on C(/restapis), C(/apikeys), C(/usageplans) and C(/tags), and what lies below them.
options:
  name:
    description: Name of the API, of which there must be only one, and of its usage plan; its keys' names begin with it.
    type: str
    required: true
  state:
    description: Whether the API shall exist. Its keys and usage plan go with it.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: What the API is for.
    type: str
    default: ""
  stage:
    description: Name of the stage.
    type: str
    default: prod
  function_arn:
    description: The function that answers. It needn't exist yet.
    type: str
  routes:
    description: What the API takes; everything else is answered by the gateway itself.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path, such as V(/v1/tasks/{id}).
        type: str
        required: true
      methods:
        description: The HTTP methods.
        type: list
        elements: str
        choices: [ANY, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT]
        required: true
      api_key_required:
        description: Whether a request needs a key.
        type: bool
        default: true
  gateway_responses:
    description: How the gateway itself answers. Types that are not listed are reset to AWS's own answers.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description: The type, such as V(THROTTLED).
        type: str
        required: true
      status_code:
        description: The HTTP status.
        type: int
        required: true
      body:
        description: The JSON body; its strings may hold variables such as V($context.error.message).
        type: dict
        required: true
  api_keys:
    description: The keys that the usage plan admits. Without any there is no usage plan.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the key; API Gateway calls it C(<name of the API>-<name>).
        type: str
        required: true
      value:
        description: The key itself, 20 to 128 characters.
        type: str
        required: true
  rate_limit:
    description: Requests a second that each key may make over time; with O(burst_limit).
    type: float
  burst_limit:
    description: Requests that each key may make at once; with O(rate_limit).
    type: int
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.tags
  - amazon.aws.boto3
attributes:
  check_mode:
    description: An API that is not there yet is returned by its name instead of its id.
    support: full
  diff_mode:
    description: Shows every property that differs; of keys only a digest.
    support: full
"""

EXAMPLES = r"""
- name: One route, one key
  stable_diffusion.eks.rest_api:
    name: sd
    function_arn: arn:aws:lambda:us-east-1:123456789012:function:sd-intake
    routes:
      - path: /v1alpha1
        methods: [POST]
    gateway_responses:
      - type: THROTTLED
        status_code: 429
        body: {error: {code: throttled, message: $context.error.message}}
    api_keys:
      - name: shop
        value: "{{ vault_shop_key }}"
    rate_limit: 20
    burst_limit: 100
"""

RETURN = r"""
changes:
  description: What was changed, or would be, one line each and in order.
  returned: always
  type: list
  elements: str
  sample: [create rest api sd, create resource /v1alpha1, create route POST /v1alpha1, create stage prod]
api_id:
  description: The API's id.
  returned: when O(state=present)
  type: str
  sample: a1b2c3d4e5
url:
  description: Where the API is reached, without a slash at the end.
  returned: when O(state=present)
  type: str
  sample: https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/prod
execution_arn:
  description: What stands for all routes of all stages in the function's policy.
  returned: when O(state=present)
  type: str
  sample: arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/*
"""

from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import rest_api_layout
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    TAGS_SPEC,
    Account,
    Result,
    account,
    canonical,
    client,
    run,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.rest_api_build import Builder
from ansible_collections.stable_diffusion.eks.plugins.module_utils.rest_api_layout import Settings
from ansible_collections.stable_diffusion.eks.plugins.module_utils.rest_api_read import read

METHODS = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "description": {"type": "str", "default": ""},
    "stage": {"type": "str", "default": "prod"},
    "function_arn": {"type": "str"},
    "routes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "methods": {"type": "list", "elements": "str", "choices": METHODS, "required": True},
            "api_key_required": {"type": "bool", "default": True},
        },
    },
    "gateway_responses": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "type": {"type": "str", "required": True},
            "status_code": {"type": "int", "required": True},
            "body": {"type": "dict", "required": True},
        },
    },
    "api_keys": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "value": {"type": "str", "required": True, "no_log": True},
        },
    },
    "rate_limit": {"type": "float"},
    "burst_limit": {"type": "int"},
    **TAGS_SPEC,
}


def settings(params: dict[str, Any]) -> Settings:
    """The operator's wishes."""
    return Settings(
        name=params["name"],
        stage=params["stage"],
        function_arn=params["function_arn"] or "",
        routes=params["routes"],
        responses={
            response["type"]: {"status_code": str(response["status_code"]), "template": canonical(response["body"])}
            for response in params["gateway_responses"]
        },
        keys={key["name"]: key["value"] for key in params["api_keys"]},
        rate_limit=params["rate_limit"],
        burst_limit=params["burst_limit"],
        description=params["description"],
        tags=params["tags"],
        purge_tags=params["purge_tags"],
    )


def perform(module: Any) -> Result:
    """List, plan, apply unless in check mode, and say what there is."""
    wishes = settings(module.params)
    rest_api_layout.check(wishes)
    where = account(module)
    gateway = client(module, "apigateway")
    values = {wishes.key(name): value for name, value in wishes.keys.items()}
    current, ids = read(gateway, wishes.name, wishes.stage, values)
    present = module.params["state"] == "present"
    changes = rest_api_layout.plan(current, rest_api_layout.wanted(wishes, current) if present else {})
    if not module.check_mode:
        Builder(gateway, wishes.name, where, ids, values).apply(changes)
    api = ids.get((rest_api_layout.API, wishes.name), wishes.name)
    return Result(changes=changes, facts=facts(where, api, wishes.stage) if present else {})


def facts(where: Account, api: str, stage: str) -> dict[str, Any]:
    """What the module returns about the API."""
    suffix = "amazonaws.com.cn" if where.partition == "aws-cn" else "amazonaws.com"
    return {
        "api_id": api,
        "url": f"https://{api}.execute-api.{where.region}.{suffix}/{stage}",
        "execution_arn": where.arn("execute-api", f"{api}/*"),
    }


def main() -> None:
    """Entry point."""
    run(
        perform,
        ARGUMENTS,
        required_if=[("state", "present", ["function_arn"])],
        required_together=[("rate_limit", "burst_limit")],
    )


if __name__ == "__main__":
    main()
