#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: answer_subscribers
short_description: Who gets the answers of an SNS topic
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes the subscriptions of the output topic equal to a list, in one call. A subscriber that names no endpoint gets
    an SQS queue of its own, C(<name>-answers-<subscriber>).
  - Subscribers that are not listed are left alone unless O(prune).
  - An HTTP(S) endpoint must confirm its subscription by itself; until then it is returned as C(pending), and a change
    of its filter waits for a later run.
  - Answers that SNS could not deliver (an endpoint that stayed down through all of SNS's retries, or refused with
    another status than 429 of the 4xx) go to C(<name>-answers-<subscriber>-dlq), where O(subscribers[].dead_letter).
  - Needs the actions C(sqs:ListQueues), C(sqs:GetQueueAttributes), C(sqs:ListQueueTags), C(sqs:CreateQueue),
    C(sqs:SetQueueAttributes), C(sqs:TagQueue), C(sqs:UntagQueue), C(sqs:DeleteQueue),
    C(sns:ListSubscriptionsByTopic), C(sns:GetSubscriptionAttributes), C(sns:Subscribe),
    C(sns:SetSubscriptionAttributes) and C(sns:Unsubscribe).
options:
  name:
    description: What the names of the queues start with; also the value of the tag that marks them.
    type: str
    required: true
  topic:
    description: The topic that carries the answers, by name or ARN.
    type: str
    required: true
  state:
    description: With V(absent), all queues that this module made for O(name) go, with their subscriptions.
    type: str
    choices: [present, absent]
    default: present
  subscribers:
    description: Who gets answers.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The subscriber's name, lower-case letters, digits and hyphens.
        type: str
        required: true
      protocol:
        description: How answers are delivered.
        type: str
        choices: [sqs, http, https]
        default: sqs
      endpoint:
        description: A URL, or for SQS the ARN of a queue that lets the topic send. Without it, SQS has a queue made.
        type: str
      raw:
        description:
          - Whether the answer comes as it is, instead of in the envelope of SNS.
          - SNS signs its envelope; an HTTP(S) endpoint can't tell who sent a raw answer.
        type: bool
        default: false
      filter:
        description: Which answers; all if empty. An answer must fit each key that is given.
        type: dict
        suboptions:
          tenant:
            description: Only answers to these tenants.
            type: list
            elements: str
          runtime:
            description: Only answers of these runtimes.
            type: list
            elements: str
          status:
            description: Only answers of this status.
            type: list
            elements: str
            choices: [completed, failed, cancelled]
      dead_letter:
        description:
          - Whether answers that can't be delivered are kept in a queue of their own.
          - Without it, they are for V(http) and V(https), and not for V(sqs).
        type: bool
  visibility_timeout:
    description: Seconds for which a received answer stays hidden in a queue that this module makes.
    type: int
    default: 60
  message_retention:
    description: Seconds for which such a queue keeps an answer.
    type: int
    default: 1209600
  prune:
    description:
      - Whether to remove every subscription of the topic that is not listed, and queues of former subscribers.
    type: bool
    default: false
  force:
    description: Whether to delete queues that still hold messages; otherwise they stay and are returned as RV(kept).
    type: bool
    default: false
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
- name: A queue for the shop, and failures to a chat bot
  stable_diffusion.eks.answer_subscribers:
    name: sd
    topic: sd-output
    subscribers:
      - name: shop
        raw: true
        filter:
          tenant: [shop]
      - name: bot
        protocol: https
        endpoint: https://bot.example.com/answers
        filter:
          status: [failed]
"""

RETURN = r"""
changes:
  description: What was changed, or would be, one line each and in order.
  returned: always
  type: list
  elements: str
  sample: [create queue sd-answers-shop, create subscription shop]
subscribers:
  description: The subscribers, by name; C(queue_url) and C(dead_letter_queue_url) only where there are such queues.
  returned: when O(state=present)
  type: dict
  sample:
    shop:
      protocol: sqs
      endpoint: arn:aws:sqs:us-east-1:123456789012:sd-answers-shop
      queue_url: https://sqs.us-east-1.amazonaws.com/123456789012/sd-answers-shop
      dead_letter_queue_url: null
      pending: false
kept:
  description: Queues that would have been deleted, but hold messages.
  returned: always
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils import queues, subscriptions
from ansible_collections.stable_diffusion.eks.plugins.module_utils.answer_subscribers import (
    Settings,
    facts,
    normalise,
    plan,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import TAGS_SPEC, Result, account, client, run

STRINGS = {"type": "list", "elements": "str"}
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "topic": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "subscribers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "protocol": {"type": "str", "choices": ["sqs", "http", "https"], "default": "sqs"},
            "endpoint": {"type": "str"},
            "raw": {"type": "bool", "default": False},
            "filter": {
                "type": "dict",
                "options": {
                    "tenant": STRINGS,
                    "runtime": STRINGS,
                    "status": {**STRINGS, "choices": ["completed", "failed", "cancelled"]},
                },
            },
            "dead_letter": {"type": "bool"},
        },
    },
    "visibility_timeout": {"type": "int", "default": 60},
    "message_retention": {"type": "int", "default": 1209600},
    "prune": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    **TAGS_SPEC,
}


def perform(module: Any) -> Result:
    """Normalise, list, plan, apply unless in check mode, and say what there is."""
    params = module.params
    where = account(module)
    settings = Settings(
        name=params["name"],
        topic_arn=subscriptions.topic_arn(where, params["topic"]),
        account=where,
        retention=params["message_retention"],
        visibility=params["visibility_timeout"],
        tags=params["tags"],
        purge_tags=params["purge_tags"],
        prune=params["prune"],
        force=params["force"],
    )
    subscribers = normalise(settings, params["subscribers"]) if params["state"] == "present" else None
    sqs, sns = client(module, "sqs"), client(module, "sns")
    current = queues.read(sqs, settings.prefix, tags=True)
    subscribed = subscriptions.read(sns, settings.topic_arn)
    todo = plan(settings, subscribers, current, subscribed)

    urls = {name: queue.url for name, queue in current.items()}
    if not module.check_mode:
        subscriptions.apply_deletions(sns, settings.topic_arn, todo.changes)
        urls.update(queues.apply(sqs, current, todo.changes))
        subscriptions.apply(sns, settings.topic_arn, todo.changes)

    found: dict[str, Any] = {"kept": todo.kept}
    if subscribers is not None:
        endpoint = f"{sqs.meta.endpoint_url}/{settings.account.id}"
        predicted = {name: f"{endpoint}/{name}" for s in subscribers for name in s.queues}
        found["subscribers"] = facts(subscribers, {**predicted, **urls}, subscribed)
    return Result(changes=todo.changes, facts=found)


def main() -> None:
    """Entry point."""
    run(perform, ARGUMENTS)


if __name__ == "__main__":
    main()
