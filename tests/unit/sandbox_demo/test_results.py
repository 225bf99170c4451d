"""What the demo holds answers and images against."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from sandbox.demo import results
from sandbox.demo.errors import DemoError
from sandbox.demo.reference import requests

DOG, LANDSCAPE = requests("http://127.0.0.1:4566/")


def _png(size: tuple[int, int] = (768, 768), text: str = "A dog\nSteps: 30", kind: str = "PNG") -> bytes:
    information = PngImagePlugin.PngInfo()
    information.add_text("parameters", text)
    buffer = io.BytesIO()
    extra = {"pnginfo": information} if kind == "PNG" else {}
    Image.new("RGB", size).save(buffer, kind, **extra)
    return buffer.getvalue()


def _answer(**fields: Any) -> dict[str, Any]:
    return {
        "id": "21123",
        "result": True,
        "status": "completed",
        "image_url": ["s3://b/outputs/21123/21123-1.png"],
        **fields,
    }


def test_the_reference_requests() -> None:
    assert DOG.body == {
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
    assert LANDSCAPE.body == {
        "alwayson_scripts": {
            "task": "image-to-image",
            "image_link": "http://127.0.0.1:4566/_sandbox/input/sd-img2img-input.jpeg",
            "id_task": "31311",
            "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
            "uid": "456",
        },
        "prompt": "A fantasy landscape, trending on artstation, mystical sky",
        "steps": 16,
        "width": 512,
        "height": 512,
    }
    assert (LANDSCAPE.id, LANDSCAPE.task, LANDSCAPE.size) == ("31311", "image-to-image", (512, 512))


def test_everything_is_kept(tmp_path: Path) -> None:
    data = _png()
    paths = results.keep(
        tmp_path, DOG, _answer(image_url=["s3://b/x/21123-1.png", "s3://b/x/21123-2.png"]), lambda url: data
    )
    assert [path.name for path in paths] == ["21123.json", "21123-1.png", "21123-2.png"]
    assert json.loads(paths[0].read_text())["status"] == "completed"
    assert paths[1].read_bytes() == data


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            {"status": "failed", "result": False, "error": {"code": "timeout", "message": "too slow"}},
            "Task 21123 ended as 'failed' (timeout: too slow).",
        ),
        ({"status": "failed", "result": False}, "Task 21123 ended as 'failed' (no code: no message)."),
        (
            {"image_url": ["s3://b/x/other.png"]},
            "The answer to task 21123 names s3://b/x/other.png, which is not called 21123-<n>.",
        ),
        ({"image_url": []}, "The answer to task 21123 is completed but names no image."),
    ],
)
def test_answers_that_are_none(tmp_path: Path, answer: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DemoError) as caught:
        results.keep(tmp_path, DOG, _answer(**answer), lambda url: b"")
    assert str(caught.value) == sentence
    # The answer is there for a look all the same.
    assert (tmp_path / "21123.json").exists()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"no image", "cannot be read"),
        (_png()[:200], "cannot be read"),
        (_png(kind="JPEG"), "is a JPEG, not a PNG"),
        (_png((512, 768)), "is 512x768, not 768x768"),
        (_png(text="A cat"), "does not carry its prompt"),
    ],
)
def test_images_that_are_not_what_was_asked_for(data: bytes, sentence: str) -> None:
    with pytest.raises(DemoError, match=sentence):
        results.check_image(DOG, data)


def test_leftovers_are_cleared(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    results.clear(directory, [DOG])
    for name in ("21123.json", "21123-0.png", "other.png"):
        (directory / name).touch()
    results.clear(directory, [DOG])
    assert [path.name for path in directory.iterdir()] == ["other.png"]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DemoError, match="cannot be written"):
        results.clear(tmp_path / "file" / "demo", [DOG])
