"""extra-single-image and extra-batch-images: enlarging."""

from __future__ import annotations

import asyncio
import html
from typing import Any

from PIL import Image, ImageOps

from sandbox.webui.a1111 import pictures
from sandbox.webui.a1111.requests import FILE
from sandbox.webui.a1111.samplers import UPSCALERS
from sandbox.webui.a1111.simulator import Simulator
from sandbox.webui.a1111.validation import object_of, validate

__all__ = ["batch", "single"]

# What enlarging one image costs, in sampling steps.
_STEPS = 4


async def single(simulator: Simulator, values: dict[str, Any]) -> dict[str, Any]:
    """The reply of extra-single-image.

    Raises:
        HTTPException: no image, or none that can be read.
        AssertionError: unknown upscaler.
        OutOfMemoryError: the result would be too large.
    """
    image = pictures.decode(values["image"], simulator.options)
    images, info = await _run(simulator, [image], values)
    return {"html_info": info, "image": images[0]}


async def batch(simulator: Simulator, values: dict[str, Any]) -> dict[str, Any]:
    """The reply of extra-batch-images; raises as `single` does, and RequestValidationError for a bad imageList."""
    images = []
    for number, entry in enumerate(values["imageList"]):
        where = ("body", "imageList", number)
        file = validate(FILE, object_of(entry, where), where)
        images.append(pictures.decode(file["data"], simulator.options))
    encoded, info = await _run(simulator, images, values)
    return {"html_info": info, "images": encoded}


async def _run(simulator: Simulator, images: list[Image.Image], values: dict[str, Any]) -> tuple[list[str], str]:
    async with simulator.queue.turn():
        done = []
        for image in images:
            for name in (values["upscaler_1"], values["upscaler_2"]):
                if name not in UPSCALERS:
                    raise AssertionError(f"could not find upscaler named {name}")
            if values["upscaler_1"] != "None":
                simulator.check_memory(*_target(image, values))
                await simulator.sleep(_STEPS * simulator.knobs.step_seconds)
            done.append(await asyncio.to_thread(_upscale, image, values))
    encoded = await asyncio.to_thread(lambda: [pictures.encode(image, simulator.options) for image in done])
    text = ", ".join(f"{name}: {value}" for name, value in _described(values).items())
    return encoded, f"<p>{html.escape(text)}</p>" if text else ""


def _described(values: dict[str, Any]) -> dict[str, object]:
    if values["upscaler_1"] == "None":
        return {}
    if values["resize_mode"] == 0:
        extent: dict[str, object] = {"Postprocess upscale by": values["upscaling_resize"]}
    else:
        size = f"{values['upscaling_resize_w']}x{values['upscaling_resize_h']}"
        extent = {"Postprocess upscale to": size}
    return {**extent, "Postprocess upscaler": values["upscaler_1"]}


def _target(image: Image.Image, values: dict[str, Any]) -> tuple[int, int]:
    if values["resize_mode"] == 1:
        return int(values["upscaling_resize_w"]), int(values["upscaling_resize_h"])
    factor = values["upscaling_resize"]
    return max(1, int(image.width * factor)), max(1, int(image.height * factor))


def _upscale(image: Image.Image, values: dict[str, Any]) -> Image.Image:
    texts = {key: value for key, value in image.info.items() if isinstance(value, str)}
    picture = pictures.load(image)
    if values["upscaler_1"] != "None":
        filtering = Image.Resampling.NEAREST if values["upscaler_1"] == "Nearest" else Image.Resampling.LANCZOS
        size = _target(image, values)
        crop = values["resize_mode"] == 1 and values["upscaling_crop"]
        picture = ImageOps.fit(picture, size, method=filtering) if crop else picture.resize(size, filtering)
        texts["postprocessing"] = ", ".join(f"{name}: {value}" for name, value in _described(values).items())
    picture.info = dict(texts)
    return picture
