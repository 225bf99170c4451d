"""The agent's edges: supervisor, table, AWS adapters, configuration, command."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from moto import mock_aws

from sd_agent.contract.errors import ConfigurationError, ErrorCode
from sd_agent.contract.rows import Status
from sd_agent.contract.task import Dialect, Task, TaskType
from sd_agent.worker import app
from sd_agent.worker.agent import Outcome
from sd_agent.worker.aws import S3Storage, SnsTopic, SqsQueue
from sd_agent.worker.config import Config, Secret
from sd_agent.worker.errors import Abandoned, TaskError, Unavailable
from sd_agent.worker.ports import BegunState
from sd_agent.worker.stop import Stop
from sd_agent.worker.supervisor import Beat, Hold, ThreadSupervisor
from sd_agent.worker.table import DynamoTable

ENVIRONMENT = {
    "SD_QUEUE_URL": "http://127.0.0.1:9/q",
    "SD_DLQ_URL": "http://127.0.0.1:9/d",
    "SD_OUTPUT_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:sd-output",
    "SD_BUCKET": "outputs",
    "SD_RUNTIME": "sd15",
    "SD_WEBUI_URL": "http://127.0.0.1:7860/",
}
TASK = Task(id="t", tasktype=TaskType.TEXT_TO_IMAGE, content={"prompt": "x"}, uid="u")


class Held:
    """A hold whose interrupt ends the work, as a WebUI's does."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self.extended = 0
        self.beat = Beat.HELD
        self.alive = True
        self.hold = Hold(extend=self._extend, interrupt=self.interrupted.set, alive=lambda: self.alive)

    def _extend(self) -> Beat:
        self.extended += 1
        return self.beat

    def work(self) -> str:
        assert self.interrupted.wait(5)
        self.hold.check()
        return "not reached"


def supervisor(stop: Stop, **changes: float) -> ThreadSupervisor:
    return ThreadSupervisor(stop=stop, **{"beat_s": 60.0, "timeout_s": 60.0, "grace_s": 60.0, **changes})


def test_the_works_result_and_errors_come_through() -> None:
    held = Held()
    assert supervisor(Stop()).run(lambda: 5, held.hold) == 5
    with pytest.raises(ZeroDivisionError):
        supervisor(Stop()).run(lambda: 1 / 0, held.hold)
    assert not held.interrupted.is_set()


def test_the_lease_is_extended_while_the_work_runs() -> None:
    held = Held()
    beats = threading.Event()

    def extend() -> Beat:
        held.extended += 1
        if held.extended == 3:
            beats.set()
        return Beat.HELD

    held.hold.extend = extend
    assert supervisor(Stop(), beat_s=0.001).run(lambda: beats.wait(5), held.hold)
    assert held.extended >= 3


@pytest.mark.parametrize("beat", [Beat.LOST, Beat.CANCELLED])
def test_a_lost_lease_or_a_cancelled_task_ends_the_work(beat: Beat) -> None:
    held = Held()
    held.beat = beat
    with pytest.raises(Abandoned) as caught:
        supervisor(Stop(), beat_s=0.001).run(held.work, held.hold)
    assert (caught.value.lost, caught.value.cancelled) == (beat is Beat.LOST, beat is Beat.CANCELLED)
    assert held.interrupted.is_set()


@pytest.mark.parametrize(
    ("alive", "code", "retry"), [(True, ErrorCode.TIMEOUT, False), (False, ErrorCode.WEBUI_ERROR, True)]
)
def test_work_that_takes_too_long(alive: bool, code: ErrorCode, retry: bool) -> None:
    held = Held()
    held.alive = alive
    with pytest.raises(TaskError) as caught:
        supervisor(Stop(), timeout_s=0.01).run(held.work, held.hold)
    assert (caught.value.code, caught.value.retry) == (code, retry)
    assert held.interrupted.is_set()


def test_a_stop_lets_the_work_end_if_it_fits() -> None:
    stop, held, started, finish = Stop(), Held(), threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        assert finish.wait(5)
        return "done"

    def later() -> None:
        assert started.wait(5)
        stop.request()
        finish.set()

    threading.Thread(target=later).start()
    assert supervisor(stop).run(work, held.hold) == "done"
    assert not held.interrupted.is_set()


def test_a_stop_interrupts_work_that_does_not_fit() -> None:
    stop, held = Stop(), Held()
    stop.request()
    with pytest.raises(Abandoned) as caught:
        supervisor(stop, grace_s=0.02).run(held.work, held.hold)
    assert not caught.value.lost
    assert held.hold.abandoned.is_set()


def test_work_that_ends_well_at_the_last_moment_counts() -> None:
    stop, held = Stop(), Held()
    stop.request()

    def work() -> str:
        assert held.interrupted.wait(5)
        return "stored already"

    assert supervisor(stop, grace_s=0.02).run(work, held.hold) == "stored already"


