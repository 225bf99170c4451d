"""What can be said of an SD WebUI body without the WebUI.

The real program answers most of these mistakes with a 500 after it has taken the GPU, or with a 200 and something else
than asked (a width of 65 gives an image of 64): they are refused before a task exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sd_agent.contract.errors import InvalidRequest
from sd_agent.contract.task import TaskType

__all__ = ["check_content"]


@dataclass(frozen=True, kw_only=True)
class _Range:
    low: float
    high: float
    whole: bool = True
    step: int = 1
    optional: bool = False


_SIZE = _Range(low=8, high=4096, step=8)
_SEED = _Range(low=-1, high=2**63 - 1)
_GENERATION: Mapping[str, _Range] = {
    "width": _SIZE,
    "height": _SIZE,
    "steps": _Range(low=1, high=1000),
    "batch_size": _Range(low=1, high=64),
    "n_iter": _Range(low=1, high=64),
    "cfg_scale": _Range(low=0, high=1000, whole=False),
    "denoising_strength": _Range(low=0, high=1, whole=False, optional=True),
    "seed": _SEED,
    "subseed": _SEED,
}
_EXTRAS: Mapping[str, _Range] = {"upscaling_resize": _Range(low=0.01, high=8, whole=False)}
_MAX_IMAGES = 64


def check_content(tasktype: TaskType, content: Mapping[str, Any], path: str) -> None:
    """Raise InvalidRequest where `content` cannot be what `tasktype` needs; `path` is put before the field's name.

    A ComfyUI graph (pipeline) is checked by ComfyUI; here it only has to have a node.
    """
    prefix = f"{path}." if path else ""
    if tasktype is TaskType.PIPELINE:
        if not content:
            raise InvalidRequest.at(path, f"{path} must hold a graph")
    elif tasktype in (TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE):
        _check_generation(content, prefix)
        if tasktype is TaskType.IMAGE_TO_IMAGE:
            _check_images(content.get("init_images"), f"{prefix}init_images")
    else:
        _check_numbers(content, _EXTRAS, prefix)
        if tasktype is TaskType.EXTRA_SINGLE_IMAGE:
            _check_image(content.get("image"), f"{prefix}image")
        else:
            _check_image_list(content.get("imageList"), f"{prefix}imageList")


def _check_generation(content: Mapping[str, Any], prefix: str) -> None:
    for name in ("prompt", "negative_prompt"):
        if name in content and not isinstance(content[name], str):
            raise InvalidRequest.at(prefix + name, f"{prefix}{name} must be a string")
    for name in ("sampler_name", "sampler_index", "scheduler"):
        if content.get(name) is not None and not isinstance(content[name], str):
            raise InvalidRequest.at(prefix + name, f"{prefix}{name} must be a string")
    for name in ("override_settings", "alwayson_scripts"):
        if name in content and not isinstance(content[name], Mapping):
            raise InvalidRequest.at(prefix + name, f"{prefix}{name} must be an object")
    _check_numbers(content, _GENERATION, prefix)
    if content.get("batch_size", 1) * content.get("n_iter", 1) > _MAX_IMAGES:
        raise InvalidRequest.at(
            f"{prefix}batch_size", f"{prefix}batch_size times n_iter must be {_MAX_IMAGES} images or fewer"
        )


def _check_numbers(content: Mapping[str, Any], ranges: Mapping[str, _Range], prefix: str) -> None:
    for name, wanted in ranges.items():
        if name not in content or (wanted.optional and content[name] is None):
            continue
        value, field = content[name], prefix + name
        numeric = isinstance(value, int) if wanted.whole else isinstance(value, int | float)
        if isinstance(value, bool) or not numeric:
            raise InvalidRequest.at(field, f"{field} must be a {'whole ' if wanted.whole else ''}number")
        if not wanted.low <= value <= wanted.high:
            raise InvalidRequest.at(field, f"{field} must be from {wanted.low} to {wanted.high}")
        if value % wanted.step and wanted.whole:
            raise InvalidRequest.at(field, f"{field} must be a multiple of {wanted.step}")


def _check_image(value: Any, field: str) -> None:
    if value is None or value == "":
        raise InvalidRequest.at(field, f"{field} is required: an image's URL or its base64 text")
    if not isinstance(value, str):
        raise InvalidRequest.at(field, f"{field} must be a string: an image's URL or its base64 text")


def _check_images(value: Any, field: str) -> None:
    if value is None or value == []:
        raise InvalidRequest.at(field, f"{field} is required: at least one image's URL or base64 text")
    if not isinstance(value, list):
        raise InvalidRequest.at(field, f"{field} must be a list of images")
    for index, image in enumerate(value):
        _check_image(image, f"{field}.{index}")


def _check_image_list(value: Any, field: str) -> None:
    if value is None or value == []:
        raise InvalidRequest.at(field, f"{field} is required: at least one image")
    if not isinstance(value, list):
        raise InvalidRequest.at(field, f'{field} must be a list of {{"data", "name"}}')
    for index, entry in enumerate(value):
        if not isinstance(entry, Mapping):
            raise InvalidRequest.at(f"{field}.{index}", f'{field}.{index} must be an object {{"data", "name"}}')
        _check_image(entry.get("data"), f"{field}.{index}.data")
        if not isinstance(entry.get("name"), str):
            raise InvalidRequest.at(f"{field}.{index}.name", f"{field}.{index}.name must be a string")
