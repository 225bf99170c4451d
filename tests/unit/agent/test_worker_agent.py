"""The agent's iterations: ports in memory, and a small real HTTP WebUI."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sd_agent.contract import messages
from sd_agent.contract.messages import ContentRef
from sd_agent.contract.routing import Route, RoutedBy
from sd_agent.contract.rows import Row, Status
from sd_agent.contract.task import Dialect, Task, TaskType
from sd_agent.worker.agent import Agent, Outcome, backoff
from sd_agent.worker.config import Config
from sd_agent.worker.errors import Abandoned
from sd_agent.worker.fetch import HttpFetcher
from sd_agent.worker.inputs import InputFetcher
from sd_agent.worker.runner import TaskRunner
from sd_agent.worker.stop import Stop
from sd_agent.worker.supervisor import Beat, Hold
from sd_agent.worker.table import NoTable
from sd_agent.worker.webui.a1111 import A1111
from sd_agent.worker.webui.http import WebUIClient

IMAGE = b"\x89PNG\r\n\x1a\n....IEND\xaeB`\x82"
PNG = base64.b64encode(IMAGE).decode()
SHA = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"
INFO = {"sd_model_name": "a", "sd_model_hash": SHA[:10], "all_seeds": [11]}
TASK = Task(
    id="t-1",
    tasktype=TaskType.TEXT_TO_IMAGE,
    content={"prompt": "A dog"},
    prefix="p",
    model="a.ckpt",
    context={"k": 1},
)
FLAT = {
    "alwayson_scripts": {"task": "image-to-image", "sd_model_checkpoint": "a.ckpt [6ce0161689]", "id_task": "31311"},
    "prompt": "A fantasy landscape",
    "s3_output_path": "s3://bucket/outputs/31311",
}


class Inline:
    """A supervisor without threads; `during` runs before the work, and may end it by raising."""

    def __init__(self) -> None:
        self.during: Callable[[Hold], None] = lambda hold: None

    def run(self, work: Callable[[], Any], hold: Hold) -> Any:
        self.during(hold)
        return work()


@dataclass
class World:
    agent: Agent
    queue: Any
    table: Any
    topic: Any
    storage: Any
    webui: Any
    supervisor: Inline
    stop: Stop
    now: list[float]
    error_topic: Any = None

    def send(self, task: Task = TASK, envelope: bool = True) -> None:
        by = RoutedBy.RUNTIME if task.runtime else RoutedBy.MODEL
        text = messages.encode(task, Route(runtime="sd15", by=by))
        self.queue.send({"Type": "Notification", "Message": text} if envelope else text)

    def iterate(self) -> Outcome:
        return self.agent.iterate()

    @property
    def generations(self) -> int:
        return len(self.webui.got("POST /sdapi/v1/txt2img")) + len(self.webui.got("POST /sdapi/v1/img2img"))

    def error(self) -> tuple[str, str]:
        [answer] = self.topic.answers
        assert (answer["status"], answer["result"], answer["image_url"]) == ("failed", False, [])
        return answer["error"]["code"], answer["error"]["message"]


def make(memory: Any, http_fake: Any, table: Any = None, error_topic: Any = None, **changes: Any) -> World:
    result = {"images": [PNG], "parameters": {"prompt": "A dog"}, "info": json.dumps(INFO)}
    http_fake.reply("GET /sdapi/v1/options", {"sd_checkpoint_hash": SHA})
    entry = {"title": f"a.ckpt [{SHA[:10]}]", "model_name": "a", "filename": "/m/a.ckpt", "sha256": SHA}
    http_fake.reply("GET /sdapi/v1/sd-models", [entry])
    http_fake.reply("POST /sdapi/v1/txt2img", result)
    http_fake.reply("POST /sdapi/v1/img2img", result)
    http_fake.reply("GET /sdapi/v1/progress", {"state": {}})
    http_fake.reply("GET /input.png", IMAGE)
    config = Config(
        queue_url="https://q",
        dlq_url="https://d",
        output_topic_arn="arn",
        bucket="bucket",
        runtime="sd15",
        webui_url=http_fake.url,
        worker="worker-1",
        region="us-east-1",
        **changes,
    )
    queue, topic, storage = memory["queue"](), memory["topic"](), memory["storage"]()
    table = table or memory["table"]()
    webui = A1111(client=WebUIClient(url=http_fake.url, slow_s=10))
    allow = {f"127.0.0.1:{http_fake.port}"}
    fetcher = InputFetcher(http=HttpFetcher(allow=allow), storage=storage, buckets={"bucket"})
    now, stop, supervisor = [1000.0], Stop(), Inline()
    agent = Agent(
        config=config,
        queue=queue,
        table=table,
        topic=topic,
        error_topic=error_topic,
        storage=storage,
        webui=webui,
        runner=TaskRunner(webui=webui, fetcher=fetcher, storage=storage, bucket="bucket"),
        supervisor=supervisor,
        stop=stop,
        clock=lambda: now[0],
    )
    return World(agent, queue, table, topic, storage, http_fake, supervisor, stop, now, error_topic)


@pytest.fixture
def world(memory: Any, http_fake: Any) -> World:
    return make(memory, http_fake)


@pytest.mark.parametrize("envelope", [True, False])
def test_a_task_gives_images_an_answer_and_then_an_acknowledgement(world: World, envelope: bool) -> None:
    world.send(envelope=envelope)
    assert world.iterate() is Outcome.COMPLETED
    assert world.storage.objects["bucket", "p/t-1/t-1-1.png"] == (IMAGE, "image/png")
    output = json.loads(world.storage.objects["bucket", "p/t-1/t-1.out"][0])
    assert output == {"parameters": {"prompt": "A dog"}, "info": json.dumps(INFO)}
    [(text, attributes, group)] = world.topic.published
    answer = json.loads(text)
    assert attributes == {"id": "t-1", "status": "completed", "runtime": "sd15", "tenant": "default"}
    assert group == "default"
    usage = answer.pop("usage")
    assert answer == {
        "id": "t-1",
        "answer_id": answer["answer_id"],
        "result": True,
        "status": "completed",
        "runtime": "sd15",
        "image_url": ["s3://bucket/p/t-1/t-1-1.png"],
        "output_url": "s3://bucket/p/t-1/t-1.out",
        "context": {"k": 1},
        "error": None,
    }
    assert (usage["queue_seconds"], usage["attempts"]) == (10.0, 1)
    assert world.queue.acknowledged == ["m-1"]
    row = world.table.rows["default", "t-1"]
    assert (row.status, row.published, row.answer) == (Status.COMPLETED, True, text)
    assert world.iterate() is Outcome.IDLE


def test_the_older_flat_shape_with_an_input(world: World) -> None:
    body = json.loads(json.dumps(FLAT))
    body["alwayson_scripts"]["image_link"] = f"{world.webui.url}/input.png"
    world.queue.send({"Type": "Notification", "Message": json.dumps(body)})
    assert world.iterate() is Outcome.COMPLETED
    [call] = world.webui.got("POST /sdapi/v1/img2img")
    assert call.json["init_images"] == [PNG]
    assert "alwayson_scripts" not in call.json
    assert b"http" not in call.body
    assert ("bucket", "outputs/31311/31311-1.png") in world.storage.objects


def test_the_answer_comes_before_the_acknowledgement(world: World) -> None:
    world.send()
    world.topic.failing = {"publish"}
    assert world.iterate() is Outcome.UNAVAILABLE
    assert world.queue.acknowledged == []
    assert world.queue.hidden == [("m-1", 5)]
    world.topic.failing = set()
    assert world.iterate() is Outcome.REPEATED
    assert world.generations == 1
    assert world.topic.published[0][0] == world.table.rows["default", "t-1"].answer
    assert world.queue.acknowledged == ["m-1"]


def test_a_repeated_message_is_acknowledged_without_work(world: World) -> None:
    world.send()
    world.iterate()
    world.send()
    assert world.iterate() is Outcome.REPEATED
    assert (world.generations, len(world.topic.published)) == (1, 1)
    assert world.queue.acknowledged == ["m-1", "m-2"]


def test_an_acknowledgement_that_fails_is_made_up_for(world: World) -> None:
    world.send()
    world.queue.failing = {"acknowledge"}
    assert world.iterate() is Outcome.UNAVAILABLE
    world.queue.failing = set()
    assert world.iterate() is Outcome.REPEATED
    assert (world.generations, len(world.topic.published)) == (1, 1)


def test_an_answer_that_is_not_noted_as_published_is_still_acknowledged(world: World) -> None:
    world.send()
    world.table.failing = {"mark_published"}
    assert world.iterate() is Outcome.COMPLETED
    assert world.queue.acknowledged == ["m-1"]


def test_a_task_that_another_agent_holds_is_left_to_it(world: World) -> None:
    world.send()
    world.table.me = "worker-2"
    world.table.begin(TASK, runtime="sd15", receives=1, now=1000.0, lease_until=1030.5)
    world.table.me = "worker-1"
    assert world.iterate() is Outcome.LEFT
    assert world.queue.hidden == [("m-1", 32)]
    assert world.queue.acknowledged == []
    world.now[0] = 1031.0  # the other one is gone
    assert world.iterate() is Outcome.COMPLETED
    assert world.topic.answers[0]["usage"]["attempts"] == 2


def test_another_request_under_a_used_id_gets_no_answer(world: World) -> None:
    world.send()
    world.iterate()
    world.send(replace(TASK, content={"prompt": "A cat"}))
    assert world.iterate() is Outcome.DEAD_LETTERED
    assert world.queue.dead[0][1].startswith("conflict")
    assert (world.generations, len(world.topic.published)) == (1, 1)


def test_a_claim_that_fails_puts_the_message_back(world: World) -> None:
    world.send()
    world.table.failing = {"begin"}
    assert world.iterate() is Outcome.UNAVAILABLE
    assert world.iterate() is Outcome.UNAVAILABLE
    assert world.queue.hidden == [("m-1", 5), ("m-1", 10)]
    world.table.failing = set()
    assert world.iterate() is Outcome.COMPLETED
    world.queue.failing = {"receive"}
    assert world.iterate() is Outcome.UNAVAILABLE


@pytest.mark.parametrize("body", ["not json", "[]", "{}", '{"Type": "Notification", "Message": "x"}', "\ufffd"])
def test_a_message_without_an_id_is_dead_lettered(world: World, body: str) -> None:
    world.queue.send(body, {"runtime": "sd15"})
    assert world.iterate() is Outcome.DEAD_LETTERED
    [(message, reason)] = world.queue.dead
    assert message.body == body
    assert reason.startswith("invalid_request: ")
    assert world.queue.acknowledged == ["m-1"]
    assert world.topic.published == []


def test_an_unreadable_message_with_an_id_is_answered_and_dead_lettered(world: World) -> None:
    world.queue.send({"metadata": {"id": "t-9", "tasktype": "text-to-video"}, "content": {}})
    assert world.iterate() is Outcome.FAILED
    code, message = world.error()
    assert code == "invalid_request"
    assert "metadata.tasktype" in message
    assert len(world.queue.dead) == 1
    assert world.queue.acknowledged == ["m-1"]
    assert world.table.rows["default", "t-9"].status is Status.FAILED


def test_an_unreadable_message_does_not_answer_for_a_good_one(world: World) -> None:
    world.send()
    world.iterate()
    world.queue.send({"metadata": {"id": "t-1", "tasktype": "nonsense"}, "content": {}})
    assert world.iterate() is Outcome.DEAD_LETTERED
    assert len(world.topic.published) == 1


def test_a_mistake_in_the_request_is_answered_at_once(world: World) -> None:
    world.webui.reply("POST /sdapi/v1/txt2img", {"error": "KeyError", "detail": "", "body": "", "errors": "'x'"}, 500)
    world.send()
    assert world.iterate() is Outcome.FAILED
    assert world.error()[0] == "invalid_request"
    assert world.queue.dead == []
    assert world.queue.acknowledged == ["m-1"]


def test_what_a_retry_can_heal_is_retried_with_backoff_and_then_answered(world: World) -> None:
    world.webui.reply("POST /sdapi/v1/txt2img", b"<html>", 502)
    world.send()
    assert [world.iterate() for _ignored in range(3)] == [Outcome.RETRY, Outcome.RETRY, Outcome.FAILED]
    assert world.queue.hidden == [("m-1", 5), ("m-1", 10)]
    assert world.error()[0] == "webui_error"
    assert world.topic.answers[0]["usage"]["attempts"] == 3
    assert world.queue.dead[0][1].startswith("max_attempts: webui_error: ")
    assert (world.generations, world.queue.acknowledged) == (3, ["m-1"])


def test_attempts_that_agents_did_not_survive_count(world: World) -> None:
    world.send()
    for attempt in range(3):
        world.table.me = f"dead-{attempt}"
        world.table.begin(TASK, runtime="sd15", receives=1, now=world.now[0], lease_until=world.now[0])
        world.now[0] += 1
    world.table.me = "worker-1"
    assert world.iterate() is Outcome.FAILED
    assert world.error()[0] == "max_attempts"
    assert world.queue.dead[0][1].startswith("max_attempts: ")
    assert world.generations == 0


def test_storage_that_fails(world: World) -> None:
    world.storage.failing = {"put"}
    world.send()
    assert [world.iterate() for _ignored in range(3)] == [Outcome.RETRY, Outcome.RETRY, Outcome.FAILED]
    assert world.error()[0] == "storage_error"


def test_a_mistake_of_ours_is_no_crash_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.storage, "put", lambda *_ignored: 1 / 0)
    world.send()
    assert [world.iterate() for _ignored in range(3)] == [Outcome.RETRY, Outcome.RETRY, Outcome.FAILED]
    assert "division" not in world.error()[1]


def test_a_refused_input(world: World) -> None:
    content = {"prompt": "x", "init_images": ["http://169.254.169.254/latest"]}
    world.send(replace(TASK, tasktype=TaskType.IMAGE_TO_IMAGE, content=content))
    assert world.iterate() is Outcome.FAILED
    assert world.error()[0] == "input_refused"
    assert world.generations == 0


def test_a_stop_while_a_task_runs_hands_it_back_uncounted(world: World) -> None:
    def stopping(hold: Hold) -> None:
        raise Abandoned("stopping")

    world.supervisor.during = stopping
    world.send()
    assert world.iterate() is Outcome.HANDED_BACK
    assert world.queue.hidden == [("m-1", 0)]
    row = world.table.rows["default", "t-1"]
    assert (row.status, row.attempt, row.worker) == (Status.ACCEPTED, 0, None)
    assert world.queue.acknowledged == []
    world.supervisor.during = lambda hold: None
    assert world.iterate() is Outcome.COMPLETED


def test_an_abandoned_task_stores_nothing(world: World) -> None:
    world.supervisor.during = lambda hold: hold.abandoned.set()
    world.send()
    assert world.iterate() is Outcome.HANDED_BACK
    assert world.storage.objects == {}


def test_a_message_that_comes_with_the_stop_goes_back(world: World) -> None:
    world.send()
    world.stop.request()
    assert world.iterate() is Outcome.HANDED_BACK
    assert world.queue.hidden == [("m-1", 0)]
    assert world.table.rows == {}


def test_a_lost_lease_loses_quietly(world: World) -> None:
    def stolen(hold: Hold) -> None:
        row: Row = world.table.rows["default", "t-1"]
        world.table.rows["default", "t-1"] = replace(row, worker="worker-2", attempt=2)
        assert hold.extend() is Beat.LOST

    world.supervisor.during = stolen
    world.send()
    assert world.iterate() is Outcome.LOST
    assert world.topic.published == []
    assert world.queue.acknowledged == []


def test_the_answer_of_whoever_was_faster_counts(world: World) -> None:
    def faster(hold: Hold) -> None:
        row: Row = world.table.rows["default", "t-1"]
        ended = replace(row, status=Status.COMPLETED, worker="worker-2", answer='{"theirs":1}', published=False)
        world.table.rows["default", "t-1"] = ended

    world.supervisor.during = faster
    world.send()
    assert world.iterate() is Outcome.COMPLETED
    assert [text for text, _ignored, _ignored in world.topic.published] == ['{"theirs":1}']


def test_the_lease_is_extended_with_the_visibility(world: World) -> None:
    def beat(hold: Hold) -> None:
        world.now[0] = 1020.0
        assert hold.extend() is Beat.HELD
        assert world.table.rows["default", "t-1"].lease_until == 1080.0
        world.table.failing = {"extend"}
        assert hold.extend() is Beat.HELD  # another beat will follow
        world.table.failing = set()

    world.supervisor.during = beat
    world.send()
    assert world.iterate() is Outcome.COMPLETED
    assert world.queue.hidden == [("m-1", 60)]


def test_a_task_that_is_cancelled_at_work_is_answered_so(world: World) -> None:
    def cancelled(hold: Hold) -> None:
        row: Row = world.table.rows["default", "t-1"]
        world.table.rows["default", "t-1"] = replace(row, cancel=True)
        assert hold.extend() is Beat.CANCELLED
        raise Abandoned("the task was cancelled", cancelled=True)

    world.supervisor.during = cancelled
    world.send()
    assert world.iterate() is Outcome.CANCELLED
    [(text, attributes, _ignored)] = world.topic.published
    answer = json.loads(text)
    assert (answer["status"], answer["result"], answer["error"]["code"]) == ("cancelled", False, "cancelled")
    assert answer["context"] == {"k": 1}
    assert attributes["status"] == "cancelled"
    assert (world.queue.acknowledged, world.storage.objects) == (["m-1"], {})


def test_a_task_that_was_cancelled_before_is_not_begun(world: World) -> None:
    world.table.begin(TASK, runtime="sd15", receives=1, now=1.0, lease_until=2.0)
    row: Row = world.table.rows["default", "t-1"]
    world.table.rows["default", "t-1"] = replace(row, cancel=True)
    world.send()
    assert world.iterate() is Outcome.CANCELLED
    assert world.generations == 0


def test_an_expired_task_takes_no_gpu_time(world: World) -> None:
    world.send(replace(TASK, ttl=9))  # it was sent at 990, and now is 1000
    assert world.iterate() is Outcome.FAILED
    assert world.error()[0] == "expired"
    assert (world.generations, world.queue.dead, world.queue.acknowledged) == (0, [], ["m-1"])
    world.send(replace(TASK, id="t-2", ttl=11))
    assert world.iterate() is Outcome.COMPLETED


def test_no_message_is_taken_while_the_webui_is_down(world: World) -> None:
    world.webui.reply("GET /sdapi/v1/sd-models", b"", 503)
    world.send()
    assert world.iterate() is Outcome.WEBUI_DOWN
    assert world.queue.waiting[0].receives == 0


def test_a_tenant_counts_if_intake_took_the_task_in(world: World) -> None:
    task = replace(TASK, tenant="acme")
    world.table.begin(task, runtime="sd15", receives=0, now=1.0, lease_until=0.0)
    world.send(task)
    assert world.iterate() is Outcome.COMPLETED
    assert world.topic.published[0][1]["tenant"] == "acme"
    assert ("bucket", "acme/p/t-1/t-1-1.png") in world.storage.objects


def test_whoever_publishes_past_intake_is_the_default_tenant(world: World) -> None:
    world.send(replace(TASK, tenant="acme"))
    assert world.iterate() is Outcome.COMPLETED
    assert world.topic.published[0][1]["tenant"] == "default"
    assert ("bucket", "p/t-1/t-1-1.png") in world.storage.objects


def test_nobody_publishes_into_a_tenants_place(memory: Any, http_fake: Any) -> None:
    world = make(memory, http_fake, tenant_names=frozenset({"acme"}))
    world.send(replace(TASK, tenant="acme", prefix="acme/p"))
    assert world.iterate() is Outcome.FAILED
    assert world.error()[0] == "invalid_request"
    assert world.storage.objects == {}


def by_reference(world: World, bucket: str = "bucket", sha256: str | None = None) -> None:
    content = json.dumps({"prompt": "large"}).encode()
    world.storage.objects["bucket", "_requests/default/t-1/d.json"] = (content, "application/json")
    reference = ContentRef(
        bucket=bucket, key="_requests/default/t-1/d.json", sha256=sha256 or hashlib.sha256(content).hexdigest()
    )
    world.queue.send(messages.encode(TASK, Route(runtime="sd15", by=RoutedBy.MODEL), content_ref=reference))


def test_a_content_that_travels_by_s3(world: World) -> None:
    by_reference(world)
    world.storage.failing = {"get"}
    assert world.iterate() is Outcome.UNAVAILABLE
    world.storage.failing = set()
    assert world.iterate() is Outcome.COMPLETED
    assert world.webui.got("POST /sdapi/v1/txt2img")[0].json["prompt"] == "large"


@pytest.mark.parametrize("changes", [{"bucket": "elsewhere"}, {"sha256": "0"}])
def test_a_content_that_is_not_the_one(world: World, changes: dict[str, str]) -> None:
    by_reference(world, **changes)
    assert world.iterate() is Outcome.FAILED
    assert world.error()[0] == "invalid_request"
    assert len(world.queue.dead) == 1


def test_a_content_that_is_gone(world: World) -> None:
    by_reference(world)
    world.storage.objects.clear()
    assert world.iterate() is Outcome.FAILED


def test_without_a_table(memory: Any, http_fake: Any) -> None:
    world = make(memory, http_fake, table=NoTable())
    world.send(replace(TASK, tenant="acme"))
    assert world.iterate() is Outcome.COMPLETED
    assert world.topic.published[0][1]["tenant"] == "acme"
    world.webui.reply("POST /sdapi/v1/txt2img", b"", 500)
    world.send()
    assert [world.iterate() for _ignored in range(3)] == [Outcome.RETRY, Outcome.RETRY, Outcome.FAILED]
    assert world.queue.acknowledged == ["m-1", "m-2"]


def test_dialects_by_runtime_and_by_request(memory: Any, http_fake: Any) -> None:
    world = make(memory, http_fake, dialect=Dialect.V1ALPHA1)
    world.send()
    world.iterate()
    assert world.topic.answers[0]["parameters"] == {
        "prompt": "A dog",
        "id_task": "t-1",
        "status": 1,
        "image_url": "s3://bucket/p/t-1/t-1-1.png",
        "image_seed": "11",
        "error_msg": "",
        "image_mask_url": "",
    }
    world.send(replace(TASK, id="t-2", dialect=Dialect.SAGEMAKER))
    world.iterate()
    answer = world.topic.answers[1]
    assert answer["invocationStatus"] == "Completed"
    assert answer["requestParameters"]["inputLocation"] == "s3://bucket/p/t-2/t-2.in"
    assert json.loads(world.storage.objects["bucket", "p/t-2/t-2.in"][0]) == {"prompt": "A dog"}


def test_a_failure_names_its_stored_input(memory: Any, http_fake: Any) -> None:
    world = make(memory, http_fake, dialect=Dialect.SAGEMAKER)
    world.webui.reply("POST /sdapi/v1/txt2img", {"detail": "no"}, 422)
    world.send()
    assert world.iterate() is Outcome.FAILED
    [answer] = world.topic.answers
    assert answer["invocationStatus"] == "Failed"
    assert answer["requestParameters"]["inputLocation"] == "s3://bucket/p/t-1/t-1.in"
    assert json.loads(world.storage.objects["bucket", "p/t-1/t-1.in"][0]) == {"prompt": "A dog"}


def test_a_failure_is_told_though_its_input_cannot_be_stored(memory: Any, http_fake: Any) -> None:
    world = make(memory, http_fake, dialect=Dialect.SAGEMAKER, max_attempts=1)
    world.storage.failing = {"put"}
    world.send()
    assert world.iterate() is Outcome.FAILED
    assert world.topic.answers[0]["requestParameters"]["inputLocation"] is None
    assert world.topic.answers[0]["failureReason"].startswith("storage_error: ")


def test_failures_can_have_a_topic_of_their_own(memory: Any, http_fake: Any) -> None:
    world = make(memory, http_fake, error_topic=memory["topic"]())
    world.send()
    assert world.iterate() is Outcome.COMPLETED
    world.webui.reply("POST /sdapi/v1/txt2img", {"detail": "no"}, 422)
    world.send(replace(TASK, id="t-2"))
    assert world.iterate() is Outcome.FAILED
    assert [answer["id"] for answer in world.topic.answers] == ["t-1"]
    assert [answer["id"] for answer in world.error_topic.answers] == ["t-2"]
    assert world.error_topic.published[0][1]["status"] == "failed"


def test_an_answer_always_fits_the_topic(memory: Any, http_fake: Any) -> None:
    world = make(memory, http_fake, dialect=Dialect.V1ALPHA1)
    parameters = {"prompt": "x" * 300_000}
    result = {"images": [PNG], "parameters": parameters, "info": json.dumps(INFO)}
    world.webui.reply("POST /sdapi/v1/txt2img", result)
    world.send()
    assert world.iterate() is Outcome.COMPLETED
    assert len(world.topic.published[0][0]) < 10_000
    assert world.topic.answers[0]["parameters"]["status"] == 1


def test_backoff_doubles_up_to_five_minutes() -> None:
    assert [backoff(failures) for failures in (1, 2, 3, 7, 100)] == [5, 10, 20, 300, 300]
