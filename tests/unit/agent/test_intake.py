"""The Lambda: events in, responses out, against ports in memory and against a simulated AWS."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from sd_agent.contract import messages
from sd_agent.contract.errors import ConfigurationError
from sd_agent.contract.routing import RouteTable
from sd_agent.contract.rows import Row, Status
from sd_agent.intake import aws, handler
from sd_agent.intake.config import Config
from sd_agent.intake.handler import Application
from sd_agent.intake.http import MAX_BODY_BYTES
from sd_agent.intake.ports import Unavailable
from sd_agent.intake.service import Intake

KEY = "an-api-key"
KEY_ID = hashlib.sha256(KEY.encode()).hexdigest()[:16]
ENVIRONMENT = {
    "SD_INPUT_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:sd-input",
    "SD_TASK_TABLE": "sd-tasks",
    "SD_BUCKET": "sd-outputs",
    "SD_TENANTS": json.dumps({KEY_ID: {"name": "acme", "tier": "paid"}}),
}
ROUTES = json.dumps(
    {
        "runtimes": {
            "sd15": {"models": ["v1-5-pruned-emaonly.safetensors"], "dynamic": False, "tier": None},
            "paid": {"models": None, "dynamic": False, "tier": "paid"},
        }
    }
)
TEXT = {
    "alwayson_scripts": {
        "task": "text-to-image",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "id_task": "21123",
        "uid": "456",
    },
    "prompt": "A dog",
}
RECEIPT = {
    "id_task": "21123",
    "task": "text-to-image",
    "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
    "output_location": "s3://sd-outputs/outputs/21123/",
}


def event(body: Any, path: str = "/v1alpha1", method: str = "POST", **changes: Any) -> dict[str, Any]:
    return {
        "httpMethod": method,
        "path": path,
        "resource": path,
        "body": body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {"identity": {"apiKey": None}},
        **changes,
    }


class Fakes:
    """Intake's ports in memory; names in `failing` raise Unavailable."""

    bucket = "sd-outputs"

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.rows: dict[tuple[str, str], Row] = {}
        self.published: list[tuple[str, dict[str, str], str]] = []
        self.objects: dict[str, bytes] = {}
        self.routes = RouteTable.parse(ROUTES)

    def _may_fail(self, name: str) -> None:
        if name in self.failing:
            raise Unavailable("fake", name)

    def current(self) -> RouteTable:
        self._may_fail("routes")
        return self.routes

    def claim(self, row: Row) -> Row:
        self._may_fail("claim")
        return self.rows.setdefault((row.tenant, row.id), row)

    def get(self, tenant: str, task_id: str) -> Row | None:
        return self.rows.get((tenant, task_id))

    def mark_published(self, tenant: str, task_id: str, now: float) -> None:
        self._may_fail("mark")
        self.rows[tenant, task_id] = replace(self.rows[tenant, task_id], published=True)

    def publish(self, message: str, *, attributes: Mapping[str, str], group: str) -> None:
        self._may_fail("publish")
        self.published.append((message, dict(attributes), group))

    def put(self, key: str, body: bytes, content_type: str) -> None:
        self._may_fail("put")
        self.objects[key] = body


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def app(fakes: Fakes) -> Application:
    intake = Intake(table=fakes, topic=fakes, storage=fakes, routes=fakes, clock=lambda: 1000.0)
    return Application(intake=intake, config=Config.from_environment(ENVIRONMENT))


def respond(app: Application, *arguments: Any, **changes: Any) -> tuple[int, Any]:
    response = app.respond(event(*arguments, **changes))
    assert response["headers"]["content-type"] == "application/json"
    body = json.loads(response["body"])
    if response["statusCode"] != 200:
        assert set(body) == {"error"}
        assert set(body["error"]) == {"code", "message", "field"}
        assert "Traceback" not in response["body"]
    return response["statusCode"], body


def test_a_request_is_taken_in(app: Application, fakes: Fakes) -> None:
    assert respond(app, TEXT) == (200, RECEIPT)
    [(message, attributes, group)] = fakes.published
    assert attributes == {"runtime": "sd15", "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors"}
    assert group == "default"
    assert messages.task_of(messages.open_message(message)).id == "21123"
    row = fakes.rows["default", "21123"]
    assert (row.status, row.published, row.runtime, row.uid) == (Status.ACCEPTED, True, "sd15", "456")
    assert row.expires_at == 1000 + 30 * 86400


def test_the_same_request_again_is_queued_once(app: Application, fakes: Fakes) -> None:
    assert respond(app, TEXT) == respond(app, TEXT) == (200, RECEIPT)
    assert len(fakes.published) == 1


