"""What the demo finds in AWS, against moto."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from sandbox.demo.cloud import Cloud
from sandbox.demo.errors import DemoError

ENDPOINT = "http://127.0.0.1:4566"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def _installed() -> None:
    """What site.yml makes, as far as the demo looks at it."""
    gateway = boto3.client("apigateway")
    gateway.create_rest_api(name="other")
    gateway.create_rest_api(name="sd")
    for value in ("0123456789abcdef0123", "demo-key-0123456789ab"):
        gateway.create_api_key(name=value, value=value, enabled=True)
    tenants = {
        hashlib.sha256(value.encode()).hexdigest()[:16]: {"name": name, "tier": None}
        for value, name in (("0123456789abcdef0123", "acme"), ("demo-key-0123456789ab", "demo"))
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", "")
    role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    boto3.client("lambda").create_function(
        FunctionName="sd-intake",
        Role=role,
        Runtime="python3.13",
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
        Environment={"Variables": {"SD_TENANTS": json.dumps(tenants)}},
    )
    sqs = boto3.client("sqs")
    for name in ("default", "default-dlq", "unrouted", "karpenter", "answers-demo"):
        sqs.create_queue(QueueName=f"sd-{name}")
    boto3.client("dynamodb").create_table(
        TableName="sd-tasks",
        KeySchema=[{"AttributeName": "tenant", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("tenant", "id")],
        BillingMode="PAY_PER_REQUEST",
    )
    boto3.client("s3").create_bucket(Bucket="out")


def test_an_installation(aws: None) -> None:
    _installed()
    cloud = Cloud("sd", ENDPOINT)
    assert cloud.api.url.startswith(f"{ENDPOINT}/_aws/execute-api/")
    assert cloud.api.url.endswith("/prod")
    assert (cloud.api.key, cloud.api.tenant) == ("demo-key-0123456789ab", "demo")
    assert cloud.answers_queue.endswith("/sd-answers-demo")

    boto3.client("sqs").send_message(QueueUrl=cloud.queues["sd-default"], MessageBody="x")
    assert cloud.depths() == {"sd-default": (1, 0), "sd-default-dlq": (0, 0)}

    assert cloud.row("1") is None
    item: dict[str, Any] = {
        "tenant": {"S": "demo"},
        "id": {"S": "1"},
        "status": {"S": "running"},
        "attempt": {"N": "2"},
    }
    boto3.client("dynamodb").put_item(TableName="sd-tasks", Item=item)
    assert cloud.row("1") == {"tenant": "demo", "id": "1", "status": "running", "attempt": "2"}

    boto3.client("s3").put_object(Bucket="out", Key="outputs/1/1-0.png", Body=b"image")
    assert cloud.stored("s3://out/outputs/1/") == {"1-0.png": 5}
    assert cloud.fetch("s3://out/outputs/1/1-0.png") == b"image"
    with pytest.raises(DemoError, match="cannot be read"):
        cloud.fetch("s3://out/outputs/1/2.png")


def test_nothing_installed(aws: None) -> None:
    cloud = Cloud("sd", ENDPOINT)
    with pytest.raises(DemoError, match=r"no REST API called 'sd'; has playbooks/site\.yml run"):
        _ignored = cloud.api
    with pytest.raises(DemoError, match="no queue sd-answers-demo"):
        _ignored = cloud.answers_queue
    boto3.client("apigateway").create_rest_api(name="sd")
    with pytest.raises(DemoError, match="no Lambda sd-intake"):
        _ignored = cloud.api
