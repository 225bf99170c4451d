"""One run at a time, progress, interruption, and what does not wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from PIL import Image


async def test_first_come_first_served(webui: Any, small: Any) -> None:
    webui.pace.hold()
    order: list[int] = []
    tasks = []
    for number in range(4):
        task = webui.start("txt2img", small(force_task_id=str(number)))
        task.add_done_callback(lambda _ignored, number=number: order.append(number))
        tasks.append(task)
        while len(webui.simulator.queue.pending) + (webui.simulator.queue.active is not None) <= number:
            await webui.get("progress")
    assert webui.simulator.queue.active == "0"
    assert webui.simulator.queue.pending == ["1", "2", "3"]
    webui.pace.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


async def test_time_per_step_and_image(make: Any, small: Any) -> None:
    webui = await make(step_seconds=0.25, load_seconds=3.0)
    await webui.post("txt2img", small(steps=5, batch_size=2, n_iter=3))
    assert webui.pace.slept.count(0.5) == 15
    webui.pace.slept.clear()
    picture = webui.encoded(Image.new("RGB", (64, 64)))
    # img2img takes only the steps that its strength needs, as the real one.
    await webui.post("img2img", small(steps=10, init_images=[picture], denoising_strength=0.5))
    assert webui.pace.slept == [0.25] * 6


async def test_reading_never_waits(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    webui.pace.hold()
    run = webui.start("txt2img", small())
    await webui.pace.reached()
    for path in ("options", "sd-models", "samplers", "memory", "progress", "cmd-flags"):
        await webui.get(path)
    assert await webui.post("options", {"CLIP_stop_at_last_layers": 2}) is None
    assert not run.done()
    webui.pace.release()
    await run


@pytest.mark.parametrize("what", ["extras", "switch"])
async def test_extras_and_switches_wait_for_the_run(webui: Any, small: Any, what: str) -> None:
    await webui.post("txt2img", small())
    webui.pace.hold()
    run = webui.start("txt2img", small())
    await webui.pace.reached()
    if what == "extras":
        body = {"image": webui.encoded(Image.new("RGB", (8, 8)))}
        other = webui.start("extra-single-image", body)
    else:
        other = webui.start("options", {"sd_model_checkpoint": "dreamshaper_8"})
    for _ignored in range(5):
        await webui.get("progress")
    assert not other.done()
    webui.pace.release()
    # The run keeps the model that it began with.
    assert webui.info(await run)["sd_model_name"] == "v1-5-pruned-emaonly"
    await other


async def test_idle_progress(webui: Any) -> None:
    progress = await webui.get("progress")
    assert progress == {
        "progress": 0,
        "eta_relative": 0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "stopping_generation": False,
            "job": "",
            "job_count": 0,
            "job_timestamp": "0",
            "job_no": 0,
            "sampling_step": 0,
            "sampling_steps": 0,
        },
        "current_image": None,
        "textinfo": None,
    }


async def test_progress_of_a_run(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    webui.pace.hold()
    run = webui.start("txt2img", small(n_iter=3, steps=2))
    await webui.pace.reached()
    for _ignored in range(3):
        await webui.pace.step()
    progress = await webui.get("progress")
    assert progress["state"]["job"] == "Batch 2 out of 3"
    assert (progress["state"]["job_no"], progress["state"]["job_count"]) == (1, 3)
    assert (progress["state"]["sampling_step"], progress["state"]["sampling_steps"]) == (0, 2)
    assert 0.33 < progress["progress"] < 0.36
    assert progress["eta_relative"] >= 0
    assert webui.opened(progress["current_image"]).size == (8, 8)
    assert (await webui.get("progress?skip_current_image=true"))["current_image"] is None
    async with webui.client.get("/sdapi/v1/progress?skip_current_image=maybe") as response:
        assert response.status == 422
    webui.pace.release()
    assert len((await run)["images"]) == 3
    assert (await webui.get("progress"))["state"]["job"] == ""


async def test_progress_while_a_model_loads(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    webui.simulator.state.clock = iter(range(0, 1000, 10)).__next__
    webui.pace.hold()
    run = webui.start("txt2img", small(override_settings={"sd_model_checkpoint": "dreamshaper_8"}))
    await webui.pace.reached()
    progress = await webui.get("progress")
    assert (progress["state"]["job"], progress["state"]["job_count"]) == ("scripts_txt2img", -1)
    assert progress["progress"] == 0.01
    assert progress["eta_relative"] == pytest.approx(99 * 10)
    webui.pace.release()
    await run


async def test_interrupt(webui: Any, small: Any) -> None:
    whole = await webui.post("txt2img", small(steps=10))
    webui.pace.hold()
    run = webui.start("txt2img", small(steps=10))
    await webui.pace.reached()
    waiting = webui.start("txt2img", small(prompt="A cat"))
    await webui.pace.step()
    assert await webui.post("interrupt") == {}
    webui.pace.release()
    partial = await run
    assert len(partial["images"]) == 1
    assert partial["images"] != whole["images"]
    # Nothing in the reply marks it.
    assert webui.info(partial)["steps"] == 10
    assert webui.info(partial).keys() == webui.info(whole).keys()
    # The waiting request is not hit: its picture is complete.
    assert (await waiting)["images"] == (await webui.post("txt2img", small(prompt="A cat")))["images"]


async def test_interrupted_stays_until_the_next_job(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    webui.pace.hold()
    run = webui.start("txt2img", small())
    await webui.pace.reached()
    await webui.post("interrupt")
    webui.pace.release()
    await run
    assert (await webui.get("progress"))["state"]["interrupted"] is True
    await webui.post("txt2img", small())
    assert (await webui.get("progress"))["state"]["interrupted"] is False


async def test_interrupt_while_idle_does_nothing_later(webui: Any, small: Any) -> None:
    whole = await webui.post("txt2img", small())
    assert await webui.post("interrupt") == {}
    assert (await webui.post("txt2img", small()))["images"] == whole["images"]


async def test_interrupt_in_a_batch(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    webui.pace.hold()
    run = webui.start("txt2img", small(n_iter=3, steps=2))
    await webui.pace.reached()
    for _ignored in range(2):
        await webui.pace.step()
    await webui.post("interrupt")
    webui.pace.release()
    reply = await run
    assert len(reply["images"]) == 2
    assert len(webui.info(reply)["all_seeds"]) == 3


async def test_interrupt_while_a_model_loads(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    webui.pace.hold()
    run = webui.start("txt2img", small(override_settings={"sd_model_checkpoint": "dreamshaper_8"}))
    await webui.pace.reached()
    await webui.post("interrupt")
    webui.pace.release()
    reply = await run
    assert reply["images"] == []
    assert webui.info(reply)["sd_model_name"] == "dreamshaper_8"


async def test_skip_goes_on_with_the_next(webui: Any, small: Any) -> None:
    whole = await webui.post("txt2img", small(n_iter=2))
    webui.pace.hold()
    run = webui.start("txt2img", small(n_iter=2))
    await webui.pace.reached()
    assert await webui.post("skip") is None
    webui.pace.release()
    reply = await run
    assert reply["images"][0] != whole["images"][0]
    assert reply["images"][1] == whole["images"][1]


async def test_a_hang_up_does_not_stop_the_run(webui: Any, small: Any) -> None:
    await webui.post("txt2img", small())
    webui.pace.hold()
    run = webui.start("txt2img", small(force_task_id="gone"))
    await webui.pace.reached()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    await webui.pace.step()
    assert (await webui.get("progress"))["state"]["job"] == "scripts_txt2img"
    webui.pace.release()
    await webui.post("txt2img", small())
    assert "gone" in webui.simulator.queue.finished


async def test_the_api_answers_before_the_model_is_loaded(make: Any, small: Any) -> None:
    webui = await make(held=True)
    await webui.pace.reached()
    assert len(await webui.get("sd-models")) == 5
    assert (await webui.get("options"))["sd_model_checkpoint"] is None
    early = webui.start("txt2img", small())
    for _ignored in range(3):
        assert (await webui.get("progress"))["state"]["job"] == ""
    assert not early.done()
    webui.pace.release()
    assert (await early)["images"]


async def test_force_task_id_is_only_echoed(webui: Any, small: Any) -> None:
    replies = await asyncio.gather(*(webui.post("txt2img", small(force_task_id="same")) for _ignored in range(2)))
    assert [reply["parameters"]["force_task_id"] for reply in replies] == ["same", "same"]


async def test_internal_progress_with_the_ui_on(make: Any, small: Any) -> None:
    webui = await make(nowebui=False)
    await webui.post("txt2img", small(force_task_id="done"))

    async def ask(name: str) -> dict[str, Any]:
        async with webui.client.post("/internal/progress", json={"id_task": name}) as response:
            assert response.status == 200
            return dict(await response.json())

    unknown = await ask("nobody")
    assert [unknown[key] for key in ("active", "queued", "completed", "textinfo")] == [
        False,
        False,
        False,
        "Waiting...",
    ]
    assert (await ask("done"))["completed"] is True
    webui.pace.hold()
    run, next_run = (webui.start("txt2img", small(force_task_id=name)) for name in ("running", "next"))
    await webui.pace.reached()
    while not webui.simulator.queue.pending:
        await webui.get("progress")
    running = await ask("running")
    assert running["active"] is True
    assert running["progress"] > 0
    assert (await ask("next"))["queued"] is True
    async with webui.client.get("/internal/pending-tasks") as response:
        assert await response.json() == {"size": 1, "tasks": ["next"]}
    webui.pace.release()
    await asyncio.gather(run, next_run)


async def test_server_stop(make: Any) -> None:
    webui = await make("--api-server-stop")
    assert await webui.post("server-stop") == "Stopping."
    assert await webui.get("sd-models")
    assert await webui.post("server-kill") is None
    plain = await make()
    assert (await plain.call("server-kill"))[0] == 404
