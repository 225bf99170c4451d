"""A picture for image-to-image requests: drawn here, as no public host can be reached."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw, ImageFilter

from sandbox.aws.asgi import Response, Scope

__all__ = ["landscape", "route"]

_SIZE = (768, 512)


def landscape() -> bytes:
    """A JPEG of a landscape: sky, sun, three ranges of hills and a lake."""
    width, height = _SIZE
    image = Image.linear_gradient("L").resize(_SIZE).convert("RGB")
    red, green, blue = image.split()
    image = Image.merge("RGB", (red.point(_ramp(90, 250)), green.point(_ramp(140, 200)), blue.point(_ramp(220, 150))))
    draw = ImageDraw.Draw(image)
    draw.ellipse((560, 90, 650, 180), fill=(255, 244, 214))
    for number, colour in enumerate(((110, 130, 160), (70, 105, 95), (38, 70, 45))):
        base, wave = 220 + 60 * number, 38 - 6 * number
        ridge = [
            (x, base - wave * (math.sin(x / (67 + 31 * number) + number) + 0.4 * math.sin(x / 17 + 2 * number)))
            for x in range(0, width + 1, 4)
        ]
        draw.polygon([(0, height), *ridge, (width, height)], fill=colour)
    draw.polygon([(0, 430), (width, 405), (width, height), (0, height)], fill=(84, 126, 158))
    for line in range(412, height, 9):
        draw.line((60 + line % 97, line, 330 + (line * 7) % 380, line), fill=(150, 180, 196), width=1)
    buffer = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(0.8)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _ramp(top: int, bottom: int) -> list[int]:
    return [top + (bottom - top) * level // 255 for level in range(256)]


async def route(scope: Scope, body: bytes) -> Response:
    """GET of any name that ends with .jpeg or .jpg answers the picture."""
    if not str(scope["path"]).endswith((".jpeg", ".jpg")):
        return Response.json({"message": "Only .jpeg files are served here."}, 404)
    return Response(200, landscape(), [(b"content-type", b"image/jpeg")])
