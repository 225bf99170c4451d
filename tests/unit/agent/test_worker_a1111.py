"""The adapter of SD WebUI: pure parts, scripted odd replies, and the simulator."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from sandbox.webui.a1111.arguments import parse
from sandbox.webui.a1111.knobs import Knobs
from sandbox.webui.a1111.server import application
from sandbox.webui.a1111.simulator import Simulator
from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.task import Task, TaskType
from sd_agent.worker.config import Secret
from sd_agent.worker.errors import TaskError
from sd_agent.worker.webui.a1111 import A1111
from sd_agent.worker.webui.a1111_errors import error_of
from sd_agent.worker.webui.a1111_models import Checkpoint, find, is_loaded, read_checkpoints
from sd_agent.worker.webui.a1111_results import Asked, read_generation
from sd_agent.worker.webui.http import Reply, WebUIClient

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n....IEND\xaeB`\x82").decode()
SHA = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"
TASK = Task(id="t", tasktype=TaskType.TEXT_TO_IMAGE, content={}, model="v1-5-pruned-emaonly.safetensors")


def reply(value: Any, status: int = 200) -> Reply:
    return Reply(status=status, body=value if isinstance(value, bytes) else json.dumps(value).encode())


def handler_error(name: str, detail: str = "", errors: str = "") -> dict[str, str]:
    return {"error": name, "detail": detail, "body": "", "errors": errors}


@pytest.mark.parametrize(
    ("status", "body", "code", "retry"),
    [
        (422, {"detail": [{"loc": ["body", "width"], "msg": "not an integer"}]}, ErrorCode.INVALID_REQUEST, False),
        (422, handler_error("HTTPException", "Script 'x' not found"), ErrorCode.INVALID_REQUEST, False),
        (404, handler_error("HTTPException", "Init image not found"), ErrorCode.INVALID_REQUEST, False),
        (500, handler_error("HTTPException", "Invalid encoded image"), ErrorCode.INVALID_REQUEST, False),
        (500, handler_error("ZeroDivisionError", errors="division by zero"), ErrorCode.INVALID_REQUEST, False),
        (500, handler_error("KeyError", errors="'nosuchkey'"), ErrorCode.INVALID_REQUEST, False),
        (500, handler_error("AssertionError"), ErrorCode.INVALID_REQUEST, False),
        (500, handler_error("OSError", errors="image file is truncated"), ErrorCode.INVALID_REQUEST, False),
        (500, handler_error("OSError", errors="No space left on device"), ErrorCode.WEBUI_ERROR, True),
        (500, handler_error("RuntimeError", errors="model 'nope' not found"), ErrorCode.MODEL_NOT_FOUND, False),
        (500, handler_error("RuntimeError", errors="Given groups=1, weight"), ErrorCode.INVALID_REQUEST, False),
        (500, handler_error("RuntimeError", errors="CUDA error: an illegal"), ErrorCode.WEBUI_ERROR, True),
        (500, handler_error("OutOfMemoryError", errors="CUDA out of memory"), ErrorCode.WEBUI_ERROR, True),
        (500, handler_error("NansException", errors="A tensor with NaNs"), ErrorCode.WEBUI_ERROR, False),
        (500, handler_error("SafetensorError", errors="header"), ErrorCode.MODEL_NOT_READY, True),
        (500, handler_error("FileNotFoundError", errors="No checkpoints"), ErrorCode.MODEL_NOT_READY, True),
        (500, handler_error("SomethingNew", errors="?"), ErrorCode.WEBUI_ERROR, True),
        (401, handler_error("HTTPException", "Incorrect username or password"), ErrorCode.WEBUI_ERROR, False),
        (404, {"detail": "Not Found"}, ErrorCode.WEBUI_ERROR, False),
        (405, {"detail": "Method Not Allowed"}, ErrorCode.WEBUI_ERROR, False),
        (502, {"detail": "Bad Gateway"}, ErrorCode.WEBUI_ERROR, True),
        (500, b"Internal Server Error", ErrorCode.WEBUI_ERROR, True),
        (502, b"<html>", ErrorCode.WEBUI_ERROR, True),
        (500, b"[]", ErrorCode.WEBUI_ERROR, True),
        (500, b"", ErrorCode.WEBUI_ERROR, True),
    ],
)
def test_what_error_replies_mean(status: int, body: Any, code: ErrorCode, retry: bool) -> None:
    error = error_of(reply(body, status))
    assert (error.code, error.retry) == (code, retry)
    assert 0 < len(error.message) <= 600


def entry(file: str, sha256: str | None = SHA, folder: str = "") -> dict[str, Any]:
    title = folder + file + (f" [{sha256[:10]}]" if sha256 else "")
    return {"title": title, "model_name": file.rpartition(".")[0], "filename": f"/m/{folder}{file}", "sha256": sha256}


def test_a_model_is_found_by_file_title_or_hash_and_never_by_likeness() -> None:
    models = read_checkpoints([entry("a.ckpt"), entry("b.ckpt", None), entry("c.ckpt", "f" * 64, "sub/"), 5, {}])
    assert [model.file for model in models] == ["a.ckpt", "b.ckpt", "c.ckpt"]
    a, b, c = models
    for asked, found in [
        ("a.ckpt", a),
        ("a.ckpt [6ce0161689]", a),
        (f"a.ckpt [{SHA}]", a),
        ("6ce0161689", a),
        (SHA.upper(), a),
        ("b.ckpt", b),
        ("b.ckpt [0123456789]", b),  # not loaded yet: the hash shows after the load
        ("c.ckpt", c),
        ("sub/c.ckpt", c),
        ("a.ckpt [0123456789]", None),
        ("a", None),
        ("A.ckpt", None),
        ("a.ckp", None),
        ("6ce016168", None),
        ("", None),
    ]:
        assert find(models, asked) == found, asked
    assert read_checkpoints("nonsense") == []


def test_whether_a_model_is_loaded() -> None:
    a, b = read_checkpoints([entry("a.ckpt"), entry("b.ckpt", None)])
    assert is_loaded(a, {"sd_model_checkpoint": "anything", "sd_checkpoint_hash": SHA})
    assert not is_loaded(a, {"sd_model_checkpoint": a.title, "sd_checkpoint_hash": "0" * 64})
    assert not is_loaded(b, {"sd_model_checkpoint": "b.ckpt", "sd_checkpoint_hash": SHA})
    assert is_loaded(a, {"sd_model_checkpoint": a.title, "sd_checkpoint_hash": ""})
    assert not is_loaded(a, {"sd_model_checkpoint": None})


CHECKPOINT = Checkpoint(title=f"a.ckpt [{SHA[:10]}]", filename="/m/a.ckpt", sha256=SHA)
INFO = {"sd_model_name": "a", "sd_model_hash": SHA[:10], "sampler_name": "Euler a", "all_seeds": [1, 2]}


def result(images: Any = (PNG,), info: Any = None, **body: Any) -> Any:
    info = INFO if info is None else info
    value = {"images": list(images), "parameters": {"init_images": [PNG], "steps": 2}, "info": json.dumps(info)}
    asked = Asked(tasktype=TaskType.TEXT_TO_IMAGE, body={"prompt": "x", **body}, checkpoint=CHECKPOINT)
    return read_generation(reply(value), asked)


def test_a_right_result() -> None:
    generation = result([PNG, PNG], batch_size=2, sampler_name="Euler a")
    assert [picture.extension for picture in generation.pictures] == ["png", "png"]
    assert generation.seeds == [1, 2]
    assert generation.parameters == {"init_images": [None], "steps": 2}
    assert generation.response == {"parameters": generation.parameters, "info": json.dumps(INFO)}


def test_samplers_that_name_their_scheduler() -> None:
    assert result(sampler_name="Euler a Karras")
    assert result(sampler_name=None, sampler_index="Euler a")


@pytest.mark.parametrize(
    ("changes", "retry"),
    [
        ({"images": []}, True),
        ({"images": [PNG], "batch_size": 2}, True),
        ({"images": [PNG, PNG]}, True),
        ({"images": ["bm8="]}, True),
        ({"images": [None]}, True),
        ({"info": {**INFO, "sd_model_hash": "0" * 10}}, True),
        ({"info": {**INFO, "sd_model_name": "b", "sd_model_hash": None}}, True),
        ({"info": {}}, True),
        ({"info": []}, True),
        ({"sampler_name": "euler a"}, False),
        ({"sampler_name": "Euler a Nonsense"}, False),
        ({"info": {**INFO, "sampler_name": None}, "sampler_name": "Euler"}, False),
    ],
)
def test_a_200_that_is_no_success(changes: dict[str, Any], retry: bool) -> None:
    with pytest.raises(TaskError) as caught:
        result(**changes)
    assert (caught.value.code, caught.value.retry) == (ErrorCode.WRONG_RESULT, retry)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"images": 5}', b'{"image": "x"}'])
def test_replies_that_are_none(body: bytes) -> None:
    with pytest.raises(TaskError) as caught:
        read_generation(reply(body), Asked(tasktype=TaskType.TEXT_TO_IMAGE, body={}))
    assert (caught.value.code, caught.value.retry) == (ErrorCode.WRONG_RESULT, True)


def test_equal_files_may_answer_under_either_name() -> None:
    assert result(info={**INFO, "sd_model_name": "copy"})


def test_scripts_may_add_images() -> None:
    assert len(result([PNG, PNG], alwayson_scripts={"controlnet": {}}).pictures) == 2


def test_extras_have_no_model() -> None:
    asked = Asked(tasktype=TaskType.EXTRA_SINGLE_IMAGE, body={})
    assert len(read_generation(reply({"html_info": "", "image": PNG}), asked).pictures) == 1
    batch = Asked(tasktype=TaskType.EXTRA_BATCH_IMAGES, body={"imageList": [{}, {}]})
    assert len(read_generation(reply({"html_info": "", "images": [PNG, PNG]}), batch).pictures) == 2


@pytest.fixture
def simulator() -> Iterator[Callable[..., str]]:
    """Starts simulators of SD WebUI, each in a thread with an event loop of its own; gives their URLs."""
    loops: list[tuple[asyncio.AbstractEventLoop, web.AppRunner, threading.Thread]] = []

    def start(*models: str, **knobs: Any) -> str:
        settings = Knobs(step_seconds=0.0, load_seconds=0.0, models=models or None, **knobs)
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(application(Simulator(parse([]), settings)), handler_cancellation=False)

        async def listen() -> int:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return int(runner.addresses[0][1])

        port = loop.run_until_complete(listen())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        loops.append((loop, runner, thread))
        return f"http://127.0.0.1:{port}"

    yield start
    for loop, runner, thread in loops:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def adapter(url: str, *served: str) -> A1111:
    return A1111(client=WebUIClient(url=url, slow_s=20), served=served)


def body(**changes: Any) -> dict[str, Any]:
    return {"prompt": "A dog", "steps": 1, "width": 64, "height": 64, **changes}


def failure(webui: A1111, task: Task, request: dict[str, Any]) -> TaskError:
    with pytest.raises(TaskError) as caught:
        webui.run(task, request)
    return caught.value


def test_text_to_image_on_the_simulator(simulator: Any) -> None:
    webui = adapter(simulator(), "v1-5-pruned-emaonly.safetensors")
    assert webui.ready()
    generation = webui.run(TASK, body(batch_size=2, seed=7, sampler_name="Euler a"))
    assert [picture.extension for picture in generation.pictures] == ["png", "png"]
    assert generation.seeds == [7, 8]
    assert json.loads(generation.response["info"])["sd_model_name"] == "v1-5-pruned-emaonly"


def test_image_to_image_and_extras_on_the_simulator(simulator: Any) -> None:
    webui = adapter(simulator())
    first = webui.run(TASK, body()).pictures[0]
    image = base64.b64encode(first.data).decode()
    image_to_image = replace(TASK, tasktype=TaskType.IMAGE_TO_IMAGE)
    generation = webui.run(image_to_image, body(init_images=[image]))
    assert len(generation.pictures) == 1
    assert not generation.parameters.get("init_images")
    extra = replace(TASK, tasktype=TaskType.EXTRA_SINGLE_IMAGE)
    assert len(webui.run(extra, {"image": image, "upscaling_resize": 2}).pictures) == 1
    batch = replace(TASK, tasktype=TaskType.EXTRA_BATCH_IMAGES)
    images = [{"data": image, "name": "a.png"}, {"data": image, "name": "b.png"}]
    assert len(webui.run(batch, {"imageList": images}).pictures) == 2
    assert failure(webui, image_to_image, body()).code is ErrorCode.INVALID_REQUEST


def test_switching_models_on_the_simulator(simulator: Any) -> None:
    url = simulator("a.safetensors", "b.safetensors", "broken.safetensors", "copy.safetensors=b.safetensors")
    webui = adapter(url)
    for asked in ("b.safetensors", "a.safetensors", "copy.safetensors", "b.safetensors", "a.safetensors"):
        generation = webui.run(replace(TASK, model=asked), body())
        assert len(generation.pictures) == 1
    error = failure(webui, replace(TASK, model="missing.safetensors"), body())
    assert (error.code, error.retry) == (ErrorCode.MODEL_NOT_FOUND, False)
    error = failure(webui, replace(TASK, model="broken.safetensors"), body())
    assert (error.code, error.retry) == (ErrorCode.MODEL_NOT_READY, True)
    options = json.loads(WebUIClient(url=url, slow_s=5).get("/sdapi/v1/options").body)
    assert options["sd_model_checkpoint"].startswith("a.safetensors")
    error = failure(webui, replace(TASK, model="b.safetensors [0123456789]"), body())
    assert error.code is ErrorCode.MODEL_NOT_FOUND


def test_a_dedicated_runtime_serves_its_models_only(simulator: Any) -> None:
    webui = adapter(simulator("a.safetensors", "b.safetensors"), "a.safetensors")
    assert webui.run(replace(TASK, model=None), body())
    assert webui.run(replace(TASK, model="a.safetensors"), body())
    error = failure(webui, replace(TASK, model="b.safetensors"), body())
    assert (error.code, error.retry) == (ErrorCode.MODEL_NOT_FOUND, False)


def test_settings_do_not_leak_into_the_next_task(simulator: Any) -> None:
    webui = adapter(simulator())
    settings = {"samples_format": "jpg", "CLIP_stop_at_last_layers": 2}
    webui.run(TASK, body(override_settings=settings))
    generation = webui.run(TASK, body())
    assert generation.pictures[0].extension == "png"
    assert json.loads(generation.response["info"])["clip_skip"] == 1
    error = failure(webui, TASK, body(override_settings={"nosuchkey": 1}))
    assert (error.code, error.retry) == (ErrorCode.INVALID_REQUEST, False)


def test_samplers_on_the_simulator(simulator: Any) -> None:
    webui = adapter(simulator())
    for sampler in ("euler", "k_euler", "nonsense"):
        error = failure(webui, TASK, body(sampler_name=sampler))
        assert (error.code, error.retry) == (ErrorCode.WRONG_RESULT, False)
    assert webui.run(TASK, body(sampler_name="Euler a Karras"))


def test_a_grid_is_never_asked_for(simulator: Any) -> None:
    assert len(adapter(simulator()).run(TASK, body(n_iter=2, save_images=True, send_images=False)).pictures) == 2


def test_weights_that_cannot_work(simulator: Any) -> None:
    error = failure(adapter(simulator("nan.safetensors")), replace(TASK, model="nan.safetensors"), body())
    assert (error.code, error.retry) == (ErrorCode.WEBUI_ERROR, False)


def test_no_checkpoint_at_all(simulator: Any, http_fake: Any) -> None:
    http_fake.reply("GET /sdapi/v1/options", {"sd_model_checkpoint": None})
    http_fake.reply("GET /sdapi/v1/sd-models", [])
    http_fake.reply("POST /sdapi/v1/refresh-checkpoints", None)
    error = failure(adapter(http_fake.url), TASK, body())
    assert error.code is ErrorCode.MODEL_NOT_FOUND
    assert len(http_fake.got("POST /sdapi/v1/refresh-checkpoints")) == 1
    assert http_fake.got("POST /sdapi/v1/options") == []


def test_pipelines_are_refused(http_fake: Any) -> None:
    error = failure(adapter(http_fake.url), replace(TASK, tasktype=TaskType.PIPELINE), {})
    assert (error.code, error.retry) == (ErrorCode.INVALID_REQUEST, False)
    assert http_fake.calls == []


@pytest.fixture
def scripted(http_fake: Any) -> Any:
    """A WebUI that works; tests break it."""
    http_fake.reply("GET /sdapi/v1/options", {"sd_model_checkpoint": CHECKPOINT.title, "sd_checkpoint_hash": SHA})
    http_fake.reply("GET /sdapi/v1/sd-models", [entry("a.ckpt")])
    http_fake.reply("POST /sdapi/v1/txt2img", {"images": [PNG], "parameters": {}, "info": json.dumps(INFO)})
    http_fake.reply("GET /sdapi/v1/progress", {"state": {"interrupted": False, "skipped": False}})
    http_fake.reply("POST /sdapi/v1/interrupt", {})
    return http_fake


A_TASK = replace(TASK, model="a.ckpt")


def test_what_is_sent(scripted: Any) -> None:
    webui = adapter(scripted.url)
    webui.run(A_TASK, body(send_images=False, save_images=True))
    [call] = scripted.got("POST /sdapi/v1/txt2img")
    assert call.json == body(send_images=True, save_images=False, override_settings_restore_afterwards=True)
    assert scripted.got("POST /sdapi/v1/options") == []
    webui.interrupt()
    assert len(scripted.got("POST /sdapi/v1/interrupt")) == 1


def test_an_interrupted_run_is_no_success(scripted: Any) -> None:
    scripted.reply("GET /sdapi/v1/progress", {"state": {"interrupted": True}})
    error = failure(adapter(scripted.url), A_TASK, body())
    assert (error.code, error.retry) == (ErrorCode.WRONG_RESULT, True)


@pytest.mark.parametrize("progress", [None, [], {"state": None}])
def test_progress_that_says_nothing(scripted: Any, progress: Any) -> None:
    scripted.reply("GET /sdapi/v1/progress", progress)
    assert adapter(scripted.url).run(A_TASK, body())


def test_a_generation_is_never_sent_twice(scripted: Any) -> None:
    scripted.reply("POST /sdapi/v1/txt2img", b"", 200, {"content-length": "100", "connection": "close"})
    error = failure(adapter(scripted.url), A_TASK, body())
    assert (error.code, error.retry) == (ErrorCode.WEBUI_ERROR, True)
    assert len(scripted.got("POST /sdapi/v1/txt2img")) == 1


def test_a_webui_that_is_down() -> None:
    webui = adapter("http://127.0.0.1:9")
    assert not webui.ready()
    error = failure(webui, A_TASK, body())
    assert (error.code, error.retry) == (ErrorCode.WEBUI_ERROR, True)
    webui.interrupt()


def test_a_webui_with_a_password(scripted: Any) -> None:
    client = WebUIClient(url=scripted.url, slow_s=5, auth=Secret("user:secret"))
    A1111(client=client).run(A_TASK, body())
    expected = "Basic " + base64.b64encode(b"user:secret").decode()
    assert {call.headers["authorization"] for call in scripted.calls} == {expected}


def test_options_that_are_no_options(scripted: Any) -> None:
    scripted.reply("GET /sdapi/v1/options", [])
    error = failure(adapter(scripted.url), A_TASK, body())
    assert (error.code, error.retry) == (ErrorCode.WEBUI_ERROR, True)