def test_another_body_under_the_same_id_is_a_conflict(app: Application, fakes: Fakes) -> None:
    respond(app, TEXT)
    status, body = respond(app, {**TEXT, "prompt": "A cat"})
    assert (status, body["error"]["code"], body["error"]["field"]) == (409, "conflict", "alwayson_scripts.id_task")
    assert len(fakes.published) == 1


@pytest.mark.parametrize("failing", ["routes", "claim", "publish"])
def test_a_failure_is_healed_by_the_same_request(app: Application, fakes: Fakes, failing: str) -> None:
    fakes.failing = {failing}
    response = app.respond(event(TEXT))
    assert response["statusCode"] == 503
    assert response["headers"]["retry-after"] == "5"
    assert fakes.published == []
    fakes.failing = set()
    assert respond(app, TEXT) == (200, RECEIPT)
    assert len(fakes.published) == 1


def test_a_published_message_that_is_not_noted_is_still_accepted(app: Application, fakes: Fakes) -> None:
    fakes.failing = {"mark"}
    assert respond(app, TEXT) == (200, RECEIPT)
    assert len(fakes.published) == 1


@pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED, Status.FAILED])
def test_a_task_at_work_is_not_published_again(app: Application, fakes: Fakes, status: Status) -> None:
    respond(app, TEXT)
    fakes.rows["default", "21123"] = replace(fakes.rows["default", "21123"], status=status, published=False)
    assert respond(app, TEXT) == (200, RECEIPT)
    assert len(fakes.published) == 1


def test_a_receipt_outlives_its_runtime(app: Application, fakes: Fakes) -> None:
    respond(app, TEXT)
    fakes.routes = RouteTable({})
    assert respond(app, TEXT) == (200, RECEIPT)
    status, body = respond(app, {**TEXT, "prompt": "other"})
    assert (status, body["error"]["code"]) == (404, "no_runtime")


def test_no_runtime_leaves_nothing(app: Application, fakes: Fakes) -> None:
    scripts = TEXT["alwayson_scripts"] | {"sd_model_checkpoint": "z.ckpt"}  # type: ignore[operator]
    status, body = respond(app, {**TEXT, "alwayson_scripts": scripts})
    assert (status, body["error"]["code"]) == (404, "no_runtime")
    assert body["error"]["field"] == "alwayson_scripts.sd_model_checkpoint"
    assert fakes.rows == {}
    assert fakes.published == []


def test_tenant_and_tier_come_from_the_key(app: Application, fakes: Fakes) -> None:
    identity = {"requestContext": {"identity": {"apiKey": KEY}}}
    status, receipt = respond(app, TEXT, **identity)
    assert (status, receipt["output_location"]) == (200, "s3://sd-outputs/acme/outputs/21123/")
    [(message, attributes, group)] = fakes.published
    assert (attributes["tier"], attributes["runtime"], group) == ("paid", "paid", "acme")
    assert json.loads(message)["metadata"]["tenant"] == "acme"
    # Another tenant may use the same id for something else.
    assert respond(app, {**TEXT, "prompt": "A cat"})[0] == 200


def test_v1alpha2(app: Application, fakes: Fakes) -> None:
    task = {
        "metadata": {"id": "t-1", "runtime": "sd15", "tasktype": "text-to-image", "prefix": "p", "context": {"a": 1}},
        "content": {"prompt": "A dog"},
    }
    receipt = {"id": "t-1", "runtime": "sd15", "output_location": "s3://sd-outputs/p/t-1/"}
    assert respond(app, {"task": task}, "/v1alpha2") == (200, receipt)
    message = json.loads(fakes.published[0][0])
    assert message["metadata"]["routed_by"] == "runtime"
    assert message["content"] == {"prompt": "A dog"}


def test_v1alpha2_names_its_own_fields(app: Application) -> None:
    task = {"metadata": {"id": "t-1", "runtime": "sd15", "tasktype": "text-to-image"}, "content": {"prompt": "A dog"}}
    assert respond(app, {"task": task}, "/v1alpha2")[0] == 200
    changed = {**task, "content": {"prompt": "A cat"}}
    assert respond(app, {"task": changed}, "/v1alpha2")[1]["error"]["field"] == "task.metadata.id"
    nowhere = {**task, "metadata": {**task["metadata"], "runtime": "nope"}}
    status, body = respond(app, {"task": nowhere}, "/v1alpha2")
    assert (status, body["error"]["field"]) == (404, "task.metadata.runtime")


def test_a_large_body_travels_by_reference(app: Application, fakes: Fakes) -> None:
    body = {**TEXT, "prompt": "x" * 300_000}
    assert respond(app, body)[0] == 200
    message = messages.open_message(fakes.published[0][0])
    assert len(fakes.published[0][0]) < 2000
    reference = message.content_ref
    assert reference is not None
    task = messages.task_of(messages.with_content(message, fakes.objects[reference.key]))
    assert task.content["prompt"] == body["prompt"]
    assert task.body_digest == fakes.rows["default", "21123"].body_digest
    assert reference.key.startswith("_requests/default/21123/")


