#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: queue_routing
short_description: One queue for each runtime behind an SNS topic, and the filters that choose among them
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes the queues of all runtimes equal to a list, in one call - for each entry a queue C(<name>-<runtime>),
    its dead-letter queue C(<name>-<runtime>-dlq) and a subscription to the topic; for what matches no entry the
    queue C(<name>-unrouted).
  - Each message with at least one attribute reaches exactly one queue. The attribute C(runtime) comes before
    C(tier), that before C(sd_model_checkpoint), that before the dynamic runtime. SNS itself delivers a message
    without any attribute to no subscription that has a filter.
  - The subscription of a runtime that is no longer listed is always removed, its queues only with O(prune).
  - No change loses a message. New queues and subscriptions come first, with filters that take what they took and what
    they shall take. After O(filter_settle) the filters take less, and the route table follows. After O(route_settle)
    the subscriptions of runtimes that are no longer listed go, and their queues. In between a message can reach two
    queues, C(<name>-unrouted) among them; by the task table only one of its copies is worked on.
  - Needs the actions C(sqs:ListQueues), C(sqs:GetQueueAttributes), C(sqs:ListQueueTags), C(sqs:CreateQueue),
    C(sqs:SetQueueAttributes), C(sqs:TagQueue), C(sqs:UntagQueue), C(sqs:DeleteQueue),
    C(sns:ListSubscriptionsByTopic), C(sns:GetSubscriptionAttributes), C(sns:Subscribe),
    C(sns:SetSubscriptionAttributes), C(sns:Unsubscribe), and with O(route_table) C(dynamodb:GetItem),
    C(dynamodb:PutItem), C(dynamodb:DeleteItem).
options:
  name:
    description: What the names of all queues start with; also the value of the tag that marks them.
    type: str
    required: true
  topic:
    description: The topic that feeds the queues, by name or ARN.
    type: str
    required: true
  state:
    description: With V(absent), all queues and subscriptions of O(name) go, whatever O(runtimes) lists.
    type: str
    choices: [present, absent]
    default: present
  runtimes:
    description:
      - All runtimes. Each has at most one of O(runtimes[].models), O(runtimes[].dynamic) and O(runtimes[].tier);
        one with none of them gets only the messages that name it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the runtime, at most 53 lower-case letters, digits and hyphens.
        type: str
        required: true
      models:
        description: File names of the models that only this runtime serves.
        type: list
        elements: str
        default: []
      dynamic:
        description: Whether it serves every model that no other runtime lists. Only one runtime can.
        type: bool
        default: false
      tier:
        description: The class of requests that it serves, whatever their model.
        type: str
      dialect:
        description: In which dialect it answers; only carried to the route table.
        type: str
  visibility_timeout:
    description: Seconds for which a received message stays hidden; the queue agent renews it while it works.
    type: int
    default: 300
  message_retention:
    description: Seconds for which a queue keeps a message.
    type: int
    default: 1209600
  max_receive_count:
    description: After how many receives SQS itself moves a message to the dead-letter queue.
    type: int
    default: 100
  route_table:
    description: Name of the task table, whose item C(_system)/C(routes) tells intake about the runtimes.
    type: str
  prune:
    description: Whether to delete the queues of runtimes that are no longer listed.
    type: bool
    default: false
  force:
    description: Whether to delete queues that still hold messages; otherwise they stay and are returned as RV(kept).
    type: bool
    default: false
  filter_settle:
    description:
      - Seconds that SNS may take to apply new and changed filters; AWS says up to 15 minutes.
      - For so long old and new filters overlap. Nothing waits where no filter comes to take less than before, as when
        everything is new.
    type: int
    default: 900
  route_settle:
    description:
      - Seconds for which an intake may still go by the route table that it read before, which for C(sd_agent.intake)
        is 30, and one request. For so long a runtime that is no longer listed gets messages after the route table was
        written.
    type: int
    default: 60
  wait:
    description:
      - Whether to wait for these times and finish. Otherwise the rest is returned as RV(pending) and the next run
        finishes it once the time is over, which it knows from a tag of the queue C(<name>-unrouted).
    type: bool
    default: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.tags
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Returns what would be made, with the ARNs and URLs that it would have.
    support: full
  diff_mode:
    description: Shows every attribute and filter that differs.
    support: full
"""

EXAMPLES = r"""
- name: Two models with a queue of their own, paying users, and one queue for every other model
  stable_diffusion.eks.queue_routing:
    name: sd
    topic: sd-input
    route_table: sd-tasks
    runtimes:
      - name: portrait
        models: [portrait-v2.safetensors, portrait-v3.safetensors]
      - name: paid
        tier: premium
      - name: other
        dynamic: true
    tags:
      team: images

