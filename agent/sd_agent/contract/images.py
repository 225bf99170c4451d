"""Where an SD WebUI body holds input images.

The only places in which a URL means "fetch this": everything else in a body is text. SD WebUI would fetch URLs in
these fields by itself, so the agent replaces each by the image's bytes before the body goes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = [
    "MAX_INPUT_BYTES",
    "UPLOAD_TYPES",
    "Path",
    "dotted",
    "get_at",
    "image_paths",
    "is_url",
    "set_at",
    "split_links",
    "stray_urls",
]

MAX_INPUT_BYTES = 32 * 1024 * 1024
# What the agent takes for an image, and the ends of their names.
UPLOAD_TYPES: Mapping[str, str] = {
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
}

Path = tuple[str | int, ...]

_CONTROLNET_IMAGES = ("image", "input_image", "mask", "mask_image")
_TEXT_FIELDS = frozenset({"prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt", "styles"})
_URL = re.compile(r"\s*(?:https?|s3|ftp|file)://", re.IGNORECASE)
_NEXT_LINK = re.compile(r",\s*(?=(?:https?|s3)://)", re.IGNORECASE)


def image_paths(content: Mapping[str, Any]) -> list[Path]:
    """The paths at which `content` holds an input image (a string), in a fixed order."""
    return [path for path in _candidates(content) if isinstance(get_at(content, path), str)]


def is_url(text: str) -> bool:
    """Whether a field's text is an address and not the image itself."""
    return bool(_URL.match(text))


def split_links(text: str) -> list[str]:
    """The URLs of an `image_link`: several may be separated by commas, and a URL may itself hold a comma."""
    return [link.strip() for link in _NEXT_LINK.split(text.strip().strip(",")) if link.strip()]


def stray_urls(content: Mapping[str, Any]) -> list[Path]:
    """Paths of strings that are URLs outside of the texts that are prompts."""
    return [path for path, value in _strings(content, ()) if is_url(value)]


def get_at(content: Any, path: Path) -> Any:
    """The value at `path`, or None where the path leads nowhere."""
    value = content
    for part in path:
        if isinstance(part, str):
            value = value.get(part) if isinstance(value, Mapping) else None
        else:
            value = value[part] if isinstance(value, list) and part < len(value) else None
    return value


def set_at(content: Any, path: Path, value: Any) -> None:
    """Replace the value at `path`, which must exist."""
    holder: Any = content
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value


def dotted(path: Path) -> str:
    """`init_images.0`: a path for people."""
    return ".".join(str(part) for part in path)


def _candidates(content: Mapping[str, Any]) -> Iterator[Path]:
    yield ("mask",)
    yield ("image",)
    for index in range(_length(content.get("init_images"))):
        yield ("init_images", index)
    for index in range(_length(content.get("imageList"))):
        yield ("imageList", index, "data")
    scripts = content.get("alwayson_scripts")
    for script in scripts if isinstance(scripts, Mapping) else ():
        if script.lower() == "controlnet":
            yield from _controlnet(("alwayson_scripts", script, "args"), get_at(scripts, (script, "args")))


def _controlnet(path: Path, args: Any) -> Iterator[Path]:
    for index in range(_length(args)):
        for name in _CONTROLNET_IMAGES:
            yield (*path, index, name)
            # ControlNet also takes {"image": …, "mask": …} as one argument's image.
            yield (*path, index, name, "image")
            yield (*path, index, name, "mask")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _strings(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            if path or key not in _TEXT_FIELDS:
                yield from _strings(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _strings(child, (*path, index))