def test_a_large_body_that_cannot_be_stored_is_healed_too(app: Application, fakes: Fakes) -> None:
    fakes.failing = {"put"}
    body = {**TEXT, "prompt": "x" * 300_000}
    assert respond(app, body)[0] == 503
    fakes.failing = set()
    assert respond(app, body)[0] == 200
    assert len(fakes.published) == 1


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/", "POST", 404, "not_found"),
        ("/v2", "POST", 404, "not_found"),
        ("/v1alpha1", "GET", 405, "method_not_allowed"),
        ("/v1alpha2", "DELETE", 405, "method_not_allowed"),
    ],
)
def test_paths_and_methods(app: Application, path: str, method: str, status: int, code: str) -> None:
    found, body = respond(app, TEXT, path, method)
    assert (found, body["error"]["code"]) == (status, code)


def test_405_names_the_methods(app: Application) -> None:
    assert app.respond(event("", "/v1alpha1", "PUT"))["headers"]["allow"] == "POST"


def test_how_api_gateway_may_spell_a_path(app: Application) -> None:
    assert respond(app, TEXT, "/v1alpha1/") == (200, RECEIPT)
    assert respond(app, TEXT, path="/base/v1alpha1", resource="/v1alpha1") == (200, RECEIPT)
    assert respond(app, TEXT, path="/v1alpha1", resource="/{proxy+}") == (200, RECEIPT)


def test_base64_bodies(app: Application) -> None:
    encoded = base64.b64encode(json.dumps(TEXT).encode()).decode()
    assert respond(app, encoded, isBase64Encoded=True) == (200, RECEIPT)
    assert respond(app, "%%%", isBase64Encoded=True)[0] == 400
    assert respond(app, base64.b64encode(b"\xff").decode(), isBase64Encoded=True)[0] == 400


