"""Whether a 200 of SD WebUI is what was asked for: it may have run another model, another sampler, or stopped early."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sd_agent.contract import images
from sd_agent.contract.errors import ErrorCode
from sd_agent.contract.task import IMAGE_TASKS, TaskType
from sd_agent.worker.errors import TaskError
from sd_agent.worker.pictures import Picture, decode_base64, sniff
from sd_agent.worker.webui.a1111_models import Checkpoint
from sd_agent.worker.webui.base import Generation
from sd_agent.worker.webui.http import Reply

__all__ = ["Asked", "read_generation"]

# SD WebUI takes "Euler a Karras" for sampler "Euler a" with scheduler "Karras" and then reports "Euler a".
_SCHEDULERS = frozenset(
    {
        "Automatic",
        "Uniform",
        "Karras",
        "Exponential",
        "Polyexponential",
        "SGM Uniform",
        "KL Optimal",
        "Align Your Steps",
        "Simple",
        "Normal",
        "DDIM",
        "Beta",
    }
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a reply is held against. checkpoint: None where any model is right."""

    tasktype: TaskType
    body: Mapping[str, Any]
    checkpoint: Checkpoint | None = None


def read_generation(reply: Reply, asked: Asked) -> Generation:
    """The result in a 200. Raises TaskError (wrong_result)."""
    value = reply.json()
    if not isinstance(value, dict):
        raise _wrong("the WebUI's reply is not whole JSON", retry=True)
    response = {key: entry for key, entry in value.items() if key not in ("image", "images")}
    parameters = _without_images(value.get("parameters"))
    if "parameters" in response:
        response["parameters"] = parameters
    pictures = _pictures(value, asked)
    seeds: list[int] = []
    if asked.tasktype in IMAGE_TASKS:
        info = _info(value.get("info"))
        _check_model(info, asked.checkpoint)
        _check_sampler(info, asked.body)
        seeds = [seed for seed in info.get("all_seeds") or [] if isinstance(seed, int)]
    return Generation(pictures=pictures, response=response, parameters=parameters, seeds=seeds)


def _pictures(value: Mapping[str, Any], asked: Asked) -> list[Picture]:
    texts = [value.get("image")] if asked.tasktype is TaskType.EXTRA_SINGLE_IMAGE else value.get("images")
    if not isinstance(texts, list):
        raise _wrong("the WebUI's reply has no images", retry=True)
    wanted = _expected_images(asked)
    # Scripts may add grids or the maps that they worked from.
    extra_allowed = bool(asked.body.get("script_name") or asked.body.get("alwayson_scripts"))
    if len(texts) < wanted or (len(texts) > wanted and not extra_allowed):
        raise _wrong(f"the WebUI gave {len(texts)} images where {wanted} were asked for", retry=True)
    pictures = []
    for number, text in enumerate(texts, 1):
        data = decode_base64(text) if isinstance(text, str) else None
        picture = None if data is None else sniff(data)
        if picture is None:
            raise _wrong(f"image {number} of the WebUI's reply is no image", retry=True)
        pictures.append(picture)
    return pictures


def _expected_images(asked: Asked) -> int:
    if asked.tasktype in IMAGE_TASKS:
        return int(asked.body.get("batch_size", 1)) * int(asked.body.get("n_iter", 1))
    return 1 if asked.tasktype is TaskType.EXTRA_SINGLE_IMAGE else len(asked.body.get("imageList", ()))


def _info(text: Any) -> dict[str, Any]:
    try:
        info = orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        info = None
    if not isinstance(info, dict):
        raise _wrong("the WebUI's reply does not say what it ran", retry=True)
    return info


def _check_model(info: Mapping[str, Any], checkpoint: Checkpoint | None) -> None:
    if checkpoint is None:
        return
    name, digest = info.get("sd_model_name"), info.get("sd_model_hash")
    # Equal files share a hash and may be reported under either name.
    same_hash = bool(checkpoint.sha256 and isinstance(digest, str) and digest) and str(checkpoint.sha256).startswith(
        str(digest)
    )
    known_hash = bool(checkpoint.sha256 and digest)
    if not (same_hash if known_hash else name == checkpoint.name):
        raise _wrong(f"the WebUI ran the model {name or 'unknown'} instead of {checkpoint.file}", retry=True)


def _check_sampler(info: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    asked = body.get("sampler_name") or body.get("sampler_index")
    told = info.get("sampler_name")
    if not asked or told == asked:
        return
    if isinstance(told, str) and asked.startswith(f"{told} ") and asked[len(told) + 1 :] in _SCHEDULERS:
        return
    # The name is unknown to the WebUI: it would do the same again.
    raise _wrong(f"the WebUI ran the sampler {told or 'unknown'} instead of {asked}", retry=False)


def _without_images(parameters: Any) -> dict[str, Any]:
    if not isinstance(parameters, dict):
        return {}
    stripped = copy.deepcopy(parameters)
    for path in images.image_paths(stripped):
        images.set_at(stripped, path, None)
    return stripped


def _wrong(reason: str, *, retry: bool) -> TaskError:
    return TaskError(ErrorCode.WRONG_RESULT, reason, retry=retry)
