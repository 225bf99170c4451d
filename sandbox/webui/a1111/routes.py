"""Every address of the API: what it is called with, and what it gives back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.webui.a1111 import extras, generation, infotext, pictures, requests, samplers
from sandbox.webui.a1111.simulator import VAES, Simulator
from sandbox.webui.a1111.validation import Field, read_object, validate

__all__ = ["READ", "WRITE", "Handler"]

log = logging.getLogger(__name__)

Handler = Callable[[Simulator, web.Request], Awaitable[object]]

# Changing one of these takes the model, so it waits for its turn; every other setting changes at once.
_TAKES_A_TURN = ("sd_model_checkpoint", "sd_vae")


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that a request carries; raises as validation.read_object does."""
    return read_object(await request.read(), request.headers.get("Content-Type"))


def _generate(kind: str, fields: tuple[Field, ...]) -> Handler:
    async def handle(simulator: Simulator, request: web.Request) -> object:
        return await generation.generate(simulator, kind, validate(fields, await body_of(request), ("body",)))

    return handle


async def _single(simulator: Simulator, request: web.Request) -> object:
    return await extras.single(simulator, validate(requests.EXTRAS_SINGLE, await body_of(request), ("body",)))


async def _batch(simulator: Simulator, request: web.Request) -> object:
    return await extras.batch(simulator, validate(requests.EXTRAS_BATCH, await body_of(request), ("body",)))


async def _png_info(simulator: Simulator, request: web.Request) -> object:
    values = validate(requests.PNG_INFO, await body_of(request), ("body",))
    text, items = pictures.embedded_text(pictures.decode(values["image"].strip(), simulator.options))
    return {"info": text, "items": items, "parameters": infotext.parse(text) if text else {}}


async def _progress(simulator: Simulator, request: web.Request) -> object:
    values = validate(requests.PROGRESS, dict(request.query), ("query",))
    state = simulator.state
    measured, shown, preview = state.measure(), state.show(), state.preview
    image = None
    if preview and simulator.options.get("live_previews_enable") and not values["skip_current_image"]:
        image = await asyncio.to_thread(lambda: pictures.encode(preview(), simulator.options))
    return {
        "progress": measured.progress,
        "eta_relative": measured.eta_relative,
        "state": shown,
        "current_image": image,
        "textinfo": state.textinfo,
    }


async def _interrupt(simulator: Simulator, _ignored: web.Request) -> object:
    simulator.state.interrupt()
    return {}


async def _skip(simulator: Simulator, _ignored: web.Request) -> object:
    simulator.state.skip()
    return None


async def _options(simulator: Simulator, _ignored: web.Request) -> object:
    return simulator.options.all()


async def _set_options(simulator: Simulator, request: web.Request) -> object:
    wanted, options = await body_of(request), simulator.options
    checkpoint = wanted.get("sd_model_checkpoint")
    if checkpoint is not None and simulator.checkpoints.named(checkpoint) is None:
        raise RuntimeError(f"model {checkpoint!r} not found")
    for key, value in wanted.items():
        before = options.get(key)
        if not options.set(key, value) or key not in _TAKES_A_TURN:
            continue
        async with simulator.queue.turn():
            if key == "sd_model_checkpoint" and value is not None:
                await _switch(simulator, before)
    return None


async def _switch(simulator: Simulator, before: object) -> None:
    """Load what the setting names now; if that fails the old value comes back and only the log tells."""
    try:
        await simulator.loader.select()
    except Exception:
        log.exception("changing setting sd_model_checkpoint failed, it is put back")
        simulator.options.data["sd_model_checkpoint"] = before


async def _unload(simulator: Simulator, _ignored: web.Request) -> object:
    simulator.loader.unload()
    return {}


async def _reload(simulator: Simulator, _ignored: web.Request) -> object:
    await simulator.loader.current()
    return {}


async def _refresh(simulator: Simulator, _ignored: web.Request) -> object:
    await asyncio.to_thread(simulator.checkpoints.refresh)
    return None


async def _refresh_vae(_ignored: Simulator, __: web.Request) -> object:
    return None


async def _models(simulator: Simulator, _ignored: web.Request) -> object:
    return [checkpoint.item() for checkpoint in simulator.checkpoints]


async def _memory(simulator: Simulator, _ignored: web.Request) -> object:
    return simulator.memory()


async def _flags(simulator: Simulator, _ignored: web.Request) -> object:
    return dict(vars(simulator.flags))


async def _scripts(simulator: Simulator, _ignored: web.Request) -> object:
    always_on = [name.lower() for name in simulator.always_on()]
    return {kind: [*always_on, *(name.lower() for name in simulator.scripts(kind))] for kind in ("txt2img", "img2img")}


def _always(value: object) -> Handler:
    async def handle(_ignored: Simulator, __: web.Request) -> object:
        return value

    return handle


def _upscaler(name: str) -> dict[str, object]:
    model = None if name in ("None", "Lanczos", "Nearest") else name
    return {"name": name, "model_name": model, "model_path": None, "model_url": None, "scale": 4.0}


_VAE_FOLDER = "/stable-diffusion-webui/models/VAE"
READ: dict[str, Handler] = {
    "cmd-flags": _flags,
    "embeddings": _always({"loaded": {}, "skipped": {}}),
    "extensions": _always([]),
    "face-restorers": _always([{"name": name, "cmd_dir": None} for name in ("CodeFormer", "GFPGAN")]),
    "hypernetworks": _always([]),
    "latent-upscale-modes": _always([{"name": name} for name in samplers.LATENT_MODES]),
    "loras": _always([]),
    "memory": _memory,
    "options": _options,
    "progress": _progress,
    "prompt-styles": _always([]),
    "realesrgan-models": _always([]),
    "samplers": _always([sampler.item() for sampler in samplers.SAMPLERS]),
    "schedulers": _always([scheduler.item() for scheduler in samplers.SCHEDULERS]),
    "script-info": _always([]),
    "scripts": _scripts,
    "sd-models": _models,
    "sd-vae": _always([{"model_name": name, "filename": f"{_VAE_FOLDER}/{name}"} for name in VAES]),
    "upscalers": _always([_upscaler(name) for name in samplers.UPSCALERS]),
}
WRITE: dict[str, Handler] = {
    "extra-batch-images": _batch,
    "extra-single-image": _single,
    "img2img": _generate("img2img", requests.IMG2IMG),
    "interrupt": _interrupt,
    "options": _set_options,
    "png-info": _png_info,
    "refresh-checkpoints": _refresh,
    "refresh-vae": _refresh_vae,
    "reload-checkpoint": _reload,
    "skip": _skip,
    "txt2img": _generate("txt2img", requests.TXT2IMG),
    "unload-checkpoint": _unload,
}
