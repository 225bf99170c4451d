#!/usr/bin/python
# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: task_table
short_description: Make, update or delete the DynamoDB table of all tasks
version_added: 0.1.0
author: The stable_diffusion.eks developers (@stable-diffusion-eks)
description:
  - Makes a table with the key C(tenant) and C(id), billed by request, whose rows expire by their attribute
    C(expires_at), with point-in-time recovery and deletion protection on wish.
  - Its indexes C(by_uid) and C(by_status) list a tenant's tasks by time; C(due) holds those that somebody has to come
    back to. An index that an older table lacks is added in place, one after the other.
  - Works in check mode also where there is no such table yet.
  - Needs the actions C(dynamodb:DescribeTable), C(dynamodb:DescribeTimeToLive), C(dynamodb:DescribeContinuousBackups),
    C(dynamodb:ListTagsOfResource), C(dynamodb:CreateTable), C(dynamodb:UpdateTable), C(dynamodb:UpdateTimeToLive),
    C(dynamodb:UpdateContinuousBackups), C(dynamodb:TagResource), C(dynamodb:UntagResource), C(dynamodb:DeleteTable).
options:
  name:
    description: Name of the table.
    type: str
    required: true
  state:
    description: Whether the table shall exist. A protected table is not deleted.
    type: str
    choices: [present, absent]
    default: present
  point_in_time_recovery:
    description: Whether the table can be restored to any second of the last 35 days.
    type: bool
    default: true
  deletion_protection:
    description: Whether AWS refuses to delete the table.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for each step to take effect; an index of a large table takes its time to fill.
    type: int
    default: 300
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.tags
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Returns the ARN that the table would have.
    support: full
  diff_mode:
    description: Shows every property that differs.
    support: full
"""

EXAMPLES = r"""
- name: Make the task table
  stable_diffusion.eks.task_table:
    name: sd-tasks
    tags:
      team: images
"""

RETURN = r"""
arn:
  description: ARN of the table.
  returned: always
  type: str
  sample: arn:aws:dynamodb:us-east-1:123456789012:table/sd-tasks
changes:
  description: What was changed, or would be, one line each.
  returned: always
  type: list
  elements: str
  sample: [create table sd-tasks]
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    TAGS_SPEC,
    Result,
    account,
    client,
    doing,
    found,
    run,
    tag_changes,
    tags_after,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import GONE, Waiter, wait

KEY = ["tenant", "id"]
EXPIRY = "expires_at"
# What a list tells of a task; answers, which may be large, are not among it.
LISTED = [
    "attempt",
    "body_digest",
    "cancel",
    "deadline",
    "expires_at",
    "progress",
    "published",
    "runtime",
    "status",
    "uid",
    "updated_at",
]
INDEXES = {
    "by_status": {"key": ["by_status", "created_at"], "holds": LISTED},
    "by_uid": {"key": ["by_uid", "created_at"], "holds": LISTED},
    "due": {"key": ["due_shard", "due_at"], "holds": []},
}
NUMBERS = ("created_at", "due_at")
ON_DEMAND = "PAY_PER_REQUEST"
MISSING = ("ResourceNotFoundException",)

ACTIVE = Waiter(
    operation="describe_table",
    state="Table.TableStatus",
    until=("ACTIVE",),
    failed=("DELETING", "ARCHIVED"),
    missing=MISSING,
)
# The table is active again before its new index is.
INDEXED = Waiter(
    operation="describe_table",
    state="[Table.TableStatus, Table.GlobalSecondaryIndexes[].IndexStatus][] | [?@ != 'ACTIVE'] | [0] || 'ACTIVE'",
    until=("ACTIVE",),
    missing=MISSING,
)
DELETED = Waiter(operation="describe_table", state="Table.TableStatus", until=(GONE,), missing=MISSING)
SETTLED = Waiter(
    operation="describe_table",
    state="Table.TableStatus",
    until=("ACTIVE", "ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS", GONE),
    missing=MISSING,
)
# Right after a table's creation its backups can't be set yet.
BACKUPS_ENABLED = Waiter(
    operation="describe_continuous_backups",
    state="ContinuousBackupsDescription.ContinuousBackupsStatus",
    until=("ENABLED",),
    missing=("TableNotFoundException",),
)


def settled(dynamodb: Any, name: str, deadline: float) -> None:
    """See through what an earlier run began: a table that comes or goes answers no further question."""
    wait(dynamodb, SETTLED, f"table {name}", deadline, TableName=name)