def test_a_body_over_lambdas_limit(app: Application) -> None:
    status, body = respond(app, "x" * (MAX_BODY_BYTES + 1))
    assert (status, body["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("body", [None, "", "{", "[]", "null", '{"a": NaN}', "\ud800", '"x"'])
def test_bodies_that_are_no_object(app: Application, fakes: Fakes, body: str | None) -> None:
    response = app.respond({**event(""), "body": body})
    assert response["statusCode"] == 400
    assert json.loads(response["body"])["error"]["code"] == "invalid_request"
    assert fakes.rows == {}


def test_a_mistake_of_ours_is_not_shown(app: Application, fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "claim", lambda row: 1 / 0)
    status, body = respond(app, TEXT)
    assert (status, body["error"]["code"]) == (500, "internal")
    assert "division" not in json.dumps(body)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_4xx(app: Application, fakes: Fakes, body: bytes) -> None:
    encoded = base64.b64encode(body).decode()
    for path in ("/v1alpha1", "/v1alpha2"):
        status, _ignored = respond(app, encoded, path, isBase64Encoded=True)
        assert 400 <= status < 500
    assert fakes.published == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"SD_INPUT_TOPIC_ARN": ""}, "SD_INPUT_TOPIC_ARN"),
        ({"SD_TASK_TABLE": " "}, "SD_TASK_TABLE"),
        ({"SD_BUCKET": ""}, "SD_BUCKET"),
        ({"SD_TENANTS": "["}, "SD_TENANTS"),
        ({"SD_TENANTS": '{"x": {}}'}, "SD_TENANTS"),
        ({"SD_TENANTS": '{"x": {"name": "_system"}}'}, "SD_TENANTS"),
        ({"SD_TENANTS": '{"x": {"name": "a", "tier": 5}}'}, "SD_TENANTS"),
        ({"SD_TASK_RETENTION_DAYS": "0"}, "SD_TASK_RETENTION_DAYS"),
    ],
)
def test_a_wrong_environment_names_its_variable(changes: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Config.from_environment({**ENVIRONMENT, **changes})


def test_a_lambda_without_its_environment_answers_in_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    response = handler.handler(event(TEXT), None)
    assert response["statusCode"] == 500
    assert "SD_INPUT_TOPIC_ARN" in json.loads(response["body"])["error"]["message"]


@pytest.fixture(scope="module")
def session() -> Any:
    """One botocore session: reading the services' models is what takes time."""
    return botocore.session.Session()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, session: Any) -> Iterator[dict[str, Any]]:
    """moto's AWS with topic, queue, table and bucket, and the environment of the Lambda."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**ENVIRONMENT, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        clients = {name: session.create_client(name, "us-east-1") for name in ("sns", "sqs", "dynamodb", "s3")}
        topic = clients["sns"].create_topic(Name="sd-input")["TopicArn"]
        monkeypatch.setenv("SD_INPUT_TOPIC_ARN", topic)
        queue = clients["sqs"].create_queue(QueueName="q")["QueueUrl"]
        attributes = clients["sqs"].get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        clients["sns"].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
        clients["s3"].create_bucket(Bucket="sd-outputs")
        clients["dynamodb"].create_table(
            TableName="sd-tasks",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "tenant", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "tenant", "AttributeType": "S"},
                {"AttributeName": "id", "AttributeType": "S"},
            ],
        )
        handler._application.cache_clear()
        yield {**clients, "queue": queue}
        handler._application.cache_clear()


def put_routes(cloud: dict[str, Any], text: str = ROUTES) -> None:
    item = {"tenant": {"S": "_system"}, "id": {"S": "routes"}, "routes": {"S": text}}
    cloud["dynamodb"].put_item(TableName="sd-tasks", Item=item)


def test_the_whole_lambda_on_a_simulated_aws(cloud: dict[str, Any]) -> None:
    assert handler.handler(event(TEXT), None)["statusCode"] == 404
    handler._application.cache_clear()
    put_routes(cloud)
    response = handler.handler(event(TEXT), None)
    assert (response["statusCode"], json.loads(response["body"])) == (200, RECEIPT)
    assert handler.handler(event({**TEXT, "prompt": "A cat"}), None)["statusCode"] == 409
    large = json.loads(json.dumps({**TEXT, "prompt": "x" * 300_000}).replace("21123", "large"))
    assert handler.handler(event(large), None)["statusCode"] == 200
    received = cloud["sqs"].receive_message(QueueUrl=cloud["queue"], MaxNumberOfMessages=10)["Messages"]
    opened = [messages.open_message(message["Body"]) for message in received]
    assert sorted(message.payload["metadata"]["id"] for message in opened) == ["21123", "large"]
    assert all(message.attributes["runtime"] == "sd15" for message in opened)
    reference = next(message.content_ref for message in opened if message.content_ref)
    stored = cloud["s3"].get_object(Bucket=reference.bucket, Key=reference.key)["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == reference.sha256


def row(**changes: Any) -> Row:
    fixed: dict[str, Any] = {
        "tenant": "default",
        "id": "t",
        "status": Status.ACCEPTED,
        "runtime": "r",
        "body_digest": "d",
        "created_at": 1000.0,
        "updated_at": 1000.0,
        "expires_at": 2000,
    }
    return Row(**{**fixed, **changes})


def test_the_table_claims_once_and_an_expired_row_is_free(cloud: dict[str, Any]) -> None:
    table = aws.DynamoTable(client=cloud["dynamodb"], name="sd-tasks")
    assert table.claim(row()) == row()
    assert table.claim(row(body_digest="other", created_at=1999.0)) == row()
    later = row(body_digest="other", created_at=2001.0, expires_at=9000)
    assert table.claim(later) == later


def test_the_table_marks_only_what_has_not_ended(cloud: dict[str, Any]) -> None:
    table = aws.DynamoTable(client=cloud["dynamodb"], name="sd-tasks")
    table.claim(row())
    table.mark_published("default", "t", 1500.0)
    found = table.get("default", "t")
    assert found is not None
    assert found.published
    table.claim(row(id="ended", status=Status.COMPLETED, answer="{}"))
    table.mark_published("default", "ended", 1500.0)
    found = table.get("default", "ended")
    assert found is not None
    assert not found.published
    assert table.get("default", "nobody") is None


def test_routes_are_kept_and_survive_a_failing_table(cloud: dict[str, Any]) -> None:
    put_routes(cloud)
    now = [0.0]
    routes = aws.DynamoRoutes(client=cloud["dynamodb"], table="sd-tasks", clock=lambda: now[0])
    assert set(routes.current().runtimes) == {"sd15", "paid"}
    put_routes(cloud, '{"runtimes": {}}')
    now[0] = 29.0
    assert set(routes.current().runtimes) == {"sd15", "paid"}
    now[0] = 31.0
    assert set(routes.current().runtimes) == set()
    put_routes(cloud, "damaged")
    now[0] = 62.0
    assert set(routes.current().runtimes) == set()
    with pytest.raises(ConfigurationError):
        aws.DynamoRoutes(client=cloud["dynamodb"], table="sd-tasks").current()


def test_every_failure_of_aws_is_unavailable() -> None:
    client = botocore.session.Session().create_client(
        "sns", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        stub.add_client_error("publish", "InternalError", http_status_code=500)
        with pytest.raises(Unavailable, match="sns"):
            aws.SnsTopic(client=client, arn="arn").publish("m", attributes={}, group="g")
