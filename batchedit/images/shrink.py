"""A picture re-encoded until it fits. Pure but for the time it takes: bytes in, bytes out.

First the quality goes down in steps that an eye does not see, then the size. What is transparent stays transparent
(WebP), everything else becomes a JPEG. Orientation is written into the pixels, the colour profile is kept.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

from PIL import Image, ImageOps

QUALITIES = (92, 85, 78)
SMALLEST = 64  # pixels of the longer side: what does not fit at that never will
STEP = 0.8


def shrink(data: bytes, most: int) -> tuple[bytes, str]:
    """``data`` in at most ``most`` bytes, and its media type. ValueError for what can't be decoded or made to fit."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # it is the user's own file
            with Image.open(io.BytesIO(data)) as opened:
                picture = ImageOps.exif_transpose(opened)
                profile = opened.info.get("icc_profile") if opened.mode != "CMYK" else None
                picture = _plain(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"can't be decoded ({error})") from None
    kind = "WEBP" if picture.mode == "RGBA" else "JPEG"
    for smaller in _sizes(picture):
        for quality in QUALITIES:
            out = io.BytesIO()
            smaller.save(out, kind, quality=quality, icc_profile=profile)
            if out.tell() <= most:
                return out.getvalue(), f"image/{kind.lower()}"
    raise ValueError(f"does not fit into {most:,} bytes even at {SMALLEST} pixels")


def _plain(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA where anything is transparent."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = picture.point(lambda value: value / 256).convert("L")
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        lowest, _ = picture.getchannel("A").getextrema()
        if isinstance(lowest, int | float) and lowest < 255:
            return picture
    return picture.convert("RGB")


def _sizes(picture: Image.Image) -> Iterator[Image.Image]:
    scale = 1.0
    while True:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        yield picture if scale == 1 else picture.resize((width, height), Image.Resampling.LANCZOS)
        scale *= STEP
        if max(picture.size) * scale < SMALLEST:
            return
