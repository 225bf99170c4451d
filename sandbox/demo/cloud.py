"""The demo's side of AWS: where the API is, how long the queues are, what the task table and the bucket say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.demo.errors import DemoError
from sandbox.demo.timeline import Fact

__all__ = ["Api", "Cloud", "object_facts", "queue_facts", "row_facts"]

_STAGE = "prod"
_TENANT = "demo"
_SITE = "has playbooks/site.yml run to its end?"
# Not queues of tasks.
_OTHER_QUEUES = ("-unrouted", "-karpenter")


@dataclass(frozen=True)
class Api:
    """The REST API as its consumer knows it, and the tenant that the key makes of the caller."""

    url: str
    key: str
    tenant: str


class Cloud:
    """AWS clients for one installation, found by its name; every method may be called from a thread."""

    def __init__(self, name: str, endpoint: str) -> None:
        """`name` is sd_name, `endpoint` the embedded AWS."""
        self.name = name
        self.endpoint = endpoint.rstrip("/")
        self._session = boto3.Session()
        self._sqs = self._session.client("sqs")
        self._s3 = self._session.client("s3")
        self._table = self._session.client("dynamodb")

    @cached_property
    def api(self) -> Api:
        """The API's address and a key of the tenant `demo`, or of whoever comes first.

        Raises:
            DemoError: there is no such API, or no key.
        """
        client = self._session.client("apigateway")
        try:
            ids = [item["id"] for item in client.get_rest_apis(limit=500)["items"] if item["name"] == self.name]
            keys = [item["value"] for item in client.get_api_keys(includeValues=True, limit=500)["items"]]
        except (BotoCoreError, ClientError) as error:
            raise DemoError(f"The embedded AWS at {self.endpoint} does not answer ({error}).") from error
        if not ids:
            raise DemoError(f"There is no REST API called {self.name!r}; {_SITE}")
        tenants = self._tenants()
        known = [(key, tenant) for key in keys if (tenant := tenants.get(_digest(key)))]
        if not known:
            raise DemoError(f"No API key belongs to a tenant of {self.name!r}; {_SITE}")
        key, tenant = next((pair for pair in known if pair[1] == _TENANT), known[0])
        return Api(f"{self.endpoint}/_aws/execute-api/{ids[0]}/{_STAGE}", key, tenant)

    def _tenants(self) -> dict[str, str]:
        try:
            found = self._session.client("lambda").get_function_configuration(FunctionName=f"{self.name}-intake")
        except ClientError as error:
            raise DemoError(f"There is no Lambda {self.name}-intake ({error}); {_SITE}") from error
        entries = json.loads(found.get("Environment", {}).get("Variables", {}).get("SD_TENANTS", "{}"))
        return {digest: str(entry["name"]) for digest, entry in entries.items()}

    @cached_property
    def queues(self) -> dict[str, str]:
        """URLs of the runtimes' queues by name, dead-letter queues among them."""
        urls = self._sqs.list_queues(QueueNamePrefix=f"{self.name}-").get("QueueUrls", [])
        names = {url.rpartition("/")[2]: url for url in urls}
        kept = {
            name: url
            for name, url in names.items()
            if not name.endswith(_OTHER_QUEUES) and not name.startswith(f"{self.name}-answers-")
        }
        return dict(sorted(kept.items()))

    @cached_property
    def answers_queue(self) -> str:
        """URL of the demo's own queue of answers.

        Raises:
            DemoError: there is none.
        """
        name = f"{self.name}-answers-{_TENANT}"
        try:
            return str(self._sqs.get_queue_url(QueueName=name)["QueueUrl"])
        except ClientError as error:
            raise DemoError(f"There is no queue {name}, from which the demo reads its answers; {_SITE}") from error

    def depths(self) -> dict[str, tuple[int, int]]:
        """Messages waiting and in flight, by queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        depths = {}
        for name, url in self.queues.items():
            found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            depths[name] = (int(found[names[0]]), int(found[names[1]]))
        return depths

    def row(self, task: str) -> dict[str, Any] | None:
        """A task's row in the task table, as plain values; None if there is none."""
        key = {"tenant": {"S": self.api.tenant}, "id": {"S": task}}
        item = self._table.get_item(TableName=f"{self.name}-tasks", Key=key, ConsistentRead=True).get("Item")
        return {name: next(iter(value.values())) for name, value in item.items()} if item else None

    def stored(self, location: str) -> dict[str, int]:
        """Names and sizes of what lies under an s3:// location."""
        bucket, prefix = _split(location)
        found = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {entry["Key"].rpartition("/")[2]: int(entry["Size"]) for entry in found}

    def fetch(self, url: str) -> bytes:
        """An object's content.

        Raises:
            DemoError: it is not there.
        """
        bucket, key = _split(url)
        try:
            return bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except ClientError as error:
            raise DemoError(f"The answer names {url}, which cannot be read ({error}).") from error


def queue_facts(depths: dict[str, tuple[int, int]]) -> Iterator[Fact]:
    """What the queues hold."""
    for name, (waiting, taken) in depths.items():
        yield Fact(("queue", name), "queue", f"{name}: {waiting} waiting, {taken} in flight")


def row_facts(rows: Iterable[dict[str, Any] | None]) -> Iterator[Fact]:
    """What the task table tells of tasks under way; how they end is told by their answers."""
    for row in rows:
        if row and row.get("status") == "running":
            attempt = int(row.get("attempt", 1))
            again = f", attempt {attempt}" if attempt > 1 else ""
            worker = row.get("worker", "an agent")
            yield Fact(("row", str(row["id"]), str(attempt)), "agent", f"{row['id']} received by {worker}{again}")


def object_facts(task: str, stored: dict[str, int]) -> Iterator[Fact]:
    """What was stored for a task."""
    for name, size in stored.items():
        if not name.endswith(".out"):
            yield Fact(("object", task, name), "image", f"{name} stored, {size / 1024:.0f} KiB")


def _digest(key: str) -> str:
    # How intake knows its tenants without holding their keys.
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path.lstrip("/")
