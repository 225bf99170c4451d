# Copyright: The stable_diffusion.eks developers
# Apache-2.0 (see LICENSE) or, at your choice, GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later

"""SQS queues as values: what they shall be, what they are, and the calls between the two."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.stable_diffusion.eks.plugins.module_utils.aws import (
    canonical,
    doing,
    found,
    pages,
    tag_changes,
    tags_after,
    together,
)
from ansible_collections.stable_diffusion.eks.plugins.module_utils.diff import Change, compare
from ansible_collections.stable_diffusion.eks.plugins.module_utils.errors import BadInput
from ansible_collections.stable_diffusion.eks.plugins.module_utils.waiters import Waiter, wait

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
NAME_LENGTH = 80
DOCUMENTS = ("Policy", "RedrivePolicy", "RedriveAllowPolicy")
MESSAGES = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")

# A name is free again 60 seconds after its queue was deleted.
CREATED = Waiter(
    operation="create_queue",
    state="QueueUrl && 'created'",
    until=("created",),
    missing=("AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently"),
    verb="create",
    delay=5,
)
CREATED_DEADLINE = 90


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue as it is: attributes decoded (numbers, booleans, documents), messages waiting or in flight."""

    url: str
    attributes: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    messages: int = 0

    @property
    def properties(self) -> dict[str, Any]:
        """Attributes and tags in one mapping, as they are compared."""
        return {**self.attributes, "tags": dict(self.tags)}


def tls_only(arn: str) -> dict[str, Any]:
    """The statement that refuses every call without TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def fed_by(arn: str, topic_arn: str) -> dict[str, Any]:
    """The statement that lets one SNS topic send."""
    return {
        "Sid": "TopicMaySend",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }


def attributes(*statements: Mapping[str, Any], retention: int, visibility: int) -> dict[str, Any]:
    """Attributes that all our queues share: encrypted by SQS's own keys, long polling, messages of any size."""
    return {
        "Policy": {"Version": "2012-10-17", "Statement": [dict(statement) for statement in statements]},
        "SqsManagedSseEnabled": True,
        "MessageRetentionPeriod": retention,
        "VisibilityTimeout": visibility,
        "ReceiveMessageWaitTimeSeconds": 20,
        # An SNS envelope escapes its message, so the topic's 256 KiB need more room here.
        "MaximumMessageSize": 1048576,
    }


def check_names(names: Iterable[str]) -> None:
    """Raise BadInput for a name that SQS would refuse."""
    for name in names:
        if len(name) > NAME_LENGTH:
            raise BadInput(f"queue {name} would have a name of {len(name)} characters, SQS allows {NAME_LENGTH}")


def check_owner(current: Mapping[str, Queue], names: Iterable[str], tag: str, owner: str) -> None:
    """Raise BadInput if one of the named queues is marked, by this tag, as another's."""
    for name in names:
        found_owner = current[name].tags.get(tag, owner) if name in current else owner
        if found_owner != owner:
            raise BadInput(f"queue {name} belongs to the system {found_owner}: choose another name")


def read(sqs: Any, prefix: str, tags: bool) -> dict[str, Queue]:
    """All queues whose names start with prefix; their tags only if asked for (a call for each queue)."""
    with doing(f"list the queues {prefix}*"):
        urls = pages(sqs, "list_queues", "QueueUrls", QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1000})
        queues = together([functools.partial(_read, sqs, url, tags) for url in urls])
    return {url.rsplit("/", 1)[-1]: queue for url, queue in zip(urls, queues, strict=True) if queue}


def _read(sqs: Any, url: str, tags: bool) -> Queue | None:
    answer = found(sqs.get_queue_attributes, *GONE, QueueUrl=url, AttributeNames=["All"])
    if answer is None:  # deleted since it was listed
        return None
    raw = answer["Attributes"]
    listed = found(sqs.list_queue_tags, *GONE, QueueUrl=url) if tags else None
    return Queue(
        url=url,
        attributes={name: _decoded(name, value) for name, value in raw.items()},
        tags=(listed or {}).get("Tags", {}),
        messages=sum(int(raw.get(name, 0)) for name in MESSAGES),
    )


def _decoded(name: str, value: str) -> Any:
    if name in DOCUMENTS:
        document = json.loads(value) if value else {}
        if "maxReceiveCount" in document:  # SQS gives back what it got, number or string
            document["maxReceiveCount"] = int(document["maxReceiveCount"])
        return document
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdecimal() else value


def _encoded(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return canonical(value) if isinstance(value, dict) else str(value)


def plan(
    current: Mapping[str, Queue],
    wanted: Mapping[str, Mapping[str, Any]],
    tags: Mapping[str, str] | None,
    purge_tags: bool,
) -> list[Change]:
    """Changes that make the wanted queues (attributes by name); queues that are not wanted are left alone."""
    changes = []
    for name, properties in wanted.items():
        queue = current.get(name)
        after = dict(properties)
        if tags is not None:
            after["tags"] = tags_after(queue.tags if queue else {}, tags, purge_tags)
        changes += compare("queue", name, queue.properties if queue else None, after)
    return changes


def plan_delete(current: Mapping[str, Queue], names: Sequence[str], force: bool) -> tuple[list[Change], list[str]]:
    """Deletions of those of the named queues that exist, and the names of those kept because they hold messages."""
    kept = [name for name in names if name in current and current[name].messages and not force]
    gone = [name for name in names if name in current and name not in kept]
    return [Change("delete", "queue", name, dict(current[name].attributes)) for name in gone], kept


def apply(sqs: Any, current: Mapping[str, Queue], changes: Sequence[Change]) -> dict[str, str]:
    """Make the changes of kind queue, a few at a time; URLs of the created queues by name."""
    queues = [change for change in changes if change.kind == "queue"]
    # A dead-letter queue must exist before another queue can name it.
    created = [change for change in queues if change.action == "create"]
    first = [change for change in created if "RedrivePolicy" not in change.after]
    second = [change for change in created if "RedrivePolicy" in change.after]
    urls = {}
    for batch in (first, second):
        made = together([functools.partial(_create, sqs, change) for change in batch])
        urls.update({change.name: url for change, url in zip(batch, made, strict=True)})
    together([functools.partial(_update, sqs, current[c.name], c) for c in queues if c.action == "update"])
    together([functools.partial(_delete, sqs, current[c.name], c) for c in queues if c.action == "delete"])
    return urls


def _create(sqs: Any, change: Change) -> str:
    properties = dict(change.after)
    tags = properties.pop("tags", {})
    answer = wait(
        sqs,
        CREATED,
        f"queue {change.name}",
        CREATED_DEADLINE,
        QueueName=change.name,
        Attributes={name: _encoded(value) for name, value in properties.items()},
        tags=tags,
    )
    return answer["QueueUrl"]


def _update(sqs: Any, queue: Queue, change: Change) -> None:
    properties = dict(change.after)
    tags = properties.pop("tags", None)
    with doing(f"update queue {change.name}"):
        if properties:
            encoded = {name: _encoded(value) for name, value in properties.items()}
            sqs.set_queue_attributes(QueueUrl=queue.url, Attributes=encoded)
        if tags is not None:
            added, removed = tag_changes(queue.tags, tags, True)
            if added:
                sqs.tag_queue(QueueUrl=queue.url, Tags=added)
            if removed:
                sqs.untag_queue(QueueUrl=queue.url, TagKeys=removed)


def _delete(sqs: Any, queue: Queue, change: Change) -> None:
    with doing(f"delete queue {change.name}"):
        found(sqs.delete_queue, *GONE, QueueUrl=queue.url)
