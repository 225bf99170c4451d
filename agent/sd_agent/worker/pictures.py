"""Images as bytes: what they are, told by their content and never by a name or a header."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

__all__ = ["Picture", "decode_base64", "sniff"]

_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image's bytes with its file extension and media type."""

    data: bytes = field(repr=False)
    extension: str
    media_type: str


def sniff(data: bytes) -> Picture | None:
    """The picture in `data` (PNG, JPEG, WebP, GIF, BMP), or None; a PNG that was cut short is none."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Picture(data=data, extension="png", media_type="image/png") if _PNG_END in data else None
    if data.startswith(b"\xff\xd8\xff"):
        return Picture(data=data, extension="jpg", media_type="image/jpeg")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Picture(data=data, extension="webp", media_type="image/webp")
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return Picture(data=data, extension="gif", media_type="image/gif")
    if data[:2] == b"BM" and len(data) > 26:
        return Picture(data=data, extension="bmp", media_type="image/bmp")
    return None


def decode_base64(text: str) -> bytes | None:
    """The bytes of base64 text or of a base64 data URI, or None where it is neither."""
    if text.startswith("data:"):
        header, comma, text = text.partition(",")
        if not comma or not header.endswith(";base64"):
            return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
