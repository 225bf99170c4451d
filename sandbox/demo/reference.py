"""The two reference requests, exactly as a consumer sends them; only the host of image_link is the sandbox's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["IMAGE_PATH", "Request", "requests"]

IMAGE_PATH = "/_sandbox/input/sd-img2img-input.jpeg"


@dataclass(frozen=True)
class Request:
    """One request and what its answer is held against.

    Attributes:
        body: what is sent to POST /v1alpha1.
    """

    body: dict[str, Any]

    @property
    def id(self) -> str:
        """The task's id, which the caller chose."""
        return str(self.body["alwayson_scripts"]["id_task"])

    @property
    def task(self) -> str:
        """What is asked for, such as text-to-image."""
        return str(self.body["alwayson_scripts"]["task"])

    @property
    def prompt(self) -> str:
        """The prompt; the image carries it."""
        return str(self.body["prompt"])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.body["width"]), int(self.body["height"])


def requests(input_host: str) -> list[Request]:
    """The requests; `input_host` (scheme://host:port) serves the picture that image-to-image starts from."""
    return [
        Request(
            {
                "alwayson_scripts": {
                    "task": "text-to-image",
                    "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
                    "id_task": "21123",
                    "uid": "456",
                    "save_dir": "outputs",
                },
                "prompt": "A dog",
                "steps": 30,
                "width": 768,
                "height": 768,
            }
        ),
        Request(
            {
                "alwayson_scripts": {
                    "task": "image-to-image",
                    "image_link": input_host.rstrip("/") + IMAGE_PATH,
                    "id_task": "31311",
                    "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
                    "uid": "456",
                },
                "prompt": "A fantasy landscape, trending on artstation, mystical sky",
                "steps": 16,
                "width": 512,
                "height": 512,
            }
        ),
    ]
