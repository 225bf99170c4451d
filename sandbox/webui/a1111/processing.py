"""One run on the (simulated) card: steps, interruptions, images."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageOps

from sandbox.webui.a1111 import pictures
from sandbox.webui.a1111.checkpoints import Checkpoint
from sandbox.webui.a1111.drawing import Sketch, draw
from sandbox.webui.a1111.errors import NansException
from sandbox.webui.a1111.plan import Plan
from sandbox.webui.a1111.report import Report
from sandbox.webui.a1111.simulator import Simulator

__all__ = ["Processed", "process"]

_PREVIEW = 8


@dataclass(frozen=True)
class Processed:
    """What came out: images with their texts in `Image.info`, and the `info` string of the reply."""

    images: list[Image.Image]
    info: str


async def process(simulator: Simulator, plan: Plan, inits: list[Image.Image], mask: Image.Image | None) -> Processed:
    """Take the steps and draw; an interrupted run returns what there is and says nothing of it.

    Args:
        simulator: the WebUI, with the run's settings in force and its turn in the queue.
        plan: the request.
        inits: init images, decoded as far as their headers.
        mask: likewise.

    Raises:
        Exception: of the class that the real one's reply names.
    """
    model = await simulator.loader.current()
    plan.check(simulator, len(inits))
    sketch = await asyncio.to_thread(_sketch, plan, model, inits, mask)
    state = simulator.state
    state.job_count = plan.batches * (2 if plan.hires else 1)
    images: list[Image.Image] = []
    for number in range(plan.batches):
        state.skipped = False
        if state.interrupted:
            break
        if plan.batches > 1:
            state.job = f"Batch {number + 1} out of {plan.batches}"
        seeds = plan.seeds[number * plan.batch : (number + 1) * plan.batch]
        done = await _sample(simulator, plan, model, replace(sketch, seed=seeds[0]))
        for seed in seeds:
            images.append(await asyncio.to_thread(_paint, replace(sketch, seed=seed, done=done), model))
        state.next_part()
    return _finish(simulator, plan, model, images)


async def _sample(simulator: Simulator, plan: Plan, model: Checkpoint, sketch: Sketch) -> float:
    """Take one batch's steps; the fraction that was taken before an interruption."""
    state, done = simulator.state, 1.0
    for number, steps in enumerate(plan.passes(all_steps=bool(simulator.options.get("img2img_fix_steps")))):
        if number:
            state.next_part()
        state.sampling_steps, state.sampling_step = steps, 0
        for step in range(steps):
            if state.stopped:
                done = min(done, step / steps)
                break
            await simulator.sleep(simulator.knobs.step_seconds * plan.batch)
            if model.gives_nan and not simulator.flags.disable_nan_check:
                raise NansException(
                    "A tensor with NaNs was produced in Unet. "
                    "Use --disable-nan-check commandline argument to disable this check."
                )
            state.sampling_step = step
            state.preview = _previewer(sketch, (step + 1) / steps)
    return done


def _sketch(plan: Plan, model: Checkpoint, inits: list[Image.Image], mask: Image.Image | None) -> Sketch:
    """What all images of the run have in common. Raises OSError for an init image that ends early."""
    values = plan.values
    base = _fit(pictures.load(inits[0]), plan.size, values["resize_mode"]) if inits else None
    stencil = ImageOps.grayscale(pictures.load(mask)).resize(plan.size) if mask else None
    if stencil and values["inpainting_mask_invert"]:
        stencil = ImageOps.invert(stencil)
    strength = values["denoising_strength"] if plan.from_image else 1.0
    note = f"{values['steps']} steps · {model.model_name} · simulated"
    return Sketch(values["prompt"], plan.seed, plan.size, footnote=note, base=base, strength=strength, mask=stencil)


def _paint(sketch: Sketch, model: Checkpoint) -> Image.Image:
    # With --disable-nan-check, what weights full of NaN give is a black square.
    return Image.new("RGB", sketch.size) if model.gives_nan else draw(sketch)


def _previewer(sketch: Sketch, done: float) -> Callable[[], Image.Image]:
    size = max(1, sketch.size[0] // _PREVIEW), max(1, sketch.size[1] // _PREVIEW)
    small = replace(sketch, size=size, base=None, mask=None, footnote="", done=done)
    return lambda: draw(small)


def _finish(simulator: Simulator, plan: Plan, model: Checkpoint, images: list[Image.Image]) -> Processed:
    option = simulator.options.get
    report = Report(plan, model, simulator.options)
    texts = [report.text(number) for number in range(len(images))] or [report.text(0)]
    sheet = None
    enough = len(images) > 1 or (images and not option("grid_only_if_multiple"))
    if plan.values["save_images"] and option("return_grid") and enough:
        sheet = pictures.grid(images, int(option("n_rows")), plan.batch)
        images, texts = [sheet, *images], [texts[0], *texts]
    if option("enable_pnginfo"):
        for image, text in zip(images, texts, strict=False):
            image.info["parameters"] = text
    info = report.info(texts, 1 if sheet else 0, simulator.state.job_timestamp)
    return Processed(images, json.dumps(info, ensure_ascii=False))


def _fit(image: Image.Image, size: tuple[int, int], mode: int | None) -> Image.Image:
    """The init image at the run's size: stretched, cropped (1) or filled up with its own edges (2)."""
    if mode == 1:
        return ImageOps.fit(image, size)
    if mode == 2:
        filled = image.resize(size)
        inner = ImageOps.contain(image, size)
        filled.paste(inner, ((size[0] - inner.width) // 2, (size[1] - inner.height) // 2))
        return filled
    return image.resize(size)
