"""Whether an answer is what was asked for, and where it is kept."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from sandbox.demo.errors import DemoError
from sandbox.demo.reference import Request

__all__ = ["check_answer", "check_image", "clear", "keep"]


def clear(directory: Path, requests: list[Request]) -> None:
    """Make the directory and take away what an earlier demo left for these tasks.

    Raises:
        DemoError: the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for request in requests:
            for old in [directory / f"{request.id}.json", *directory.glob(f"{request.id}-*.png")]:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise DemoError(f"{directory} cannot be written ({error.strerror}).") from error


def check_answer(request: Request, answer: dict[str, Any]) -> list[str]:
    """The images' URLs of a completed answer.

    Raises:
        DemoError: it failed, or names no image.
    """
    if answer.get("status") != "completed" or answer.get("result") is not True:
        error = answer.get("error") or {}
        why = f"{error.get('code', 'no code')}: {error.get('message', 'no message')}"
        raise DemoError(f"Task {request.id} ended as {answer.get('status')!r} ({why}).")
    urls = answer.get("image_url")
    if not isinstance(urls, list) or not urls:
        raise DemoError(f"The answer to task {request.id} is completed but names no image.")
    if strange := [url for url in urls if not str(url).rpartition("/")[2].startswith(f"{request.id}-")]:
        raise DemoError(f"The answer to task {request.id} names {strange[0]}, which is not called {request.id}-<n>.")
    return [str(url) for url in urls]


def check_image(request: Request, data: bytes) -> None:
    """Hold an image against its request.

    Raises:
        DemoError: it is no PNG, of another size, or carries another prompt.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind, size, parameters = image.format, image.size, str(image.info.get("parameters", ""))
            image.load()
    except (OSError, SyntaxError) as error:
        raise DemoError(f"The image of task {request.id} cannot be read ({error}).") from error
    if kind != "PNG":
        raise DemoError(f"The image of task {request.id} is a {kind}, not a PNG.")
    if size != request.size:
        width, height = request.size
        raise DemoError(f"The image of task {request.id} is {size[0]}x{size[1]}, not {width}x{height}.")
    if request.prompt not in parameters:
        raise DemoError(f"The image of task {request.id} does not carry its prompt in its generation parameters.")


def keep(directory: Path, request: Request, answer: dict[str, Any], fetch: Callable[[str], bytes]) -> list[Path]:
    """Write `<id>.json` and the images under their names in S3 (`<id>-<n>.png`), and return all paths.

    Raises:
        DemoError: the answer or an image is not what was asked for; what was read until then stays for a look.
    """
    path = directory / f"{request.id}.json"
    path.write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    paths = [path]
    for url in check_answer(request, answer):
        data = fetch(url)
        path = directory / url.rpartition("/")[2]
        path.write_bytes(data)
        paths.append(path)
        check_image(request, data)
    return paths
