"""A picture's format by its first bytes: the formats that the service's pages name, and other common ones."""

from __future__ import annotations

import re

_TYPES = tuple(
    (re.compile(pattern, re.DOTALL).match, media)
    for pattern, media in (
        (rb"\x89PNG\r\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"GIF8", "image/gif"),
        (rb"BM", "image/bmp"),
        (rb"II\*\0|MM\0\*", "image/tiff"),
        (rb"....ftypavif", "image/avif"),
        (rb"....ftyp(?:heic|heix|mif1)", "image/heic"),
    )
)
HEIC = "image/heic"
"""A format that Pillow can't read."""
SHRINKABLE = frozenset({"image/png", "image/jpeg", "image/webp"})
"""Formats that ``shrink`` can re-encode."""


def detect_media_type(data: bytes) -> str | None:
    """The MIME type of a picture that begins with ``data`` (12 bytes are enough), None for an unknown format."""
    return next((media for begins, media in _TYPES if begins(data)), None)
