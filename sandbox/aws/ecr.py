"""DescribeImages as ECR answers it: an image that was asked for and isn't there is an error, sizes count the layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ministack.services import ecr

__all__ = ["install"]

Answer = tuple[int, dict[str, str], bytes]


def install() -> None:
    """Wrap ministack's DescribeImages; once in a process."""
    ecr._describe_images = _honest(ecr._describe_images)


def _honest(describe: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
    def describe_images(request: dict[str, Any]) -> Answer:
        status, headers, body = describe(request)
        if status != 200:
            return status, headers, body
        repository = request["repositoryName"]
        for wanted in request.get("imageIds") or []:
            if ecr._find_image(repository, wanted) is None:
                return _not_found(headers, repository, wanted)
        answer = json.loads(body)
        for detail in answer["imageDetails"]:
            found = ecr._find_image(repository, {"imageDigest": detail["imageDigest"]})
            detail["imageSizeInBytes"] = _size(found["imageManifest"])
        return status, headers, json.dumps(answer).encode()

    return describe_images


def _not_found(headers: dict[str, str], repository: str, wanted: dict[str, str]) -> Answer:
    which = ", ".join(f"{key[len('image') :].lower()}:'{value}'" for key, value in wanted.items())
    message = f"The image with imageId {{{which}}} does not exist within the repository with name '{repository}'"
    return 400, headers, json.dumps({"__type": "ImageNotFoundException", "message": message}).encode()


def _size(manifest: str) -> int:
    """Bytes of the layers; 0 for an index of several images."""
    return sum(layer["size"] for layer in json.loads(manifest).get("layers", []))
