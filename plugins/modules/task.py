#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: task
short_description: Submit a task and wait for its answer
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Sends a request to the API that the role P(stable_diffusion.eks.intake#role) makes and, if asked to, waits for the
    task's answer. Speaks only HTTP, needs no AWS credentials and no Python package besides ansible-core.
  - A task is taken in once for each id. The same id with the same body changes nothing and starts nothing; with another
    body it is refused.
  - Fails if the API refuses the request, and if the task that is waited for ends as anything but V(completed).
notes:
  - Whether the task was there before is asked with C(GET /v1/tasks/{id}). On an API without it, the module always says
    that it changed something, in check mode too, and O(wait) fails.
  - Check mode sends no task and waits for none; it does not tell whether the API would accept the body.
options:
  url:
    description: Where the API's stage is reached, such as V(https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/prod).
    type: str
    required: true
  api_key:
    description: The tenant's API key.
    type: str
    required: true
  body:
    description: The request, as the route takes it.
    type: dict
    required: true
  route:
    description: The route. Without it, V(v1alpha2) for a O(body) with the key C(task), V(v1alpha1) for any other.
    type: str
    choices: [v1alpha1, v1alpha2]
  wait:
    description: Whether to wait until the task has ended.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for that; a GPU node that has to start first takes minutes.
    type: int
    default: 900
  timeout:
    description: Seconds that one HTTP request may take.
    type: int
    default: 30
  validate_certs:
    description: Whether to check the API's TLS certificate.
    type: bool
    default: true
attributes:
  check_mode:
    description: Tells whether there is a task of that id already.
    support: partial
    details: The API is the only one who knows whether it would accept the body.
  diff_mode:
    description: Shows a new task's id.
    support: full
seealso:
  - plugin: stable_diffusion.eks.answer_subscribers
    plugin_type: module
"""

EXAMPLES = r"""
- name: Draw a dog
  stable_diffusion.eks.task:
    url: "{{ intake_url }}"
    api_key: "{{ vault_sd_shop_api_key }}"
    body:
      task:
        metadata:
          id: dog-1
          runtime: sd15
          tasktype: text-to-image
          prefix: outputs
        content:
          prompt: A dog
          steps: 20
    wait: true
  register: dog

- name: Say where it is
  ansible.builtin.debug:
    var: dog.answer.image_url
"""

RETURN = r"""
id:
  description: The task's id.
  returned: when the body has one
  type: str
  sample: dog-1
receipt:
  description: What the API answered to the request.
  returned: when the request was sent
  type: dict
  sample: {id: dog-1, runtime: sd15, output_location: "s3://sd-outputs-123456789012-us-east-1/shop/outputs/dog-1/"}
task:
  description: The task as the API shows it, without its answer.
  returned: when O(wait)
  type: dict
  sample: {id: dog-1, status: completed, runtime: sd15, attempts: 1}
status:
  description: How the task ended - V(completed), V(failed) or V(cancelled).
  returned: when O(wait)
  type: str
  sample: completed
answer:
  description: The task's answer, in the dialect that its runtime or the request asks for.
  returned: when O(wait)
  type: dict
  sample:
    id: dog-1
    status: completed
    image_url: ["s3://sd-outputs-123456789012-us-east-1/shop/outputs/dog-1/dog-1-1.png"]
error:
  description: What the API said of a request that it refused; C(field) is the dotted path of what is wrong.
  returned: when the API refused
  type: dict
  sample:
    status: 400
    code: invalid_request
    message: task.content.steps must be from 1 to 1000
    field: task.content.steps
"""

import json
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import Failure
from ansible_collections.stable_diffusion.eks.plugins.module_utils.task_api import (
    NoRoute,
    Refused,
    Reply,
    Send,
    TaskApi,
    reason_of,
    task_id_of,
)

ARGUMENTS = {
    "url": {"type": "str", "required": True},
    "api_key": {"type": "str", "required": True, "no_log": True},
    "body": {"type": "dict", "required": True},
    "route": {"type": "str", "choices": ["v1alpha1", "v1alpha2"]},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 900},
    "timeout": {"type": "int", "default": 30},
    "validate_certs": {"type": "bool", "default": True},
}


def sender(module: AnsibleModule) -> Send:
    """HTTP as ansible speaks it, with its proxies and certificates."""
    base = module.params["url"].rstrip("/")
    headers = {"content-type": "application/json", "x-api-key": module.params["api_key"]}

    def send(method: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        answer, info = fetch_url(
            module, base + path, data=data, headers=headers, method=method, timeout=module.params["timeout"]
        )
        # ansible reads the body of an error itself, and puts it there.
        content = info.get("body") or (answer.read() if answer else b"")
        return Reply(info["status"], content if isinstance(content, bytes) else content.encode(), info.get("msg", ""))

    return send


class Unanswered(Failure):
    """The task was sent, but waiting for it failed; result says what was done until then."""

    def __init__(self, reason: Failure, result: Mapping[str, Any]) -> None:
        super().__init__(str(reason))
        self.result = result


def perform(params: Mapping[str, Any], api: TaskApi, check_mode: bool) -> dict[str, Any]:
    """Submit, unless in check mode, and wait if asked to; raises Failure."""
    route = params["route"] or ("v1alpha2" if "task" in params["body"] else "v1alpha1")
    task_id = task_id_of(route, params["body"])
    known = None
    try:
        known = api.look(task_id) if task_id else None
    except NoRoute:
        if params["wait"]:
            raise Failure(
                "waiting needs GET /v1/tasks/{id}, which this API does not have; the task was not sent"
            ) from None
    result: dict[str, Any] = {"changed": known is None, "id": task_id}
    result["diff"] = {"before": {"task": known and task_id}, "after": {"task": task_id}}
    if check_mode:
        return result
    result["receipt"] = api.submit(route, params["body"])
    if not params["wait"] or task_id is None:
        return result
    try:
        task = api.wait(task_id, params["wait_timeout"])
    except Failure as error:
        raise Unanswered(error, result) from error
    return {**result, "answer": task.pop("answer", None), "task": task, "status": task["status"]}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    for name in ("timeout", "wait_timeout"):
        if module.params[name] < 1:
            module.fail_json(msg=f"{name} must be 1 second or more")
    if not module.params["url"].startswith(("http://", "https://")):
        module.fail_json(msg="url must begin with http:// or https://")
    try:
        result = perform(module.params, TaskApi(sender(module)), module.check_mode)
    except Refused as error:
        told = {"status": error.status, "code": error.code, "message": error.message, "field": error.field}
        module.fail_json(msg=str(error), error=told)
    except Unanswered as error:
        module.fail_json(msg=str(error), **error.result)
    except Failure as error:
        module.fail_json(msg=str(error))
    if result.get("status") not in (None, "completed"):
        reason = reason_of(result["answer"])
        module.fail_json(msg=f"the task {result['id']} ended as {result['status']}: {reason}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
