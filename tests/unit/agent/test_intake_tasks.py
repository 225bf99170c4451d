"""Our own routes, /v1: on a simulated AWS, as the Lambda sees it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws
from openapi_spec_validator import OpenAPIV31SpecValidator

from sd_agent.contract import messages, rows
from sd_agent.contract.outbox import Outgoing
from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Task, TaskType
from sd_agent.intake import aws, openapi, operations
from sd_agent.intake.config import Config
from sd_agent.intake.handler import Application
from sd_agent.intake.ports import Unavailable
from sd_agent.intake.service import Intake
from sd_agent.worker.ports import BegunState
from sd_agent.worker.table import DynamoTable as AgentTable

REGION = "us-east-1"
KEYS = {name: f"the-key-of-{name}" for name in ("acme", "shop")}
TENANTS = {hashlib.sha256(key.encode()).hexdigest()[:16]: {"name": name} for name, key in KEYS.items()}
ROUTES = '{"runtimes": {"sd15": {"models": ["a.ckpt"]}, "wild": {"dynamic": true, "dialect": "sagemaker"}}}'
BODY = {"id": "t-1", "tasktype": "text-to-image", "sd_model_checkpoint": "a.ckpt", "content": {"prompt": "A dog"}}


class Topic:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.failing = False
        self.published: list[tuple[str, dict[str, str], str]] = []

    def publish(self, message: str, *, attributes: Any, group: str) -> None:
        if self.failing:
            raise Unavailable("sns", "out of order")
        self.published.append((message, dict(attributes), group))


@dataclass
class World:
    app: Application
    table: aws.DynamoTable
    agent: AgentTable
    input: Topic
    output: Topic
    now: list[float]
    s3: Any

    def call(
        self, method: str, path: str, body: Any = None, tenant: str | None = None, **query: str
    ) -> tuple[int, Any]:
        own = path.startswith("/v1/")
        response = self.app.respond(
            {
                "httpMethod": method,
                "path": path,
                "resource": "/v1/{proxy+}" if own else path,
                "pathParameters": {"proxy": path.removeprefix("/v1/")} if own else None,
                "queryStringParameters": query or None,
                "body": body if isinstance(body, str) else json.dumps(body),
                "requestContext": {"identity": {"apiKey": KEYS.get(tenant or "")}},
            }
        )
        value = json.loads(response["body"])
        if response["statusCode"] >= 300:
            assert set(value["error"]) == {"code", "message", "field"}
        return response["statusCode"], value

    def submit(self, task_id: str, tenant: str | None = None, **changes: Any) -> tuple[int, Any]:
        return self.call("PUT", f"/v1/tasks/{task_id}", {**BODY, "id": task_id, **changes}, tenant)

    def task(self, number: int = 0) -> Task:
        return messages.task_of(messages.open_message(self.input.published[number][0]))

    def begin(self, number: int = 0) -> Any:
        now = self.now[0]
        return self.agent.begin(
            self.task(number), runtime="sd15", receives=1, now=now, lease_until=now + 60, deadline=now + 900
        )

    def row(self, task_id: str = "t-1", tenant: str = "default") -> Row:
        row = self.table.get(tenant, task_id)
        assert row is not None
        return row


@pytest.fixture(scope="module")
def simulated() -> Iterator[dict[str, Any]]:
    with mock_aws():
        session = botocore.session.Session()
        arguments = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
        yield {name: session.create_client(name, **arguments) for name in ("dynamodb", "s3")}


@pytest.fixture
def world(simulated: dict[str, Any], request: pytest.FixtureRequest) -> World:
    client = simulated["dynamodb"]
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    kinds = {"tenant": "S", "id": "S", "by_uid": "S", "by_status": "S", "created_at": "N", "due_shard": "S"}
    indexes = [
        ("by_uid", "by_uid", "created_at"),
        ("by_status", "by_status", "created_at"),
        ("due", "due_shard", "due_at"),
    ]
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_key("tenant", "id"),
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": kind} for key, kind in {**kinds, "due_at": "N"}.items()
        ],
        GlobalSecondaryIndexes=[
            {"IndexName": index, "KeySchema": _key(*key), "Projection": {"ProjectionType": "ALL"}}
            for index, *key in indexes
        ],
    )
    item = rows.key(rows.SYSTEM_TENANT, rows.ROUTES_ID) | {"routes": rows.string(ROUTES)}
    client.put_item(TableName=name, Item=item)
    simulated["s3"].create_bucket(Bucket="sd-outputs")
    table, now = aws.DynamoTable(client=client, name=name), [1000.0]
    given_topic, answers = Topic(), Topic()
    intake = Intake(
        table=table,
        topic=given_topic,
        storage=aws.S3Storage(client=simulated["s3"], bucket="sd-outputs"),
        routes=aws.DynamoRoutes(client=client, table=name),
        answers=answers,
        region=REGION,
        clock=lambda: now[0],
    )
    environment = {
        "SD_INPUT_TOPIC_ARN": "arn",
        "SD_TASK_TABLE": name,
        "SD_BUCKET": "sd-outputs",
        "SD_TENANTS": json.dumps(TENANTS),
    }
    agent = AgentTable(client=client, name=name, worker="worker-1", retention_days=30)
    app = Application(intake=intake, config=Config.from_environment(environment))
    return World(app, table, agent, given_topic, answers, now, simulated["s3"])


def _key(hashed: str, ranged: str) -> list[dict[str, str]]:
    return [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": ranged, "KeyType": "RANGE"}]


def test_a_task_from_request_to_answer(world: World) -> None:
    status, receipt = world.submit("t-1", uid="u", context={"k": 1}, ttl=60)
    assert (status, receipt) == (
        200,
        {"id": "t-1", "runtime": "sd15", "output_location": "s3://sd-outputs/outputs/t-1/"},
    )
    assert world.submit("t-1", uid="u", context={"k": 1}, ttl=60) == (200, receipt)
    assert len(world.input.published) == 1
    assert world.submit("t-1")[0] == 409
    row = world.row()
    assert (row.published, row.message, row.deadline, row.due_at) == (True, None, 1060.0, 1060.0)
    assert world.task().body_digest == row.body_digest
    assert world.call("GET", "/v1/tasks/t-1")[1] == {
        "id": "t-1",
        "status": "accepted",
        "runtime": "sd15",
        "uid": "u",
        "created_at": "1970-01-01T00:16:40.000Z",
        "updated_at": "1970-01-01T00:16:40.000Z",
        "expires_at": "1970-01-01T00:17:40.000Z",
        "attempts": 0,
        "progress": None,
        "cancel_requested": False,
        "answer": None,
    }
    begun = world.begin()
    assert (begun.state, begun.row.deadline, begun.row.context) == (BegunState.MINE, 1060.0, '{"k":1}')
    assert world.call("GET", "/v1/tasks/t-1")[1]["status"] == "running"
    finished = world.agent.finish(begun.row, status=Status.COMPLETED, answer='{"id":"t-1"}', now=1005.0)
    assert finished is not None
    assert finished.due_at == 1065.0
    world.agent.mark_published(finished, 1006.0)
    assert world.row().due_at == 0
    _ignored, view = world.call("GET", "/v1/tasks/t-1")
    assert (view["status"], view["answer"], view["attempts"]) == ("completed", {"id": "t-1"}, 1)


def test_a_task_without_an_id_gets_one(world: World) -> None:
    body = {name: value for name, value in BODY.items() if name != "id"}
    ids = {world.call("POST", "/v1/tasks", body)[1]["id"] for _ignored in range(2)}
    assert len(ids) == 2
    assert world.call("POST", "/v1/tasks", BODY)[1]["id"] == "t-1"


def test_a_message_waits_in_its_row_until_it_is_out(world: World) -> None:
    world.input.failing = True
    assert world.submit("t-1")[0] == 503
    assert world.submit("t-2", content={"prompt": "x" * 100_000})[0] == 503
    small, large = world.row("t-1"), world.row("t-2")
    assert (small.published, small.due_at) == (False, 1060.0)
    kept = Outgoing.load(small.message or "")
    assert messages.task_of(messages.open_message(kept.message)).body_digest == small.body_digest
    assert kept.attributes == {"runtime": "sd15", "sd_model_checkpoint": "a.ckpt"}
    message = messages.open_message(Outgoing.load(large.message or "").message)
    assert len(large.message or "") < 2000
    reference = message.content_ref
    assert reference is not None
    stored = world.s3.get_object(Bucket="sd-outputs", Key=reference.key)["Body"].read()
    assert messages.task_of(messages.with_content(message, stored)).body_digest == large.body_digest
    world.input.failing = False
    assert world.submit("t-2", content={"prompt": "x" * 100_000})[0] == 200
    assert len(world.input.published[0][0]) > 100_000  # the topic takes it whole
    assert world.row("t-2").message is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ttl": 0}, "ttl"),
        ({"ttl": True}, "ttl"),
        ({"ttl": 14 * 86400}, "ttl"),
        ({"id": "other"}, "id"),
        ({"tasktype": "x"}, "tasktype"),
        ({"content": None}, "content"),
        ({"content": {"steps": 0}}, "content.steps"),
        ({"dialect": "x"}, "dialect"),
        ({"tenant": "acme"}, "tenant"),
        ({"prefix": "acme"}, "prefix"),
        ({"prefix": "_uploads"}, "prefix"),
    ],
)
def test_a_mistake_names_its_field(world: World, changes: dict[str, Any], field: str) -> None:
    status, body = world.call("PUT", "/v1/tasks/t-1", {**BODY, **changes})
    assert (status, body["error"]["field"]) == (400, field)
    assert (world.input.published, world.table.get("default", "t-1")) == ([], None)


def test_a_waiting_task_is_cancelled_at_once(world: World) -> None:
    world.submit("t-1", context=[1], dialect="default")
    status, view = world.call("DELETE", "/v1/tasks/t-1")
    assert (status, view["status"], view["cancel_requested"]) == (200, "cancelled", True)
    [(text, attributes, group)] = world.output.published
    answer = json.loads(text)
    assert (answer["status"], answer["result"], answer["context"]) == ("cancelled", False, [1])
    assert answer["error"]["code"] == "cancelled"
    assert (attributes["status"], group) == ("cancelled", "default")
    assert world.row().answer == text
    assert (world.row().published, world.row().due_at) == (True, 0)
    assert world.call("DELETE", "/v1/tasks/t-1")[0] == 200  # again
    assert world.begin().state is BegunState.ENDED  # an agent that meets the message
    assert len(world.output.published) == 1


def test_a_cancelled_tasks_answer_that_fails_is_left_to_the_sweep(world: World) -> None:
    world.submit("t-1", sd_model_checkpoint="other.ckpt")
    world.output.failing = True
    assert world.call("DELETE", "/v1/tasks/t-1")[0] == 200
    row = world.row()
    assert (row.status, row.published, row.due_at) == (Status.CANCELLED, False, 1060.0)
    assert json.loads(row.answer or "")["invocationStatus"] == "Failed"  # the runtime's dialect


def test_a_running_task_is_marked_for_its_agent(world: World) -> None:
    world.submit("t-1")
    begun = world.begin()
    status, view = world.call("DELETE", "/v1/tasks/t-1")
    assert (status, view["status"], view["cancel_requested"]) == (202, "running", True)
    assert world.call("DELETE", "/v1/tasks/t-1")[0] == 202
    held = world.agent.extend(begun.row, 1100.0)
    assert held is not None
    assert held.cancel
    finished = world.agent.finish(begun.row, status=Status.COMPLETED, answer="{}", now=1001.0)
    assert finished is not None
    status, body = world.call("DELETE", "/v1/tasks/t-1")
    assert (status, body["error"]["code"]) == (409, "conflict")


def test_a_handed_back_task_keeps_its_mark(world: World) -> None:
    world.submit("t-1")
    begun = world.begin()
    world.call("DELETE", "/v1/tasks/t-1")
    world.agent.give_back(begun.row, counted=True, now=1001.0)
    assert world.row().cancel
    assert world.call("DELETE", "/v1/tasks/t-1")[1]["status"] == "cancelled"


def test_a_tenant_sees_only_its_own(world: World) -> None:
    world.submit("t-1", "acme", uid="u")
    for tenant in (None, "shop"):
        assert world.call("GET", "/v1/tasks/t-1", tenant=tenant)[0] == 404
        assert world.call("DELETE", "/v1/tasks/t-1", tenant=tenant)[0] == 404
        assert world.call("GET", "/v1/tasks", tenant=tenant, uid="u")[1]["tasks"] == []
        assert world.call("GET", "/v1/tasks", tenant=tenant, status="accepted")[1]["tasks"] == []
    assert world.submit("t-1", "shop")[0] == 200  # two tenants may use one id
    assert [task["id"] for task in world.call("GET", "/v1/tasks", tenant="acme", uid="u")[1]["tasks"]] == ["t-1"]


def test_lists_are_paged_and_the_newest_comes_first(world: World) -> None:
    for number in range(7):
        world.now[0] = 1000.0 + number // 2
        world.submit(f"t-{number}", "acme", uid="u" if number else "v")
    found: list[list[str]] = []
    query = {"uid": "u", "limit": "4"}
    while True:
        status, page = world.call("GET", "/v1/tasks", tenant="acme", **query)
        assert status == 200
        found.append([task["id"] for task in page["tasks"]])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        # Another tenant gets nothing by it.
        assert world.call("GET", "/v1/tasks", tenant="shop", **query)[1]["tasks"] == []
    assert sorted(task_id for page in found for task_id in page) == [f"t-{number}" for number in range(1, 7)]
    assert found[0][0] == "t-6"
    world.call("DELETE", "/v1/tasks/t-3", tenant="acme")
    one = world.call("GET", "/v1/tasks", tenant="acme", status="cancelled")[1]["tasks"]
    assert [task["id"] for task in one] == ["t-3"]
    both = world.call("GET", "/v1/tasks", tenant="acme", status="accepted", uid="u")[1]["tasks"]
    assert len(both) == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "uid"),
        ({"status": "x"}, "status"),
        ({"uid": "u", "limit": "0"}, "limit"),
        ({"uid": "u", "limit": "101"}, "limit"),
        ({"uid": "u", "limit": "²"}, "limit"),
        ({"uid": "u", "cursor": "x"}, "cursor"),
        ({"uid": "u", "cursor": "ä"}, "cursor"),
        ({"uid": "u", "cursor": "eyJpZCI6ICJhIiwgImNyZWF0ZWRfYXQiOiAibmFuIn0"}, "cursor"),
        ({"uid": "u", "colour": "x"}, "colour"),
        ({"uid": "\ud800"}, "uid"),
    ],
)
def test_a_wrong_list_names_its_parameter(world: World, query: dict[str, str], field: str) -> None:
    status, body = world.call("GET", "/v1/tasks", **query)
    assert (status, body["error"]["field"]) == (400, field)


def test_a_forgotten_task_is_gone(world: World) -> None:
    world.submit("t-1", uid="u")
    world.now[0] += 32 * 86400
    assert world.call("GET", "/v1/tasks/t-1")[0] == 404
    assert world.call("GET", "/v1/tasks", uid="u")[1]["tasks"] == []
    assert world.submit("t-1", content={"prompt": "another"})[0] == 200


def test_a_batch_has_one_result_for_each_entry(world: World) -> None:
    good = [{**BODY, "id": f"t-{number}"} for number in range(20)]
    entries = [good[0], 5, {**BODY, "tasktype": "x"}, good[0], {**good[0], "uid": "other"}, *good[1:]]
    entries.append({**BODY, "id": "nowhere", "runtime": "none"})
    status, body = world.call("POST", "/v1/batches", {"tasks": entries})
    assert status == 200
    results = body["results"]
    assert [result["status"] for result in results] == [200, 400, 400, 200, 409, *[200] * 19, 404]
    assert [result["task"] and result["task"]["id"] for result in results[5:24]] == [entry["id"] for entry in good[1:]]
    assert results[2]["error"]["field"] == "tasks.2.tasktype"
    assert results[24]["error"]["field"] == "tasks.24.runtime"
    assert len(world.input.published) == 20


@pytest.mark.parametrize("body", [{}, {"tasks": []}, {"tasks": [{}] * 101}, {"tasks": 5}, {"tasks": [{}], "x": 1}])
def test_a_wrong_batch(world: World, body: Any) -> None:
    status, value = world.call("POST", "/v1/batches", body)
    assert (status, value["error"]["field"]) == (400, "tasks")


def test_a_batch_tells_what_could_not_be_taken_in(world: World) -> None:
    world.input.failing = True
    _ignored, body = world.call("POST", "/v1/batches", {"tasks": [BODY]})
    assert [(entry["status"], entry["error"]["code"]) for entry in body["results"]] == [(503, "unavailable")]


@pytest.mark.parametrize(("tenant", "folder"), [(None, "_uploads/"), ("acme", "acme/_uploads/")])
def test_an_upload_goes_under_the_tenants_own_prefix(world: World, tenant: str | None, folder: str) -> None:
    status, form = world.call("POST", "/v1/uploads", {"content_type": "image/png"}, tenant)
    assert status == 200
    assert (form["method"], form["expires_at"]) == ("POST", "1970-01-01T00:31:40.000Z")
    assert form["s3_url"].startswith(f"s3://sd-outputs/{folder}")
    assert form["s3_url"].endswith(".png")
    assert form["fields"]["key"] == form["s3_url"].removeprefix("s3://sd-outputs/")
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    assert ["content-length-range", 1, 32 * 1024 * 1024] in policy["conditions"]
    assert {"content-type": "image/png"} in policy["conditions"]
    assert {"key": form["fields"]["key"]} in policy["conditions"]


@pytest.mark.parametrize("body", [{}, {"content_type": "text/html"}, {"content_type": "image/png", "key": "x"}])
def test_a_wrong_upload(world: World, body: Any) -> None:
    status, value = world.call("POST", "/v1/uploads", body)
    assert (status, value["error"]["field"]) == (400, "content_type")


def test_a_body_that_is_too_large_hears_of_uploads(world: World) -> None:
    status, body = world.call("POST", "/v1/tasks", "x" * (6 * 1024 * 1024 + 1))
    assert status == 413
    assert "POST /v1/uploads" in body["error"]["message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=10,
)
BODIES: list[tuple[str, str, Any]] = [
    ("POST", "/v1alpha1", {"alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": "a", "id_task": "t"}}),
    ("POST", "/v1alpha2", {"task": {"metadata": {"id": "t", "tasktype": "image-to-image"}, "content": {}}}),
    ("POST", "/v1/tasks", BODY),
    ("PUT", "/v1/tasks/t-1", BODY),
    ("POST", "/v1/batches", {"tasks": BODY}),
    ("POST", "/v1/uploads", {"content_type": "image/png"}),
]


def _places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from _places(value[name], (*path, name))


def _spoiled(value: Any, path: tuple[str, ...], wrong: Any) -> Any:
    return wrong if not path else {**value, path[0]: _spoiled(value[path[0]], path[1:], wrong)}


PLACES = [(method, path, body, place) for method, path, body in BODIES for place in _places(body)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.sampled_from(PLACES), JSON)
def test_a_value_out_of_place_never_gives_5xx(world: World, place: tuple[Any, ...], wrong: Any) -> None:
    method, path, body, where = place
    before = len(world.input.published)
    status, _ignored = world.call(method, path, json.dumps(_spoiled(body, where, wrong)))
    assert status < 500
    if status >= 400:
        assert len(world.input.published) == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.sampled_from(BODIES), st.text() | JSON.filter(lambda value: not isinstance(value, dict)).map(json.dumps))
def test_a_body_that_is_no_object_is_refused(world: World, where: tuple[str, str, Any], text: str) -> None:
    status, _ignored = world.call(where[0], where[1], text)
    assert 400 <= status < 500
    assert world.input.published == []


def test_the_document_is_valid_and_tells_of_every_operation(world: World) -> None:
    response = world.app.respond({"httpMethod": "GET", "path": "/openapi.json", "resource": "/openapi.json"})
    assert response["statusCode"] == 200
    document = json.loads(response["body"])
    OpenAPIV31SpecValidator(document).validate()
    assert document == openapi.document()
    told = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    # What the application answers, and not what the list says, is what counts.
    for path, method in told:
        status, body = world.call(method, path.replace("{id}", "t-9"), "")
        assert status != 405
        assert body.get("error", {}).get("message", "") != f"there is no {path}"
    assert told == {(operation.path, operation.method) for operation in operations.OPERATIONS}
    for path in document["paths"]:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            if (path, method) not in told:
                assert world.call(method, path.replace("{id}", "t-9"), "")[0] == 405


def test_errors_have_the_documented_shape(world: World) -> None:
    _ignored, body = world.call("GET", "/v1/tasks/t-1")
    schema = openapi.document()["components"]["schemas"]["Error"]
    assert set(body) == set(schema["required"])
    assert set(body["error"]) == set(schema["properties"]["error"]["required"])


def _row() -> dict[str, Any]:
    return {
        "tenant": "acme",
        "id": "t",
        "status": Status.RUNNING,
        "runtime": "sd15",
        "body_digest": "d",
        "created_at": 1.0,
        "updated_at": 2.0,
        "expires_at": 3,
    }


def test_a_row_survives_the_table() -> None:
    row = Row(
        **_row(),
        uid="u",
        answer="{}",
        worker="w",
        context="{}",
        dialect="default",
        message="{}",
        lease_until=4.0,
        deadline=5.0,
        due_at=6.0,
        cancel=True,
        progress=0.25,
        attempt=2,
        run=1,
    )
    item = rows.encode(row)
    assert rows.decode(item) == row
    assert item["by_uid"] == {"S": "acme/u"}
    assert item["by_status"] == {"S": "acme/running"}
    assert item["due_shard"]["S"] in rows.DUE_SHARDS
    assert len(rows.by_uid("acme", "x" * 5000)) < 100


def test_the_document_knows_every_kind_of_task() -> None:
    assert {kind.value for kind in TaskType} == set(
        openapi.document()["components"]["schemas"]["NewTask"]["properties"]["tasktype"]["enum"]
    )
