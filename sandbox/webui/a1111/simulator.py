"""The simulated WebUI: its settings, its model, its queue and its state, in one object that tests can make."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.webui.a1111.checkpoints import Checkpoints
from sandbox.webui.a1111.errors import HTTPException, OutOfMemoryError
from sandbox.webui.a1111.knobs import DEFAULT_MODELS, Knobs
from sandbox.webui.a1111.loader import Loader
from sandbox.webui.a1111.options import Options
from sandbox.webui.a1111.progress import State
from sandbox.webui.a1111.queue import Queue

__all__ = ["VAES", "Simulator"]

VAES = ("vae-ft-mse-840000-ema-pruned.safetensors",)

_ALWAYS_ON = ("Comments", "Extra options", "Hypertile", "Refiner", "Sampler", "Seed", "Soft Inpainting")
_SELECTABLE = {
    "txt2img": ("Prompt matrix", "Prompts from file or textbox", "X/Y/Z plot"),
    "img2img": (
        "img2img alternative test",
        "Loopback",
        "Outpainting mk2",
        "Poor man's outpainting",
        "Prompt matrix",
        "Prompts from file or textbox",
        "SD upscale",
        "X/Y/Z plot",
    ),
}
# One image as large as a card of 24 GB upscales, and all images of one reply together (300 MB of pixels).
_IMAGE_PIXELS = 64_000_000
_REPLY_PIXELS = 100_000_000
_GIB = 2**30


class Simulator:
    """One WebUI process.

    Attributes:
        flags: its command line, see arguments.parse.
        knobs: how fast it is and what it has.
        sleep: how it spends the time that work takes; tests pass their own.
    """

    def __init__(
        self,
        flags: argparse.Namespace,
        knobs: Knobs,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """A fresh install: nothing is set, nothing is loaded."""
        self.flags = flags
        self.knobs = knobs
        self.sleep = sleep
        self.options = Options()
        self.state = State()
        self.queue = Queue()
        # Who names a directory means the files in it.
        real = bool(flags.ckpt_dir or flags.models_dir)
        directory = flags.ckpt_dir or f"{flags.models_dir or flags.data_dir + '/models'}/Stable-diffusion"
        models = knobs.models if knobs.models is not None else () if real else DEFAULT_MODELS
        self.checkpoints = Checkpoints(directory, models, real=real)
        self.loader = Loader(
            self.checkpoints, self.options, seconds=knobs.load_seconds, sleep=sleep, default=flags.ckpt
        )

    def scripts(self, kind: str) -> tuple[str, ...]:
        """Names of the scripts of txt2img or img2img that a request may select."""
        return _SELECTABLE[kind]

    def always_on(self) -> tuple[str, ...]:
        """Names that a request may have in alwayson_scripts."""
        return (*_ALWAYS_ON, *self.knobs.scripts)

    def check_scripts(self, kind: str, script_name: str | None, always_on: dict[str, Any]) -> None:
        """Refuse scripts that are not installed.

        Raises:
            HTTPException: 422, with the name.
            TypeError: an entry of alwayson_scripts is no object.
        """
        selectable = {name.lower() for name in self.scripts(kind)}
        installed = {name.lower() for name in self.always_on()}
        if script_name and script_name.lower() not in selectable:
            raise HTTPException(422, f"Script '{script_name}' not found")
        for name, value in always_on.items():
            if name.lower() in selectable:
                raise HTTPException(422, "Cannot have a selectable script in the always on scripts params")
            if name.lower() not in installed:
                raise HTTPException(422, f"Script '{name}' not found")
            if not isinstance(value, dict | list | str):
                raise TypeError(f"argument of type '{type(value).__name__}' is not iterable")

    def check_memory(self, width: float, height: float, images: int = 1) -> None:
        """Refuse what a card could not hold.

        Raises:
            OutOfMemoryError: one image, or all of a reply, is too large.
        """
        if width * height > _IMAGE_PIXELS or width * height * images > _REPLY_PIXELS:
            gigabytes = width * height * images * 256 / _GIB
            raise OutOfMemoryError(f"CUDA out of memory. Tried to allocate {gigabytes:.2f} GiB")

    def memory(self) -> dict[str, object]:
        """Bytes of the simulated machine: 32 GiB, a card of 24 GiB, and a model of 2 GiB while one is loaded."""
        model = 2 * _GIB if self.loader.loaded else 0
        used = model + 3 * _GIB * bool(self.state.job)
        level = {"current": used, "peak": used}
        return {
            "ram": {"free": 26 * _GIB - model, "used": 6 * _GIB + model, "total": 32 * _GIB},
            "cuda": {
                "system": {"free": 24 * _GIB - used, "used": used, "total": 24 * _GIB},
                "active": level,
                "allocated": level,
                "reserved": level,
                "inactive": {"current": 0, "peak": 0},
                "events": {"retries": 0, "oom": 0},
            },
        }
