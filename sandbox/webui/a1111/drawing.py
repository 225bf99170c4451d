"""The picture that stands in for a diffusion model's: drawn from prompt and seed alone, the same every time.

Sky and sun, then one of three motifs that the prompt chooses, fine grain (so that files are as large as real ones), and
the prompt as a caption, so that nobody mistakes it for the real thing.
"""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

__all__ = ["Sketch", "draw"]

_GRAIN = 10
_CAPTION_LINES = 3

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Sketch:
    """Everything that a picture follows from.

    Attributes:
        prompt: chooses the motif and its colours, and is written on the picture.
        seed: moves everything about.
        size: width and height in pixels.
        footnote: small print under the caption, such as the model's name.
        base: the picture to build on (image-to-image), of the same size.
        strength: how much of the base is painted over, 0 to 1.
        mask: where the base may be changed (white), of the same size; None: everywhere.
        done: the fraction of the steps that were taken; below 1 noise is left over.
    """

    prompt: str
    seed: int
    size: tuple[int, int]
    footnote: str = ""
    base: Image.Image | None = None
    strength: float = 1.0
    mask: Image.Image | None = None
    done: float = 1.0


def draw(sketch: Sketch) -> Image.Image:
    """The picture, RGB. Takes tens of milliseconds, so keep it off the event loop."""
    chance = random.Random(f"{sketch.prompt}\n{sketch.seed}")
    picture = _landscape(sketch, chance)
    if sketch.base is not None:
        picture = Image.blend(sketch.base, picture, 0.65 * max(0.0, min(1.0, sketch.strength)))
    picture = _grain(picture, chance)
    if sketch.done < 1:
        picture = Image.blend(_noise(sketch.size, chance), picture, 0.15 + 0.85 * max(0.0, sketch.done))
    _caption(picture, sketch)
    if sketch.base is not None and sketch.mask is not None:
        picture = Image.composite(picture, sketch.base, sketch.mask)
    return picture


def _landscape(sketch: Sketch, chance: random.Random) -> Image.Image:
    # The prompt alone chooses motif and hue; the seed only varies them.
    by_prompt = random.Random(sketch.prompt)
    hue = by_prompt.random() + chance.uniform(-0.06, 0.06)
    motif = by_prompt.choice(_MOTIFS)
    sky = Image.linear_gradient("L").resize(sketch.size)
    picture = ImageOps.colorize(
        sky, _colour(hue, 0.55, 0.35), _colour(hue + 0.12, 0.30, 1.0), mid=_colour(hue + 0.05, 0.50, 0.75)
    )
    _sun(picture, chance, _colour(hue + 0.14, 0.18, 1.0))
    motif(picture, chance, hue)
    # Smooths the edges, which ImageDraw leaves jagged.
    return picture.filter(ImageFilter.GaussianBlur(0.7))


def _sun(picture: Image.Image, chance: random.Random, colour: Colour) -> None:
    width, height = picture.size
    side = max(4, int(min(width, height) * chance.uniform(0.55, 0.9)))
    x = int(width * chance.uniform(0.1, 0.9)) - side // 2
    y = int(height * chance.uniform(0.12, 0.45)) - side // 2
    picture.paste(colour, (x, y), _disc(side, lambda depth: 0.75 * depth**1.6))
    core = side // 7
    centre_x, centre_y = x + side // 2, y + side // 2
    box = (centre_x - core, centre_y - core, centre_x + core, centre_y + core)
    ImageDraw.Draw(picture).ellipse(box, fill=colour)


def _hills(picture: Image.Image, chance: random.Random, hue: float) -> None:
    width, height = picture.size
    canvas = ImageDraw.Draw(picture)
    layers = 5
    for layer in range(layers):
        base = height * (0.48 + 0.11 * layer + chance.uniform(-0.02, 0.02))
        waves = [
            (
                height * swing * chance.uniform(0.6, 1.2),
                frequency * chance.uniform(0.7, 1.3),
                chance.uniform(0, math.tau),
            )
            for swing, frequency in ((0.06, 1.3), (0.025, 3.7), (0.008, 11.0))
        ]
        ridge = [
            (x, base + sum(swing * math.sin(pace * math.tau * x / width + start) for swing, pace, start in waves))
            for x in range(0, width + 4, 4)
        ]
        shade = _colour(hue - 0.04 * layer, 0.30 + 0.09 * layer, 0.72 - 0.13 * layer)
        canvas.polygon([(0, height), *ridge, (width + 4, height)], fill=shade)


