"""Images on their way in and out: base64, formats, and the text that travels inside them."""

from __future__ import annotations

import base64
import io
import ipaddress
from urllib.parse import urlsplit

from PIL import Image, PngImagePlugin

from sandbox.webui.a1111.errors import HTTPException, OutOfMemoryError
from sandbox.webui.a1111.options import Options

__all__ = ["decode", "embedded_text", "encode", "grid", "load"]

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_PIXELS = 64_000_000
# Keys that file formats bring along and that are no information about the picture.
_NOISE = frozenset(
    {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "dpi",
        "exif",
        "loop",
        "background",
        "timestamp",
        "duration",
        "progressive",
        "progression",
        "icc_profile",
        "chromaticity",
        "photoshop",
        "gamma",
        "interlace",
        "transparency",
    }
)


def decode(text: str, options: Options) -> Image.Image:
    """An image from base64, with or without a data: prefix; only its header is read yet.

    Raises:
        HTTPException: not base64, not an image, or a URL: the simulator never fetches, and a local one is refused as
            the real WebUI refuses it.
        AttributeError: not text at all.
        ConnectionError: a public URL, which the real WebUI would fetch.
    """
    if text.startswith(("http://", "https://")):
        if not options.get("api_enable_requests"):
            raise HTTPException(500, "Requests not allowed")
        if not _is_public(text):
            raise HTTPException(500, "Request to local resource not allowed")
        raise ConnectionError("the simulator fetches nothing")
    try:
        if text.startswith("data:image/"):
            text = text.split(";")[1].split(",")[1]
        return Image.open(io.BytesIO(base64.b64decode(text)))
    except Exception as error:
        raise HTTPException(500, "Invalid encoded image") from error


def load(image: Image.Image) -> Image.Image:
    """The image's pixels, RGB, transparency on white.

    Raises:
        OSError: the data ends early.
        OutOfMemoryError: it is larger than the simulator wants to hold.
    """
    if image.width * image.height > _PIXELS:
        raise OutOfMemoryError("CUDA out of memory.")
    try:
        image.load()
    except (OSError, SyntaxError) as error:
        raise OSError("image file is truncated") from error
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def encode(image: Image.Image, options: Options) -> str:
    """The image as bare base64 in the format that the setting samples_format names, with its text inside.

    Raises:
        HTTPException: the setting names no known format.
    """
    kind = str(options.get("samples_format")).lower()
    quality = int(options.get("jpeg_quality"))
    buffer = io.BytesIO()
    if kind == "png":
        information = PngImagePlugin.PngInfo()
        for key, value in image.info.items():
            if isinstance(key, str) and isinstance(value, str):
                information.add_text(key, value)
        image.save(buffer, "PNG", pnginfo=information)
    elif kind in ("jpg", "jpeg", "webp"):
        exif = Image.Exif()
        text = str(image.info.get("parameters") or "")
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
        file_format = "WEBP" if kind == "webp" else "JPEG"
        image.convert("RGB").save(buffer, file_format, exif=exif, quality=quality)
    else:
        raise HTTPException(500, "Invalid image format")
    return base64.b64encode(buffer.getvalue()).decode()


def embedded_text(image: Image.Image) -> tuple[str, dict[str, object]]:
    """The generation parameters that an image carries, and its other text fields."""
    items = {str(key): value for key, value in image.info.items() if key not in _NOISE}
    parameters = items.pop("parameters", None)
    comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        parameters = parameters or comment[8:].decode("utf-16-be", "replace")
    return str(parameters or ""), {key: value for key, value in items.items() if isinstance(value, str)}


def grid(images: list[Image.Image], rows_option: int, batch_size: int) -> Image.Image:
    """All images of a run in one, about square unless the setting n_rows says otherwise."""
    rows = rows_option if rows_option > 0 else batch_size if rows_option == 0 else round(len(images) ** 0.5)
    rows = max(1, min(rows, len(images)))
    columns = -(-len(images) // rows)
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * width, rows * height), "black")
    for number, image in enumerate(images):
        sheet.paste(image, (number % columns * width, number // columns * height))
    return sheet


def _is_public(url: str) -> bool:
    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "").is_global
    except ValueError:
        host = urlsplit(url).hostname or ""
        return "." in host and not host.endswith((".local", ".localhost", ".internal"))