def read(dynamodb: Any, name: str, arn: str) -> dict[str, Any] | None:
    """The table as it is, or None."""
    with doing(f"look at table {name}"):
        answer = found(dynamodb.describe_table, *MISSING, TableName=name)
        if answer is None or answer["Table"]["TableStatus"] == "DELETING":
            return None
        expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        tags = dynamodb.list_tags_of_resource(ResourceArn=arn).get("Tags", ())
    table = answer["Table"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    return {
        "key": _key_of(table),
        "indexes": {
            index["IndexName"]: {
                "key": _key_of(index),
                "holds": sorted(index["Projection"].get("NonKeyAttributes", ())),
            }
            for index in table.get("GlobalSecondaryIndexes", ())
            if index["IndexName"] in INDEXES
        },
        "billing": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "deletion_protection": table.get("DeletionProtectionEnabled", False),
        "expiry": expiry.get("AttributeName") if expiry["TimeToLiveStatus"].startswith("ENABL") else None,
        "point_in_time_recovery": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


def _key_of(description: Mapping[str, Any]) -> list[str]:
    return [part["AttributeName"] for part in sorted(description["KeySchema"], key=lambda part: part["KeyType"])]


def plan(name: str, current: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[Change]:
    """The change from current to wanted; raises BadInput for what DynamoDB can't change."""
    changes = compare("table", name, current, wanted)
    for change in changes:
        if change.action == "update" and "key" in change.after:
            raise BadInput(f"table {name} has the key {current['key']}, which DynamoDB can't change to {KEY}")
        if change.action == "update" and "indexes" in change.after:
            for index, definition in (current or {})["indexes"].items():
                if definition != change.after["indexes"][index]:
                    raise BadInput(f"table {name} has another index called {index}: delete that first")
        if change.action == "update" and "expiry" in change.after and current["expiry"]:
            raise BadInput(f"table {name} lets rows expire by {current['expiry']}, not by {EXPIRY}: disable that first")
        if change.action == "delete" and current["deletion_protection"]:
            raise BadInput(f"table {name} is protected against deletion: set deletion_protection to false first")
    return changes


def apply(dynamodb: Any, arn: str, change: Change, deadline: float) -> None:
    """Make the one change and wait until it holds."""
    name, after = change.name, change.after
    if change.action == "delete":
        with doing(str(change)):
            found(dynamodb.delete_table, *MISSING, TableName=name)
        wait(dynamodb, DELETED, change.key, deadline, TableName=name)
        return
    with doing(str(change)):
        if change.action == "create":
            _create(dynamodb, name, after)
        else:
            _update(dynamodb, arn, change)
    wait(dynamodb, ACTIVE, change.key, deadline, TableName=name)
    if change.action == "update" and "indexes" in after:
        _add_indexes(dynamodb, change, deadline)
    if "expiry" in after:
        with doing(f"let rows of table {name} expire"):
            dynamodb.update_time_to_live(
                TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": after["expiry"]}
            )
    # Only where it differs; a new table starts without.
    if "point_in_time_recovery" in after and (change.before or after["point_in_time_recovery"]):
        wait(dynamodb, BACKUPS_ENABLED, f"backups of {change.key}", deadline, TableName=name)
        with doing(f"set point-in-time recovery of table {name}"):
            dynamodb.update_continuous_backups(
                TableName=name,
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": after["point_in_time_recovery"]},
            )


def _create(dynamodb: Any, name: str, after: Mapping[str, Any]) -> None:
    dynamodb.create_table(
        TableName=name,
        KeySchema=_schema(KEY),
        AttributeDefinitions=_definitions(KEY, *(index["key"] for index in after["indexes"].values())),
        GlobalSecondaryIndexes=[_index(index, definition) for index, definition in after["indexes"].items()],
        BillingMode=after["billing"],
        DeletionProtectionEnabled=after["deletion_protection"],
        Tags=_tag_list(after.get("tags", {})),
    )


def _add_indexes(dynamodb: Any, change: Change, deadline: float) -> None:
    """DynamoDB makes one index at a time."""
    name = change.name
    for index, definition in change.after["indexes"].items():
        if index in change.before["indexes"]:
            continue
        with doing(f"add index {index} to table {name}"):
            dynamodb.update_table(
                TableName=name,
                AttributeDefinitions=_definitions(KEY, definition["key"]),
                GlobalSecondaryIndexUpdates=[{"Create": _index(index, definition)}],
            )
        wait(dynamodb, INDEXED, f"index {index} of {change.key}", deadline, TableName=name)


def _index(name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    projection = {"ProjectionType": "KEYS_ONLY"}
    if definition["holds"]:
        projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": definition["holds"]}
    return {"IndexName": name, "KeySchema": _schema(definition["key"]), "Projection": projection}


def _schema(key: list[str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(key, ("HASH", "RANGE"), strict=True)]


def _definitions(*keys: list[str]) -> list[dict[str, str]]:
    names = dict.fromkeys(name for key in keys for name in key)
    return [{"AttributeName": name, "AttributeType": "N" if name in NUMBERS else "S"} for name in names]


def _update(dynamodb: Any, arn: str, change: Change) -> None:
    after = change.after
    names = {"billing": "BillingMode", "deletion_protection": "DeletionProtectionEnabled"}
    settings = {names[key]: value for key, value in after.items() if key in names}
    if settings:
        dynamodb.update_table(TableName=change.name, **settings)
    if "tags" in after:
        added, removed = tag_changes(change.before["tags"], after["tags"], True)
        if added:
            dynamodb.tag_resource(ResourceArn=arn, Tags=_tag_list(added))
        if removed:
            dynamodb.untag_resource(ResourceArn=arn, TagKeys=removed)


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def perform(module: Any) -> Result:
    """Look, compare, and apply unless in check mode."""
    params = module.params
    name = params["name"]
    arn = account(module).arn("dynamodb", f"table/{name}")
    dynamodb = client(module, "dynamodb")
    settled(dynamodb, name, params["wait_timeout"])
    current = read(dynamodb, name, arn)
    wanted = None
    if params["state"] == "present":
        wanted = {
            "key": KEY,
            "indexes": INDEXES,
            "billing": ON_DEMAND,
            "expiry": EXPIRY,
            "deletion_protection": params["deletion_protection"],
            "point_in_time_recovery": params["point_in_time_recovery"],
        }
        if params["tags"] is not None:
            wanted["tags"] = tags_after((current or {}).get("tags", {}), params["tags"], params["purge_tags"])
    changes = plan(name, current, wanted)
    if not module.check_mode:
        for change in changes:
            apply(dynamodb, arn, change, params["wait_timeout"])
    return Result(changes=changes, facts={"arn": arn})


def main() -> None:
    """Entry point."""
    run(
        perform,
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "point_in_time_recovery": {"type": "bool", "default": True},
            "deletion_protection": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 300},
            **TAGS_SPEC,
        },
    )


if __name__ == "__main__":
    main()
