#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: topic
short_description: Make, update or delete an SNS topic
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes a standard topic whose policy lets only its account use it, and only over TLS. Subscriptions are left alone.
  - Works in check mode also where there is no such topic yet.
  - Needs the actions C(sns:GetTopicAttributes), C(sns:ListTagsForResource), C(sns:CreateTopic),
    C(sns:SetTopicAttributes), C(sns:TagResource), C(sns:UntagResource) and C(sns:DeleteTopic).
options:
  name:
    description: Name of the topic.
    type: str
    required: true
  state:
    description: Whether the topic shall exist. Its subscriptions go with it.
    type: str
    choices: [present, absent]
    default: present
  kms_key_id:
    description: The KMS key that encrypts messages at rest, V(alias/aws/sns) for that of the account; empty for none.
    type: str
    default: alias/aws/sns
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.tags
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Returns the ARN that the topic would have.
    support: full
  diff_mode:
    description: Shows every property that differs.
    support: full
"""

EXAMPLES = r"""
- name: Make the topic that takes requests
  stable_diffusion.eks.topic:
    name: sd-input
    tags:
      team: images
"""

RETURN = r"""
arn:
  description: ARN of the topic.
  returned: always
  type: str
  sample: arn:aws:sns:us-east-1:123456789012:sd-input
changes:
  description: What was changed, or would be, one line each.
  returned: always
  type: list
  elements: str
  sample: [create topic sd-input]
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    TAGS_SPEC,
    Account,
    Result,
    account,
    canonical,
    client,
    doing,
    found,
    parsed,
    run,
    tag_changes,
    tags_after,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare

NOT_FOUND = ("NotFound", "NotFoundException")
# What AWS's default policy grants to the topic's account, but for changes of the policy by others.
ACTIONS = (
    "sns:DeleteTopic",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:Publish",
    "sns:SetTopicAttributes",
    "sns:Subscribe",
)


def policy(where: Account, arn: str) -> dict[str, Any]:
    """The account may do what its IAM policies allow; nobody may publish without TLS."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AccountOnly",
                "Effect": "Allow",
                "Principal": {"AWS": where.root},
                "Action": list(ACTIONS),
                "Resource": arn,
            },
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }


def read(sns: Any, arn: str) -> dict[str, Any] | None:
    """The topic as it is, or None."""
    with doing(f"look at topic {arn}"):
        answer = found(sns.get_topic_attributes, *NOT_FOUND, TopicArn=arn)
        if answer is None:
            return None
        tags = sns.list_tags_for_resource(ResourceArn=arn)["Tags"]
    attributes = answer["Attributes"]
    return {
        "Policy": parsed(attributes.get("Policy")),
        "KmsMasterKeyId": attributes.get("KmsMasterKeyId", ""),
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


def apply(sns: Any, arn: str, current: Mapping[str, Any] | None, change: Change) -> None:
    """Make the one change."""
    with doing(str(change)):
        if change.action == "delete":
            sns.delete_topic(TopicArn=arn)
            return
        properties = dict(change.after)
        tags = properties.pop("tags", None)
        attributes = {name: _text(value) for name, value in properties.items()}
        if change.action == "create":
            sns.create_topic(Name=change.name, Attributes=attributes, Tags=_tag_list(tags or {}))
            return
        for name, value in attributes.items():
            sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)
        if tags is not None:
            added, removed = tag_changes((current or {})["tags"], tags, True)
            if added:
                sns.tag_resource(ResourceArn=arn, Tags=_tag_list(added))
            if removed:
                sns.untag_resource(ResourceArn=arn, TagKeys=removed)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def perform(module: Any) -> Result:
    """Look, compare, and apply unless in check mode."""
    params = module.params
    where = account(module)
    arn = where.arn("sns", params["name"])
    sns = client(module, "sns")
    current = read(sns, arn)
    wanted = None
    if params["state"] == "present":
        wanted = {"Policy": policy(where, arn), "KmsMasterKeyId": params["kms_key_id"]}
        if params["tags"] is not None:
            wanted["tags"] = tags_after((current or {}).get("tags", {}), params["tags"], params["purge_tags"])
    changes = compare("topic", params["name"], current, wanted)
    if not module.check_mode:
        for change in changes:
            apply(sns, arn, current, change)
    return Result(changes=changes, facts={"arn": arn})


def main() -> None:
    """Entry point."""
    run(
        perform,
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "kms_key_id": {"type": "str", "default": "alias/aws/sns", "no_log": False},
            **TAGS_SPEC,
        },
    )


if __name__ == "__main__":
    main()
