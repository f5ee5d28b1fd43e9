"""Fetch the source pictures of the sample rows, from public addresses only and never by the browser, and shrink them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from PIL import Image, ImageOps, UnidentifiedImageError

from ..disk import replace_atomically, write_atomically
from ..images.link_probe import Answer, LinkProbe
from ..images.shrink import to_rgb
from ..images.thumbnails_and_features import encode_jpeg, scale_down
from .draft_steps import Step, read_step_result
from .drafts import Draft
from .proxy import find_proxy

SIDE = 360
"""Pixels of a thumbnail's longer side."""
PIXELS_MOST = 120_000_000
_CONCURRENT_FETCHES = 6


def fetch_pictures(draft: Draft, environ: Mapping[str, str]) -> dict[str, Any]:
    """Write a thumbnail, or a text that says why there is none, for each picture of the sample."""
    folder = draft.folder / "thumbs"
    folder.mkdir(exist_ok=True)
    pictures = {
        picture["key"]: picture
        for row in read_step_result(draft, Step.CHECK).get("sample", ())
        for picture in row["pictures"]
    }
    anyio.run(partial(_fetch_all, folder, pictures, find_proxy(environ)))
    return {}


async def _fetch_all(folder: Path, pictures: Mapping[str, dict[str, str]], proxy: str | None) -> None:
    limit = anyio.CapacityLimiter(_CONCURRENT_FETCHES)
    async with LinkProbe(proxy=proxy, tries=1) as asker, anyio.create_task_group() as group:

        async def fetch_limited(key: str, picture: dict[str, str]) -> None:
            async with limit:
                await _fetch_one(folder, key, picture, asker)

        for key, picture in pictures.items():
            if not (folder / f"{key}.jpg").exists():
                group.start_soon(fetch_limited, key, picture)


async def _fetch_one(folder: Path, key: str, picture: dict[str, str], asker: LinkProbe) -> None:
    data: bytes | Answer
    try:
        data = await anyio.Path(picture["file"]).read_bytes() if picture["file"] else await asker.fetch(picture["link"])
    except OSError as error:
        data = Answer("bad", error.strerror or "can't be read")
    if not isinstance(data, Answer):
        try:
            write_thumbnail(data, folder / f"{key}.jpg")
            return
        except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            data = Answer("bad", f"can't be shown ({str(error)[:100]})")
    write_atomically(folder / f"{key}.txt", data.reason.encode())


def write_thumbnail(data: bytes, path: Path) -> None:
    """Write a thumbnail to ``path``. ValueError for more than PIXELS_MOST pixels; OSError if ``data`` is no picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > PIXELS_MOST:
                raise ValueError(f"it has {picture.width} × {picture.height} pixels")
            picture.draft("RGB", (SIDE * 2, SIDE * 2))
            small = scale_down(ImageOps.exif_transpose(to_rgb(picture)), SIDE)
    with replace_atomically(path) as part, part.open("wb") as file:
        file.write(encode_jpeg(small))
