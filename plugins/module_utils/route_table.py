# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""The route table: an item of the task table that tells intake which runtimes there are."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import canonical, doing, found
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare

KEY = {"tenant": {"S": "_system"}, "id": {"S": "routes"}}
KIND = "route table"
NO_TABLE = ("ResourceNotFoundException",)


@dataclass(frozen=True, kw_only=True)
class Published:
    """The route table as it is. at: when it was written, seconds since the epoch; 0 where that is not known."""

    routes: Mapping[str, Any]
    at: float = 0.0


def read(dynamodb: Any, table: str) -> Published | None:
    """The route table in that task table; None if there is no item or no table (yet)."""
    with doing(f"read the route table in {table}"):
        answer = found(dynamodb.get_item, *NO_TABLE, TableName=table, Key=KEY, ConsistentRead=True)
    item = (answer or {}).get("Item")
    if item is None:
        return None
    return Published(routes=json.loads(item["routes"]["S"]), at=float(item.get("written_at", {}).get("N", 0)))


def plan(table: str, current: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[Change]:
    """The change to the wanted route table; None as wanted removes it."""
    return compare(KIND, table, current, wanted)


def apply(dynamodb: Any, changes: list[Change]) -> None:
    """Write or remove the item, for the change of this kind."""
    for change in changes:
        if change.kind != KIND:
            continue
        with doing(f"write the route table in {change.name}"):
            if change.action == "delete":
                found(dynamodb.delete_item, *NO_TABLE, TableName=change.name, Key=KEY)
            else:
                written_at = {"N": str(int(time.time()))}
                item = {**KEY, "routes": {"S": canonical(change.after)}, "written_at": written_at}
                dynamodb.put_item(TableName=change.name, Item=item)