def test_stop_wakes_whoever_pauses() -> None:
    stop = Stop(clock=lambda: 7.0)
    threading.Thread(target=stop.request).start()
    stop.pause(5)
    stop.request()
    assert stop.requested
    assert stop.requested_at == 7.0
    stop.pause(5)


@pytest.fixture(scope="module")
def session() -> Any:
    """One botocore session: reading the services' models is what takes time."""
    return botocore.session.Session()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, session: Any) -> Iterator[Any]:
    """Makes clients of moto's AWS."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield lambda service: session.create_client(service, "us-east-1")


@pytest.fixture
def tables(cloud: Any) -> Any:
    """The task table as two workers see it."""
    client = cloud("dynamodb")
    keys = [("tenant", "HASH"), ("id", "RANGE")]
    client.create_table(
        TableName="sd-tasks",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ignored in keys],
    )
    return [DynamoTable(client=client, name="sd-tasks", worker=name, retention_days=30) for name in ("one", "two")]


def begin(table: Any, task: Task = TASK, now: float = 1000.0) -> Any:
    return table.begin(task, runtime="sd15", receives=1, now=now, lease_until=now + 60, deadline=now + 900)


def test_a_lease_is_one_workers(tables: Any) -> None:
    one, two = tables
    mine = begin(one)
    assert mine.state is BegunState.MINE
    assert (mine.row.attempt, mine.row.runtime, mine.row.uid, mine.row.published) == (1, "sd15", "u", True)
    assert mine.row.expires_at == 1000 + 30 * 86400
    assert begin(two).state is BegunState.HELD
    assert begin(one).row.attempt == 1  # its own claim, whose reply was lost
    assert one.extend(mine.row, 1100.0)
    assert not two.extend(mine.row, 2000.0)
    assert begin(two, now=1090.0).state is BegunState.HELD
    taken = begin(two, now=1101.0)
    assert (taken.state, taken.row.attempt) == (BegunState.MINE, 2)
    assert not one.extend(mine.row, 3000.0)
    assert one.finish(mine.row, status=Status.COMPLETED, answer="late", now=1102.0) is None


def test_an_answer_is_stored_once(tables: Any) -> None:
    one, two = tables
    row = begin(one).row
    finished = one.finish(row, status=Status.COMPLETED, answer="first", now=1001.0)
    assert (finished.status, finished.answer, finished.published) == (Status.COMPLETED, "first", False)
    assert one.finish(row, status=Status.FAILED, answer="second", now=1002.0) == finished
    one.mark_published(finished, 1003.0)
    ended = begin(two)
    assert ended.state is BegunState.ENDED
    assert (ended.row.published, ended.row.answer) == (True, "first")
    other = Task(id="t", tasktype=TaskType.TEXT_TO_IMAGE, content={"prompt": "other"})
    assert begin(two, other).state is BegunState.OTHER_BODY


def test_attempts_are_counted_but_not_those_handed_back(tables: Any) -> None:
    one, two = tables
    one.give_back(begin(one).row, counted=False, now=1.0)
    again = begin(two)
    assert (again.state, again.row.attempt) == (BegunState.MINE, 1)
    two.give_back(again.row, counted=True, now=2.0)
    third = begin(one)
    assert third.row.attempt == 2
    two.give_back(third.row, counted=False, now=3.0)  # not its own: nothing happens
    assert begin(two).state is BegunState.HELD


def test_the_table_vouches_for_what_intake_took_in(tables: Any) -> None:
    one, _ignored = tables
    acme = Task(id="t", tenant="acme", tasktype=TaskType.TEXT_TO_IMAGE, content={"prompt": "x"}, uid="u")
    assert not one.vouches(acme)
    begin(one, acme)
    assert one.vouches(acme)
    assert not one.vouches(Task(id="t", tenant="acme", tasktype=TaskType.PIPELINE, content={"1": {}}))


def test_the_queue_on_sqs(cloud: Any) -> None:
    client = cloud("sqs")
    url, dead = (client.create_queue(QueueName=name)["QueueUrl"] for name in ("q", "d"))
    adapter = SqsQueue(client=client, url=url, dlq_url=dead, poll_s=0, visibility_s=60)
    assert adapter.receive() is None
    attributes = {f"a{number}": {"DataType": "String", "StringValue": "v"} for number in range(10)}
    client.send_message(QueueUrl=url, MessageBody="body", MessageAttributes=attributes)
    message = adapter.receive()
    assert message is not None
    assert (message.body, message.receives, len(message.attributes)) == ("body", 1, 10)
    assert message.sent_at > 1_000_000_000
    assert adapter.receive() is None
    adapter.hide(message, 0)
    message = adapter.receive()
    assert message is not None
    assert message.receives == 2
    adapter.dead_letter(message, "why: " + "x" * 5000)
    adapter.acknowledge(message)
    [copy] = client.receive_message(QueueUrl=dead, MessageAttributeNames=["All"])["Messages"]
    assert copy["Body"] == "body"
    assert len(copy["MessageAttributes"]) == 10
    assert copy["MessageAttributes"]["reason"]["StringValue"].startswith("why: x")


def test_the_topic_and_the_bucket(cloud: Any) -> None:
    with pytest.raises(Unavailable, match="sns"):
        topic = SnsTopic(client=cloud("sns"), arn="arn:aws:sns:us-east-1:123456789012:nope")
        topic.publish("x", attributes={"id": "t"}, group="default")
    client = cloud("s3")
    client.create_bucket(Bucket="outputs")
    storage = S3Storage(client=client, bucket="outputs")
    storage.put("k", b"data", "image/png")
    assert storage.get("outputs", "k", 4) == b"data"
    with pytest.raises(ValueError, match="larger"):
        storage.get("outputs", "k", 3)
    with pytest.raises(LookupError):
        storage.get("outputs", "missing", 3)
    with pytest.raises(Unavailable, match="s3"):
        S3Storage(client=client, bucket="nowhere").put("k", b"", "x/y")


def test_the_least_environment() -> None:
    config = Config.from_environment(ENVIRONMENT)
    assert (config.webui_url, config.webui_kind, config.task_table) == ("http://127.0.0.1:7860", "a1111", None)
    assert (config.max_attempts, config.dynamic, config.models, config.dialect) == (3, False, (), Dialect.DEFAULT)
    assert config.input_buckets == {"outputs"}
    assert config.worker != Config.from_environment(ENVIRONMENT).worker


def test_the_whole_environment() -> None:
    changes = {
        "SD_TASK_TABLE": "sd-tasks",
        "SD_MODELS": "a.ckpt, b.ckpt,",
        "SD_DYNAMIC": "True",
        "SD_INPUT_ALLOW": "Images.Example:8080",
        "SD_INPUT_BUCKETS": "more",
        "SD_WEBUI_AUTH": "user:secret",
        "SD_DIALECT": "v1alpha1",
        "SD_GRACE_S": "100",
        "SD_TENANT_NAMES": "acme,other",
        "POD_NAME": "pod-1",
    }
    config = Config.from_environment({**ENVIRONMENT, **changes})
    assert config.models == ("a.ckpt", "b.ckpt")
    assert config.dynamic
    assert config.input_allow == {"images.example:8080"}
    assert config.input_buckets == {"outputs", "more"}
    assert config.tenant_names == {"acme", "other"}
    assert config.worker.startswith("pod-1-")
    assert config.webui_auth is not None
    assert config.webui_auth.reveal() == "user:secret"
    assert "secret" not in repr(config) + str(Secret("secret"))


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Config.from_environment({**ENVIRONMENT, name: " "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SD_QUEUE_URL", "queue"),
        ("SD_WEBUI_URL", "http://h:99999"),
        ("SD_WEBUI_KIND", "other"),
        ("SD_DYNAMIC", "maybe"),
        ("SD_DIALECT", "v2"),
        ("SD_GRACE_S", "0"),
        ("SD_GRACE_S", "-1"),
        ("SD_GRACE_S", "1.5"),
        ("SD_MAX_ATTEMPTS", "0"),
        ("SD_POLL_S", "21"),
        ("SD_TASK_TIMEOUT_S", "43200"),
        ("SD_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Config.from_environment({**ENVIRONMENT, name: value})


def test_the_adapter_for_a_kind() -> None:
    assert app.make_webui(Config.from_environment(ENVIRONMENT))
    with pytest.raises(ConfigurationError, match="comfyui"):
        app.make_webui(Config.from_environment({**ENVIRONMENT, "SD_WEBUI_KIND": "comfyui"}))


def test_the_loop_pauses_longer_while_things_are_down(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    pauses: list[float] = []
    down, idle = Outcome.UNAVAILABLE, Outcome.IDLE
    outcomes = [down, down, idle, down, *[down] * 6, Outcome.WEBUI_DOWN, idle]

    class Turns:
        def iterate(self) -> Outcome:
            if len(outcomes) == 1:
                stop.request()
            return outcomes.pop(0)

    monkeypatch.setattr(stop, "pause", pauses.append)
    app.serve(Turns(), stop)  # type: ignore[arg-type]
    assert pauses == [2, 4, 2, 4, 8, 16, 30, 30, 30, 1.0]


def run(**changes: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **changes,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "sd_agent.worker"], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_the_command_refuses_comfyui_by_name() -> None:
    process = run(SD_WEBUI_KIND="comfyui")
    _ignored, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    line = json.loads(errors.splitlines()[-1])
    assert "SD_WEBUI_KIND" in line["reason"]
    assert "comfyui" in line["reason"]


def test_the_command_ends_with_0_on_sigterm() -> None:
    process = run(SD_WEBUI_URL="http://127.0.0.1:9")
    assert process.stderr is not None
    try:
        first = json.loads(process.stderr.readline())
        assert first["message"] == "started"
        process.send_signal(signal.SIGTERM)
        _ignored, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(errors.splitlines()[-1])["message"] == "stopped"


def test_no_other_logger_is_touched() -> None:
    assert not [handler for handler in logging.getLogger().handlers if "sd_agent" in repr(handler)]
