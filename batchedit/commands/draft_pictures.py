"""The source pictures of the rows that are shown: fetched here under guards, never by the browser, and made small."""

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
from .draft_steps import Step, found
from .drafts import Draft
from .proxy import find_proxy

SIDE = 360
"""Pixels of a thumbnail's longer side."""
PIXELS_MOST = 120_000_000
_AT_ONCE = 6


def fetch_pictures(draft: Draft, environ: Mapping[str, str]) -> dict[str, Any]:
    """A thumbnail, or a text that says why there is none, for each picture of the sample. Only public addresses are asked."""
    folder = draft.folder / "thumbs"
    folder.mkdir(exist_ok=True)
    wanted = {
        picture["key"]: picture for row in found(draft, Step.CHECK).get("sample", ()) for picture in row["pictures"]
    }
    anyio.run(partial(_all, folder, wanted, find_proxy(environ)))
    return {}


async def _all(folder: Path, wanted: Mapping[str, dict[str, str]], proxy: str | None) -> None:
    limit = anyio.CapacityLimiter(_AT_ONCE)
    async with LinkProbe(proxy=proxy, tries=1) as asker, anyio.create_task_group() as group:

        async def one(key: str, picture: dict[str, str]) -> None:
            async with limit:
                await _one(folder, key, picture, asker)

        for key, picture in wanted.items():
            if not (folder / f"{key}.webp").exists():
                group.start_soon(one, key, picture)


async def _one(folder: Path, key: str, picture: dict[str, str], asker: LinkProbe) -> None:
    data: bytes | Answer
    try:
        data = await anyio.Path(picture["file"]).read_bytes() if picture["file"] else await asker.fetch(picture["link"])
    except OSError as error:
        data = Answer("bad", error.strerror or "can't be read")
    if not isinstance(data, Answer):
        try:
            shrink(data, folder / f"{key}.webp")
            return
        except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            data = Answer("bad", f"can't be shown ({str(error)[:100]})")
    write_atomically(folder / f"{key}.txt", data.reason.encode())


def shrink(data: bytes, path: Path) -> None:
    """A thumbnail at ``path``. ValueError for more pixels than are decoded here; OSError for what is no picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > PIXELS_MOST:
                raise ValueError(f"it has {picture.width} × {picture.height} pixels")
            picture.draft("RGB", (SIDE * 2, SIDE * 2))
            small = ImageOps.exif_transpose(picture).convert("RGBA" if "A" in picture.getbands() else "RGB")
            small.thumbnail((SIDE, SIDE))
    with replace_atomically(path) as part, part.open("wb") as file:
        small.save(file, "WEBP", quality=82)