def _orbs(picture: Image.Image, chance: random.Random, hue: float) -> None:
    width, height = picture.size
    for _ignored in range(26):
        side = max(3, int(min(width, height) * chance.uniform(0.06, 0.32)))
        place = (int(chance.uniform(-0.1, 1.0) * width), int(chance.uniform(0.2, 1.0) * height))
        opacity = chance.uniform(0.5, 0.95)
        shape = _disc(side, _edge(opacity))
        shade = _colour(hue + chance.uniform(-0.18, 0.18), chance.uniform(0.35, 0.75), chance.uniform(0.5, 1.0))
        picture.paste(shade, place, shape)


def _ribbons(picture: Image.Image, chance: random.Random, hue: float) -> None:
    width, height = picture.size
    for ribbon in range(9):
        layer = Image.new("L", picture.size)
        middle, swing = height * chance.uniform(0.3, 0.95), height * chance.uniform(0.04, 0.16)
        pace, start = chance.uniform(0.4, 1.3), chance.uniform(0, math.tau)
        twist, thickness = chance.uniform(0.2, 1.2), height * chance.uniform(0.03, 0.12)
        upper = [(x, middle + swing * math.sin(pace * math.tau * x / width + start)) for x in range(-8, width + 16, 8)]
        lower = [(x, y + thickness * (0.55 + 0.45 * math.sin(twist * math.tau * x / width))) for x, y in upper]
        ImageDraw.Draw(layer).polygon([*upper, *reversed(lower)], fill=int(chance.uniform(110, 210)))
        shade = _colour(hue + 0.025 * ribbon, chance.uniform(0.3, 0.7), chance.uniform(0.5, 1.0))
        picture.paste(shade, (0, 0), layer)


Motif = Callable[[Image.Image, random.Random, float], None]
_MOTIFS: tuple[Motif, ...] = (_hills, _orbs, _ribbons)


def _edge(opacity: float) -> Callable[[float], float]:
    return lambda depth: opacity * min(1.0, 5 * depth)


def _disc(side: int, opacity: Callable[[float], float]) -> Image.Image:
    """A round mask: `opacity` of the depth, which is 1 in the middle and 0 at the rim."""
    distances = Image.radial_gradient("L").resize((side, side))
    # In the middle of a side, where the rim is to be, the gradient is not at its end yet.
    rim = distances.getpixel((0, side // 2))
    reach = float(rim) if isinstance(rim, int) and rim else 255.0
    return distances.point([round(255 * opacity(max(0.0, 1 - value / reach))) for value in range(256)])


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, max(0.0, min(1.0, saturation)), max(0.0, min(1.0, value)))
    return round(255 * red), round(255 * green), round(255 * blue)


def _grain(picture: Image.Image, chance: random.Random) -> Image.Image:
    level = Image.frombytes("L", picture.size, chance.randbytes(picture.width * picture.height))
    level = level.point([value * _GRAIN // 256 for value in range(256)])
    return ImageChops.add(picture, Image.merge("RGB", (level, level, level)), offset=-_GRAIN // 2)


def _noise(size: tuple[int, int], chance: random.Random) -> Image.Image:
    # A coarse grid enlarged: what an unfinished latent looks like.
    cells = max(1, size[0] // 8), max(1, size[1] // 8)
    return Image.frombytes("RGB", cells, chance.randbytes(3 * cells[0] * cells[1])).resize(
        size, Image.Resampling.NEAREST
    )


def _caption(picture: Image.Image, sketch: Sketch) -> None:
    width, height = picture.size
    points = max(8, round(min(width, height) / 26))
    font, small = ImageFont.load_default(points), ImageFont.load_default(max(7, round(points * 0.6)))
    lines = _wrap(sketch.prompt, font, width - 2 * points)
    step = round(points * 1.3)
    band = points + step * len(lines) + (points if sketch.footnote else 0)
    top = max(0, height - band)
    lower = picture.crop((0, top, width, height))
    picture.paste(Image.blend(lower, Image.new("RGB", lower.size, "black"), 0.45), (0, top))
    canvas = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        canvas.text((points, top + points // 2 + number * step), line, fill="white", font=font)
    canvas.text((points, top + points // 2 + len(lines) * step), sketch.footnote, fill=(205, 205, 205), font=small)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines: list[str] = []
    # A caption never needs more than this, however long the prompt is.
    for word in text[:400].split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        elif len(lines) == _CAPTION_LINES:
            lines[-1] += " …"
            break
        else:
            lines.append(word)
    return lines
