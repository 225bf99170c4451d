"""The sweep on a simulated AWS: each thing that a crash can leave behind, with no agent running."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import botocore.session
import pytest
from moto import mock_aws

from sd_agent.contract import messages, rows
from sd_agent.contract.errors import ConfigurationError
from sd_agent.contract.routing import Route, RoutedBy
from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Dialect, Task, TaskType
from sd_agent.intake.aws import DynamoRoutes, S3Storage
from sd_agent.intake.ports import Unavailable
from sd_agent.intake.service import Intake
from sd_agent.sweep import handler
from sd_agent.sweep.aws import S3Contents, SqsDeadLetters, SweepTable
from sd_agent.sweep.config import Config
from sd_agent.sweep.service import Sweep
from sd_agent.worker.table import DynamoTable as AgentTable

REGION = "us-east-1"
ROUTES = '{"runtimes": {"gone": {"models": ["b.ckpt"]}, "sd15": {"models": ["a.ckpt"]}}}'
TASK = Task(
    id="t-1",
    tasktype=TaskType.TEXT_TO_IMAGE,
    content={"prompt": "A dog"},
    model="a.ckpt",
    tenant="acme",
    context={"k": 1},
)


class Topic:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.failing = False
        self.published: list[tuple[str, dict[str, str], str]] = []

    def publish(self, message: str, *, attributes: Any, group: str) -> None:
        if self.failing:
            raise Unavailable("sns", "out of order")
        self.published.append((message, dict(attributes), group))

    @property
    def texts(self) -> list[str]:
        return [message for message, _ignored, _ignored in self.published]


@dataclass
class World:
    intake: Intake
    sweep: Sweep
    agent: AgentTable
    table: SweepTable
    input: Topic
    output: Topic
    errors: Topic
    now: list[float]
    sqs: Any
    queue: str

    def run(self, after: float = 0.0) -> dict[str, int]:
        self.now[0] += after
        return dict(self.sweep.run(lambda: True))

    def row(self, task: Task = TASK) -> Row:
        row = self.table.get(task.tenant, task.id)
        assert row is not None
        return row

    def begin(self, task: Task = TASK) -> Row:
        now = self.now[0]
        begun = self.agent.begin(task, runtime="sd15", receives=1, now=now, lease_until=now + 60, deadline=now + 900)
        return begun.row

    def dead_letter(self, body: str, **attributes: str) -> None:
        self.sqs.send_message(
            QueueUrl=self.queue,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )

    def dead(self) -> list[tuple[str, str | None]]:
        answer = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=0
        )
        return [
            (message["Body"], message.get("MessageAttributes", {}).get("reason", {}).get("StringValue"))
            for message in answer.get("Messages", [])
        ]

    def error(self) -> dict[str, Any]:
        [text] = self.errors.texts
        answer = json.loads(text)
        assert answer["context"] == {"k": 1}
        code: dict[str, Any] = answer["error"]
        return code


def create_table(client: Any, name: str) -> None:
    indexes = {
        "by_uid": ("by_uid", "created_at"),
        "by_status": ("by_status", "created_at"),
        "due": ("due_shard", "due_at"),
    }
    texts = ("tenant", "id", "by_uid", "by_status", "due_shard")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_key("tenant", "id"),
        AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": "S"} for attribute in texts]
        + [{"AttributeName": attribute, "AttributeType": "N"} for attribute in ("created_at", "due_at")],
        GlobalSecondaryIndexes=[
            {"IndexName": index, "KeySchema": _key(*key), "Projection": {"ProjectionType": "KEYS_ONLY"}}
            for index, key in indexes.items()
        ],
    )
    item = rows.key(rows.SYSTEM_TENANT, rows.ROUTES_ID) | {"routes": rows.string(ROUTES)}
    client.put_item(TableName=name, Item=item)


def _key(hashed: str, ranged: str) -> list[dict[str, str]]:
    return [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": ranged, "KeyType": "RANGE"}]


@pytest.fixture(scope="module")
def simulated() -> Iterator[dict[str, Any]]:
    with mock_aws():
        session = botocore.session.Session()
        arguments = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
        clients = {name: session.create_client(name, **arguments) for name in ("dynamodb", "s3", "sqs")}
        clients["s3"].create_bucket(Bucket="sd-outputs")
        yield clients


@pytest.fixture
def world(simulated: dict[str, Any], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("sd_agent.sweep.aws._WAIT_S", 0)
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    dynamodb, sqs = simulated["dynamodb"], simulated["sqs"]
    create_table(dynamodb, name)
    queue = sqs.create_queue(QueueName=f"{name}-sd15-dlq")["QueueUrl"]
    table, now = SweepTable(client=dynamodb, name=name), [1000.0]
    given, output, errors = Topic(), Topic(), Topic()
    routes = DynamoRoutes(client=dynamodb, table=name)
    storage = S3Storage(client=simulated["s3"], bucket="sd-outputs")
    intake = Intake(table=table, topic=given, storage=storage, routes=routes, clock=lambda: now[0])
    sweep = Sweep(
        table=table,
        topic=given,
        answers=output,
        error_answers=errors,
        routes=routes,
        dead_letters=SqsDeadLetters(client=sqs, system=name),
        contents=S3Contents(client=simulated["s3"]),
        bucket="sd-outputs",
        region=REGION,
        retention_days=30,
        clock=lambda: now[0],
    )
    agent = AgentTable(client=dynamodb, name=name, worker="worker-1", retention_days=30)
    return World(intake, sweep, agent, table, given, output, errors, now, sqs, queue)


@pytest.mark.parametrize("prompt", ["A dog", "x" * 20_000, "x" * 300_000])
def test_a_task_that_was_accepted_but_not_published_is_published(world: World, prompt: str, simulated: Any) -> None:
    task = Task(id="t-1", tasktype=TaskType.TEXT_TO_IMAGE, content={"prompt": prompt}, model="a.ckpt", tenant="acme")
    world.input.failing = True
    with pytest.raises(Unavailable):
        world.intake.submit(task, "paid")
    world.input.failing = False
    assert world.run() == {}  # intake may still be at it
    assert world.run(after=61) == {"message published": 1}
    [(text, attributes, group)] = world.input.published
    assert attributes == {"runtime": "sd15", "sd_model_checkpoint": "a.ckpt", "tier": "paid"}
    assert group == "acme"
    opened = messages.open_message(text)
    if (reference := opened.content_ref) is not None:
        stored = simulated["s3"].get_object(Bucket=reference.bucket, Key=reference.key)["Body"].read()
        opened = messages.with_content(opened, stored)
    assert messages.task_of(opened) == task
    row = world.row(task)
    assert (row.published, row.message, row.due_at) == (True, None, row.deadline)
    assert world.run(after=60) == {}
    assert len(world.input.published) == 1


@pytest.mark.parametrize("published", [True, False])
def test_a_task_past_its_time_to_live_is_answered(world: World, published: bool) -> None:
    task = replace(TASK, ttl=30)
    world.input.failing = not published
    if published:
        world.intake.submit(task)
    else:
        with pytest.raises(Unavailable):
            world.intake.submit(task)
    world.input.failing = False
    assert world.run(after=29) == {}
    assert world.run(after=40) == {"answered failed": 1}
    assert world.error()["code"] == "expired"
    row = world.row(task)
    assert (row.status, row.published, row.due_at, row.message) == (Status.FAILED, True, 0, None)
    assert row.answer == world.errors.texts[0]
    assert world.run(after=1000) == {}
    assert len(world.errors.published) == 1


def test_every_task_has_a_time_to_live(world: World) -> None:
    world.intake.submit(TASK)
    assert world.run(after=6 * 86400) == {}
    assert world.run(after=2 * 86400) == {"answered failed": 1}


def test_a_task_at_work_is_left_to_its_agent(world: World) -> None:
    world.intake.submit(replace(TASK, ttl=30))
    world.now[0] += 20
    row = world.begin(replace(TASK, ttl=30))
    assert world.run(after=20) == {"is being worked on": 1}
    assert world.run(after=1) == {}  # not looked at again before the lease is over
    finished = world.agent.finish(row, status=Status.COMPLETED, answer='{"a": 1}', now=world.now[0])
    assert finished is not None
    assert world.errors.published == []


def test_a_task_whose_agent_died_expires_too(world: World) -> None:
    task = replace(TASK, ttl=30)
    world.intake.submit(task)
    world.begin(task)
    assert world.run(after=61) == {"answered failed": 1}
    assert world.error()["code"] == "expired"


def test_a_cancelled_task_whose_agent_died_is_answered(world: World) -> None:
    world.intake.submit(TASK)
    world.begin()
    marked = world.intake.cancel("acme", "t-1")
    assert marked is not None
    assert marked.status is Status.RUNNING
    assert world.run(after=61) == {"answered cancelled": 1}
    assert world.error()["code"] == "cancelled"


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_an_answer_that_was_stored_but_not_published_is_published(world: World, status: Status) -> None:
    world.intake.submit(TASK)
    assert world.agent.finish(world.begin(), status=status, answer='{"id":"t-1"}', now=world.now[0]) is not None
    assert world.run(after=30) == {}  # the agent may still be at it
    assert world.run(after=31) == {"answer published": 1}
    topic = world.output if status is Status.COMPLETED else world.errors
    expected = {"id": "t-1", "status": status.value, "runtime": "sd15", "tenant": "acme"}
    assert topic.published == [('{"id":"t-1"}', expected, "acme")]
    assert world.row().published
    assert world.run(after=60) == {}


def test_what_sqs_dead_lettered_is_answered(world: World) -> None:
    world.intake.submit(TASK)
    world.begin()
    world.now[0] += 61
    text = world.input.texts[0]
    world.dead_letter(json.dumps({"Type": "Notification", "Message": text}))
    world.dead_letter("put aside by an agent", reason="webui_error: x")
    assert world.run() == {"dead letter answered": 1}
    assert world.error()["code"] == "max_attempts"
    assert world.row().status is Status.FAILED
    assert sorted(reason or "" for _ignored, reason in world.dead()) == [
        "max_attempts: SQS gave the task up: it was received too often without an end",
        "webui_error: x",
    ]
    assert world.run() == {}
    assert len(world.errors.published) == 1


def test_a_dead_letter_whose_agent_lives_stays_as_it_is(world: World) -> None:
    world.intake.submit(TASK)
    world.begin()
    world.dead_letter(world.input.texts[0])
    assert world.run() == {}
    assert world.errors.published == []


@pytest.mark.parametrize(
    ("body", "reason", "answered"),
    [
        ("{", "invalid_request", 0),
        ('{"metadata": {"id": "bad"}}', "invalid_request", 1),
    ],
)
def test_dead_letters_that_cannot_be_read(world: World, body: str, reason: str, answered: int) -> None:
    world.dead_letter(body)
    assert world.run() == {"dead letter answered": 1}
    assert len(world.errors.published) == answered
    [(kept, noted)] = world.dead()
    assert kept == body
    assert (noted or "").startswith(reason)


def test_a_dead_letter_published_past_intake_is_of_the_default_tenant(world: World) -> None:
    world.dead_letter(messages.encode(TASK, Route(runtime="sd15", by=RoutedBy.MODEL)))
    assert world.run() == {"dead letter answered": 1}
    assert world.errors.published[0][1]["tenant"] == "default"
    assert world.table.get("acme", "t-1") is None


def test_a_dead_letter_of_an_answered_task_is_only_explained(world: World) -> None:
    world.intake.submit(TASK)
    finished = world.agent.finish(world.begin(), status=Status.COMPLETED, answer="{}", now=1000.0)
    assert finished is not None
    world.agent.mark_published(finished, 1000.0)
    world.dead_letter(world.input.texts[0])
    other = replace(TASK, tenant="default")
    world.intake.submit(other)
    world.dead_letter(messages.encode(replace(other, uid="x"), Route(runtime="sd15", by=RoutedBy.MODEL)))
    assert world.run() == {"dead letter answered": 2}
    assert (world.output.published, world.errors.published) == ([], [])
    assert sorted((reason or "").partition(":")[0] for _ignored, reason in world.dead()) == ["conflict", "max_attempts"]


def test_the_answer_is_in_the_dialect_asked_for(world: World) -> None:
    task = replace(TASK, ttl=1, dialect=Dialect.SAGEMAKER)
    world.intake.submit(task)
    world.run(after=61)
    answer = json.loads(world.errors.texts[0])
    assert (answer["invocationStatus"], answer["awsRegion"]) == ("Failed", REGION)
    assert answer["failureReason"].startswith("expired")


def test_runs_do_not_overlap(world: World) -> None:
    world.intake.submit(replace(TASK, ttl=1))
    world.now[0] += 61
    other = SweepTable(client=world.table._client, name=world.table._name)
    assert other.take_turn(world.now[0], world.now[0] + 120)
    assert world.run() == {"another run is under way": 1}
    other.end_turn()
    assert world.run() == {"answered failed": 1}
    assert other.take_turn(world.now[0], world.now[0] + 120)  # and then its process dies
    world.table.end_turn()  # which is not its turn
    assert world.run(after=100) == {"another run is under way": 1}
    assert world.run(after=21) == {}


def test_a_run_ends_in_time(world: World) -> None:
    for number in range(5):
        world.intake.submit(replace(TASK, id=f"t-{number}", ttl=1))
    world.now[0] += 61
    left = [True, True, False]
    assert dict(world.sweep.run(lambda: left.pop(0) if left else False)) == {"answered failed": 2}
    assert world.run() == {"answered failed": 3}


def test_what_fails_is_left_to_the_next_run(world: World) -> None:
    world.intake.submit(replace(TASK, ttl=1))
    world.errors.failing = True
    assert world.run(after=61) == {"failed": 1}
    world.errors.failing = False
    assert world.run(after=1) == {}
    assert world.run(after=60) == {"answer published": 1}
    assert world.error()["code"] == "expired"


def test_the_whole_lambda(simulated: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 60_000

    create_table(simulated["dynamodb"], "whole-tasks")
    environment = {
        "SD_NAME": "whole",
        "SD_INPUT_TOPIC_ARN": "arn:in",
        "SD_OUTPUT_TOPIC_ARN": "arn:out",
        "SD_TASK_TABLE": "whole-tasks",
        "SD_BUCKET": "sd-outputs",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert handler.handler({}, Context()) == {}


@pytest.mark.parametrize("name", ["SD_NAME", "SD_INPUT_TOPIC_ARN", "SD_OUTPUT_TOPIC_ARN", "SD_TASK_TABLE", "SD_BUCKET"])
def test_a_wrong_environment_names_its_variable(name: str) -> None:
    names = ["SD_NAME", "SD_INPUT_TOPIC_ARN", "SD_OUTPUT_TOPIC_ARN", "SD_TASK_TABLE", "SD_BUCKET"]
    with pytest.raises(ConfigurationError, match=name):
        Config.from_environment({other: "x" for other in names if other != name})