- name: Take all of it away, messages included
  stable_diffusion.eks.queue_routing:
    name: sd
    topic: sd-input
    route_table: sd-tasks
    state: absent
    force: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be, one line each and in order.
  returned: always
  type: list
  elements: str
  sample: [create queue sd-other-dlq, create queue sd-other, create subscription sd-other, update route table sd-tasks]
phases:
  description: The order that the run found necessary - what may be done together, and after how many seconds.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: V(cover) adds coverage, V(switch) ends the overlap, V(remove) takes away what nothing names any more.
      type: str
    after:
      description: Seconds from the beginning of the run.
      type: int
    changes:
      description: One line each.
      type: list
      elements: str
  sample:
    - {name: cover, after: 0, changes: [create queue sd-b-dlq, create queue sd-b, create subscription sd-b]}
    - {name: switch, after: 900, changes: [narrow subscription sd-other, update route table sd-tasks]}
pending:
  description: Changes that are left for a later run, because O(wait=false).
  returned: always
  type: list
  elements: str
  sample: []
pending_until:
  description: From when on a run can make all of them (ISO 8601, UTC); null if there are none.
  returned: always
  type: str
  sample: '2026-01-31T12:00:00Z'
queues:
  description: The queues of each runtime, by its name.
  returned: when O(state=present)
  type: dict
  sample:
    other:
      name: sd-other
      url: https://sqs.us-east-1.amazonaws.com/123456789012/sd-other
      arn: arn:aws:sqs:us-east-1:123456789012:sd-other
      dlq_name: sd-other-dlq
      dlq_url: https://sqs.us-east-1.amazonaws.com/123456789012/sd-other-dlq
      dlq_arn: arn:aws:sqs:us-east-1:123456789012:sd-other-dlq
      filter_policy: {runtime: [other]}
unrouted:
  description: The queue of messages that match no runtime.
  returned: when O(state=present)
  type: dict
  sample:
    name: sd-unrouted
    url: https://sqs.us-east-1.amazonaws.com/123456789012/sd-unrouted
    arn: arn:aws:sqs:us-east-1:123456789012:sd-unrouted
kept:
  description: Queues that would have been deleted, but hold messages.
  returned: always
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import routing_rules, subscriptions
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import TAGS_SPEC, Result, account, run
from ansible_collections.stable_diffusion.eks.plugins.module_utils.queue_routing import Settings, facts
from ansible_collections.stable_diffusion.eks.plugins.module_utils.routing_run import World, carry_out

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "topic": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "runtimes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "models": {"type": "list", "elements": "str", "default": []},
            "dynamic": {"type": "bool", "default": False},
            "tier": {"type": "str"},
            "dialect": {"type": "str"},
        },
    },
    "visibility_timeout": {"type": "int", "default": 300},
    "message_retention": {"type": "int", "default": 1209600},
    "max_receive_count": {"type": "int", "default": 100},
    "route_table": {"type": "str"},
    "prune": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "filter_settle": {"type": "int", "default": 900},
    "route_settle": {"type": "int", "default": 60},
    "wait": {"type": "bool", "default": True},
    **TAGS_SPEC,
}


def perform(module: Any) -> Result:
    """Normalise, plan, apply unless in check mode, wait where that is needed, and say what there is."""
    params = module.params
    runtimes = routing_rules.normalise(params["runtimes"]) if params["state"] == "present" else None
    where = account(module)
    settings = Settings(
        name=params["name"],
        topic_arn=subscriptions.topic_arn(where, params["topic"]),
        account=where,
        visibility=params["visibility_timeout"],
        retention=params["message_retention"],
        max_receive_count=params["max_receive_count"],
        table=params["route_table"],
        tags=params["tags"],
        purge_tags=params["purge_tags"],
        prune=params["prune"],
        force=params["force"],
        filter_settle=params["filter_settle"],
        route_settle=params["route_settle"],
    )
    world = World(module, settings)
    changes, kept, order = carry_out(world, runtimes, check=module.check_mode, wait=params["wait"])
    found: dict[str, Any] = {"kept": kept, **order}
    if runtimes is not None:
        endpoint = f"{world.sqs.meta.endpoint_url}/{settings.account.id}"
        names = [change.name for change in changes if change.kind == "queue"]
        found.update(facts(settings, runtimes, {**{name: f"{endpoint}/{name}" for name in names}, **world.urls}))
    return Result(changes=changes, facts=found)


def main() -> None:
    """Entry point."""
    run(perform, ARGUMENTS)


if __name__ == "__main__":
    main()
