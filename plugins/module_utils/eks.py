# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""What the EKS modules share: waiters, one way to set tags, and patience with IAM's late news."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

with contextlib.suppress(ImportError):  # AnsibleAWSModule says so
    import botocore.exceptions

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import code, doing, found
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import GONE, Waiter, wait

T = TypeVar("T")

MISSING = "ResourceNotFoundException"

CLUSTER_ACTIVE = Waiter(
    operation="describe_cluster",
    state="cluster.status",
    until=("ACTIVE",),
    failed=("FAILED", "DELETING", GONE),
    missing=(MISSING,),
)
CLUSTER_GONE = Waiter(
    operation="describe_cluster", state="cluster.status", until=(GONE,), failed=("FAILED",), missing=(MISSING,)
)
NODEGROUP_ACTIVE = Waiter(
    operation="describe_nodegroup",
    state="nodegroup.status",
    until=("ACTIVE",),
    failed=("CREATE_FAILED", "DEGRADED", "DELETING", "DELETE_FAILED", GONE),
    missing=(MISSING,),
)
NODEGROUP_GONE = Waiter(
    operation="describe_nodegroup",
    state="nodegroup.status",
    until=(GONE,),
    failed=("DELETE_FAILED",),
    missing=(MISSING,),
)
# An add-on whose pods wait for a first node is DEGRADED until that node comes: not a failure.
ADDON_ACTIVE = Waiter(
    operation="describe_addon",
    state="addon.status",
    until=("ACTIVE",),
    failed=("CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED", GONE),
    missing=(MISSING,),
)
# A cluster can be deleted only when EKS is not busy with it.
CLUSTER_SETTLED = Waiter(
    operation="describe_cluster",
    state="cluster.status",
    until=("ACTIVE", "FAILED", "DELETING", GONE),
    missing=(MISSING,),
)
ADDON_GONE = Waiter(
    operation="describe_addon", state="addon.status", until=(GONE,), failed=("DELETE_FAILED",), missing=(MISSING,)
)
UPDATE_DONE = Waiter(
    operation="describe_update", state="update.status", until=("Successful",), failed=("Failed", "Cancelled")
)

# How long a role made a moment ago may be unknown to other services; IAM promises no bound, it is seconds.
ROLE_NEWS_SECONDS = 60


def describe_cluster(client: Any, name: str) -> dict[str, Any] | None:
    """The cluster as EKS tells it, or None."""
    with doing(f"look at cluster {name}"):
        answer = found(client.describe_cluster, MISSING, name=name)
    return answer["cluster"] if answer else None


def snake_keys(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its own keys in snake case, dates as text; what lies inside tags and labels is left alone."""
    from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict

    return camel_dict_to_snake_dict(_plain(record), ignore_list=["tags", "labels"])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def wanted_tags(current: Mapping[str, str], tags: Mapping[str, Any] | None, purge: bool) -> dict[str, str]:
    """The tags a resource shall have in the end, without AWS's own (aws:…); None as tags leaves them as they are."""
    own = own_tags(current)
    if tags is None:
        return own
    asked = {str(key): str(value) for key, value in tags.items()}
    return asked if purge else {**own, **asked}


def own_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Tags without those of AWS itself."""
    return {key: value for key, value in (tags or {}).items() if not key.startswith("aws:")}


def set_tags(client: Any, arn: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Bring an EKS resource's tags from before to after."""
    removed = sorted(set(before) - set(after))
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    with doing(f"tag {arn}"):
        if removed:
            client.untag_resource(resourceArn=arn, tagKeys=removed)
        if changed:
            client.tag_resource(resourceArn=arn, tags=changed)


def listed_changes(
    kind: str, current: Mapping[str, Mapping[str, Any] | None], wanted: Mapping[str, Mapping[str, Any] | None]
) -> list[Change]:
    """The changes that take each named thing of wanted (None: absent) from what it is now."""
    return [change for name, value in wanted.items() for change in compare(kind, name, current.get(name), value)]


def update_and_wait(client: Any, what: str, deadline: float, start: Callable[[], Any], **where: str) -> None:
    """Start an update (a call that answers {"update": {"id": …}}) and wait until EKS has carried it out."""
    with doing(f"update {what}"):
        update = start()["update"]
    wait(client, UPDATE_DONE, f"the update of {what}", deadline, updateId=update["id"], **where)


def once_role_is_known(
    call: Callable[[], T],
    *,
    seconds: float = ROLE_NEWS_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """call(), repeated while EKS says that a role does not exist or can't be assumed yet; then its error is raised.

    IAM tells the other services of a new role a little later:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    """
    end = clock() + seconds
    delay = 1.0
    while True:
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            about_role = code(error) in ("InvalidParameterException", "InvalidRequestException") and (
                "role" in str(error).lower() or "principal" in str(error).lower()
            )
            if not about_role or clock() + delay > end:
                raise
        pause(delay)
        delay *= 2
