"""The pictures themselves."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from sandbox.webui.a1111.drawing import Sketch, draw


def _difference(one: Image.Image, other: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


@pytest.mark.parametrize("size", [(8, 8), (64, 512), (513, 40), (512, 512)])
def test_any_size(size: tuple[int, int]) -> None:
    assert draw(Sketch("A dog", 1, size, footnote="small print")).size == size


def test_prompts_differ_visibly() -> None:
    pictures = [draw(Sketch(prompt, 1, (128, 128))) for prompt in ("A dog", "A cat", "A house", "")]
    for number, one in enumerate(pictures):
        for other in pictures[number + 1 :]:
            assert _difference(one, other) > 10


def test_seeds_differ_visibly() -> None:
    assert _difference(draw(Sketch("A dog", 1, (128, 128))), draw(Sketch("A dog", 2, (128, 128)))) > 5


def test_a_file_is_about_as_large_as_a_real_one() -> None:
    buffer = io.BytesIO()
    draw(Sketch("A dog", 1, (512, 512))).save(buffer, "PNG")
    assert 200_000 < buffer.tell() < 600_000


def test_an_unfinished_picture_is_noisy() -> None:
    whole = draw(Sketch("A dog", 1, (128, 128)))
    strayed = [_difference(whole, draw(Sketch("A dog", 1, (128, 128), done=done))) for done in (0.9, 0.5, 0.1)]
    assert strayed == sorted(strayed)
    assert strayed[0] > 3


def test_a_long_prompt_in_any_script_fits() -> None:
    assert draw(Sketch("犬 собака dog " * 500, 1, (64, 64))).size == (64, 64)
