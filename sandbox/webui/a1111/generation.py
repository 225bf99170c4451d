"""txt2img and img2img from the validated request to the reply."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Any

from PIL import Image

from sandbox.webui.a1111 import pictures
from sandbox.webui.a1111.option_defaults import NOT_BY_TASK
from sandbox.webui.a1111.plan import Plan
from sandbox.webui.a1111.processing import Processed, process
from sandbox.webui.a1111.simulator import Simulator

__all__ = ["generate"]

log = logging.getLogger(__name__)


async def generate(simulator: Simulator, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request: wait for the turn, for the model, draw, and encode what came out.

    Args:
        simulator: the WebUI.
        kind: "txt2img" or "img2img".
        values: every field of the request.

    Raises:
        Exception: whatever the real WebUI raises; the class's name is part of the reply.
    """
    plan = Plan(kind, values)
    plan.check_before_queueing(simulator)
    mask = pictures.decode(values["mask"], simulator.options) if values.get("mask") else None
    name = values["force_task_id"] or f"task({kind}-{random.randrange(16**12):012x})"
    async with simulator.queue.task(name):
        await simulator.loader.current()
        started = time.monotonic()
        inits = [pictures.decode(text, simulator.options) for text in values.get("init_images") or ()]
        simulator.state.begin(f"scripts_{kind}")
        try:
            processed = await _with_overrides(simulator, plan, inits, mask)
        finally:
            simulator.state.end()
        log.info("%s: %d images in %.2f s", name, len(processed.images), time.monotonic() - started)

    # Only now, with the settings that are in force after the task: an overridden samples_format comes too early.
    encoded = await asyncio.to_thread(_encode, simulator, processed.images) if values["send_images"] else []
    if plan.from_image and not values["include_init_images"]:
        values = {**values, "init_images": None, "mask": None}
    return {"images": encoded, "parameters": values, "info": processed.info}


async def _with_overrides(
    simulator: Simulator, plan: Plan, inits: list[Image.Image], mask: Image.Image | None
) -> Processed:
    """Run with the task's override_settings, then put back what was set before, and only that."""
    options, loader = simulator.options, simulator.loader
    asked = plan.values["override_settings"] or {}
    overrides = {key: value for key, value in asked.items() if key not in NOT_BY_TASK}
    kept = options.keep(overrides)
    try:
        if simulator.checkpoints.named(overrides.get("sd_model_checkpoint")) is None:
            overrides.pop("sd_model_checkpoint", None)
            await loader.select()
        for key, value in overrides.items():
            options.set(key, value)
            if key == "sd_model_checkpoint":
                await loader.select()
        return await process(simulator, plan, inits, mask)
    finally:
        if plan.values["override_settings_restore_afterwards"]:
            options.restore(kept)


def _encode(simulator: Simulator, images: list[Image.Image]) -> list[str]:
    return [pictures.encode(image, simulator.options) for image in images]
