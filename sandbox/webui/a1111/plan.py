"""What a request comes to before anything is drawn: sizes, steps, seeds, and the ways in which it cannot be drawn."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sandbox.webui.a1111.errors import HTTPException
from sandbox.webui.a1111.samplers import LATENT_MODES, UPSCALERS, resolve
from sandbox.webui.a1111.simulator import Simulator

__all__ = ["Plan"]

_LATENT = 8
_COUNTS = ("width", "height", "steps", "batch_size", "n_iter", "cfg_scale")


@dataclass
class Plan:
    """One request, worked out.

    Attributes:
        kind: "txt2img" or "img2img".
        values: every field of the validated request.
        seed: of the first image, drawn by lot where the request leaves it open.
        subseed: likewise.
    """

    kind: str
    values: dict[str, Any]
    seed: int = field(init=False)
    subseed: int = field(init=False)

    def __post_init__(self) -> None:
        """Settle what is left to chance."""
        self.seed = _fixed(self.values["seed"])
        self.subseed = _fixed(self.values["subseed"])
        names = self.values["sampler_name"] or self.values["sampler_index"]
        self.sampler, self.scheduler = resolve(names, self.values["scheduler"])

    @property
    def from_image(self) -> bool:
        """Whether it starts from an init image."""
        return self.kind == "img2img"

    @property
    def hires(self) -> bool:
        """Whether a second pass enlarges the result."""
        return bool(self.values.get("enable_hr"))

    @property
    def batches(self) -> int:
        """How many batches run one after the other."""
        return int(self.values["n_iter"])

    @property
    def batch(self) -> int:
        """Images per batch."""
        return int(self.values["batch_size"])

    @cached_property
    def size(self) -> tuple[int, int]:
        """Pixels of the result: whole latents, so 65 gives 64."""
        values = self.values
        width, height = values["width"], values["height"]
        if self.hires:
            scale = values["hr_scale"] or 1.0
            width, height = values["hr_resize_x"] or width * scale, values["hr_resize_y"] or height * scale
        return _latent(width) * _LATENT, _latent(height) * _LATENT

    @cached_property
    def seeds(self) -> list[int]:
        """One per image; with a variation strength it is the subseed that counts up."""
        step = 0 if self.values["subseed_strength"] else 1
        return [self.seed + step * number for number in range(self.batch * self.batches)]

    def passes(self, *, all_steps: bool) -> list[int]:
        """Steps of each pass; img2img takes only those that its denoising strength needs, unless `all_steps`."""
        steps = int(self.values["steps"])
        if self.from_image:
            return [steps if all_steps else int(min(self.values["denoising_strength"], 0.999) * steps) + 1]
        return [steps, self.values["hr_second_pass_steps"] or steps] if self.hires else [steps]

    def check_before_queueing(self, simulator: Simulator) -> None:
        """What the real one finds before it waits for its turn.

        Raises:
            HTTPException: no init image, or a script that is not installed.
        """
        if self.from_image and self.values["init_images"] is None:
            raise HTTPException(404, "Init image not found")
        simulator.check_scripts(self.kind, self.values["script_name"], self.values["alwayson_scripts"] or {})

    def check(self, simulator: Simulator, images: int) -> None:
        """Fail as the real one fails, which is rarely with a sentence that was written for the caller.

        Args:
            simulator: the WebUI.
            images: how many init images there are.

        Raises:
            Exception: of the class that the real one's reply names.
        """
        values = self.values
        if values["prompt"] is None:
            raise AssertionError
        upscaler = values.get("hr_upscaler")
        if self.hires and upscaler is not None and upscaler not in (*LATENT_MODES, *UPSCALERS):
            raise Exception(f"could not find upscaler named {upscaler}")
        refiner = values["refiner_checkpoint"]
        if refiner not in (None, "", "None", "none") and simulator.checkpoints.closest(refiner) is None:
            raise Exception(f"Could not find checkpoint with name {refiner}")
        if any(values[name] is None for name in _COUNTS):
            raise TypeError("unsupported operand type(s) for *: 'int' and 'NoneType'")
        if self.batch < 1 or self.batches < 1:
            raise IndexError("list index out of range")
        if self.from_image:
            self._check_images(images)
        self._check_size()
        simulator.check_memory(*self.size, self.batch * self.batches)

    def _check_images(self, images: int) -> None:
        if self.values["denoising_strength"] is None:
            raise TypeError("'<' not supported between instances of 'float' and 'NoneType'")
        if not images:
            raise RuntimeError("Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [0]")
        if images > self.batch:
            raise RuntimeError(f"bad number of images passed: {images}; expecting {self.batch} or less")

    def _check_size(self) -> None:
        if self.values["steps"] == 0:
            raise ZeroDivisionError("division by zero")
        if self.values["steps"] < 0:
            raise RuntimeError("number of steps must be non-negative")
        width, height = _latent(self.values["width"]), _latent(self.values["height"])
        if width < 0 or height < 0:
            raise RuntimeError(
                f"Calculated padded input size per channel: ({height + 2} x {width + 2}). Kernel size: (3 x 3). "
                "Kernel size can't be greater than actual input size"
            )
        if not width or not height:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape [1, 4, {height}, {width}]")


def _latent(pixels: float) -> int:
    return int(pixels / _LATENT)


def _fixed(seed: int | None) -> int:
    return random.randrange(4294967294) if seed is None or seed == -1 else seed
