"""One picture made small when somebody looks at it: bought ones, and what they were made from, links under guards."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from functools import cache, partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
from PIL import Image

from ..core.errors import BatcheditError
from ..core.model import JobKey, Record, SavedFile
from ..disk import is_inside, is_plain_file
from ..files.objects import Objects
from ..images.features import Album, Wanted, thumb_name
from ..images.link_probe import UNSURE, Answer, Asker
from ..images.shrink import shrink as make_fit
from ..review.payload import sources_of
from .draft_pictures import SIDE, shrink
from .file_store import bring
from .gallery_page import looking
from .proxy import find_proxy

MESSAGE_BYTES = 400_000
"""So many bytes of a picture go along with a message: mailboxes refuse some 10 to 25 MB in all."""
LINK_SECONDS = 20.0
_LINES = 500
"""Where none of so many first rows has a picture, a message goes without."""
_SUFFIXES = {"image/jpeg": ".jpg", "image/webp": ".webp"}


def small_picture(run_folder: Path, job: int, place: str) -> Path | str | None:
    """The thumbnail of ``place`` of ``job``: ``0`` its first picture, ``s0`` its first source, ``s0-large`` larger. A link
    where that is the source; see ``linked_picture``. None if there is no such picture, or none that can be shown.
    """
    with looking(run_folder) as run:
        record, roots, objects = run.checkpoint.record(job), run.picture_roots, run.objects
    number = place.removeprefix("s").removesuffix("-large")
    if record is None or not number.isdigit() or len(number) > 3:
        return None
    if not place.startswith("s"):
        return _bought(run_folder, record, int(number), objects)
    source = next(iter(sources_of(record.job.inputs)[int(number) :]), None)
    if isinstance(source, str):
        return source
    if source is None or not (roots is None or any(is_inside(Path(source["$file"]), root) for root in roots)):
        return None
    wanted = Wanted(Path(source["$file"]), source["$sha256"], large=True, proven=False)
    return _made(run_folder, wanted, large=place.endswith("-large"))


def file_of(run_folder: Path, job: int, place: int) -> Path | None:
    """A bought picture, whole; None if there is none."""
    with looking(run_folder) as run:
        record, objects = run.checkpoint.record(job), run.objects
    if record is None or place >= len(record.files):
        return None
    bring(objects, run_folder, record.files[place : place + 1])
    path = run_folder / record.files[place].path
    return path if is_plain_file(path, run_folder) else None


def first_pictures(run_folder: Path, count: int = 3, most: int = MESSAGE_BYTES) -> list[tuple[str, str, bytes]]:
    """The first ``count`` bought pictures in the sheet's order, for a message: file name, media type, and at most ``most``
    bytes. Fewer where there are fewer; none where they can't be read, for a message is more than its pictures.
    """
    found: list[tuple[str, str, bytes]] = []
    try:
        for file in _first_files(run_folder, count):
            whole = (run_folder / file.path).read_bytes()
            if sha256(whole).hexdigest() == file.sha256:
                data, kind = make_fit(whole, most)
                found.append((Path(file.path).with_suffix(_SUFFIXES[kind]).name, kind, data))
    except (BatcheditError, OSError, ValueError):
        return found
    return found


def _first_files(run_folder: Path, count: int) -> list[SavedFile]:
    with looking(run_folder) as run:
        lines = islice(run.checkpoint.outcomes(), _LINES)
        keys = list(dict.fromkeys(line.key for line in lines if line.files))[:count]
        records = [run.checkpoint.record_of_key(JobKey(key)) for key in keys]
        files = [record.files[0] for record in records if record is not None and record.files]
        bring(run.objects, run_folder, files)
    return [file for file in files if is_plain_file(run_folder / file.path, run_folder)]


def _bought(folder: Path, record: Record, number: int, objects: Objects | None) -> Path | None:
    if number >= len(record.files):
        return None
    file = record.files[number]
    if not (folder / "thumbs" / thumb_name(file.sha256)).is_file():
        bring(objects, folder, (file,))
    return _made(folder, Wanted(folder / file.path, file.sha256, root=folder), large=False)


def _made(folder: Path, wanted: Wanted, *, large: bool) -> Path | None:
    if not wanted.sha256.isalnum():
        return None
    path = folder / "thumbs" / thumb_name(wanted.sha256, large=large)
    if not path.is_file():
        Album(path.parent).look([wanted])
    return path if is_plain_file(path, folder) else None


def linked_picture(run_folder: Path, link: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The thumbnail of what a link leads to, fetched from public addresses only, within LINK_SECONDS. It is kept; a link that
    was refused once is not asked again. None if there is no picture to be had.
    """
    path = run_folder / "thumbs" / f"{sha256(link.encode(errors='replace')).hexdigest()[:40]}-link.webp"
    refused = path.with_suffix(".none")
    if not path.is_file() and not refused.exists():
        path.parent.mkdir(exist_ok=True)
        data: Any = anyio.run(partial(_fetched, link, find_proxy(environ)))
        try:
            shrink(b"" if isinstance(data, Answer) else data, path)
        except (OSError, ValueError, Image.DecompressionBombError):
            refused.touch()
    return path if is_plain_file(path, run_folder) else None


async def _fetched(link: str, proxy: str | None) -> bytes | Answer:
    with anyio.move_on_after(LINK_SECONDS):
        async with Asker(proxy=proxy, tries=1) as asker:
            return await asker.fetch(link)
    return Answer(UNSURE)


@cache
def no_picture() -> bytes:
    """A plain grey picture, where there is none to show."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (128, 124, 118)).save(file, "WEBP", quality=30)
    return file.getvalue()
