"""Re-encodes a picture until it fits. Pure but slow: bytes in, bytes out.

First the quality is reduced in steps that are hardly visible, then the size. A transparent picture stays transparent
(WebP); any other becomes a JPEG. The orientation is written into the pixels; the colour profile is kept.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

from PIL import Image, ImageOps

QUALITIES = (92, 85, 78)
SMALLEST = 64  # pixels of the longer side: a picture that does not fit at that never will
STEP = 0.8


def shrink(data: bytes, max_bytes: int) -> tuple[bytes, str]:
    """``data`` in at most ``max_bytes`` bytes, and its media type. ValueError for what can't be decoded or made to fit."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # it is the user's own file
            with Image.open(io.BytesIO(data)) as opened:
                picture = ImageOps.exif_transpose(opened)
                profile = opened.info.get("icc_profile") if opened.mode != "CMYK" else None
                picture = to_rgb(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"can't be decoded ({error})") from None
    format_name = "WEBP" if picture.mode == "RGBA" else "JPEG"
    for candidate in _resize_stepwise(picture):
        for quality in QUALITIES:
            buffer = io.BytesIO()
            candidate.save(buffer, format_name, quality=quality, icc_profile=profile)
            if buffer.tell() <= max_bytes:
                return buffer.getvalue(), f"image/{format_name.lower()}"
    raise ValueError(f"does not fit into {max_bytes:,} bytes even at {SMALLEST} pixels")


def to_rgb(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA where anything is transparent. A picture that is in RGB already is returned as it is."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = picture.point(lambda value: value / 256).convert("L")
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        lowest, _ = picture.getchannel("A").getextrema()
        if isinstance(lowest, int | float) and lowest < 255:
            return picture
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _resize_stepwise(picture: Image.Image) -> Iterator[Image.Image]:
    scale = 1.0
    while True:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        yield picture if scale == 1 else picture.resize((width, height), Image.Resampling.LANCZOS)
        scale *= STEP
        if max(picture.size) * scale < SMALLEST:
            return
