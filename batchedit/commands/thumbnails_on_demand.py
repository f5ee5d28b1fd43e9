"""Makes one thumbnail when a page asks for it: of a bought picture or of its source, links with the usual checks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
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
from ..images.link_probe import UNREACHED, UNSURE, Answer, LinkProbe
from ..images.shrink import shrink as make_fit
from ..images.thumbnails_and_features import Album, FeatureRequest, encode_jpeg, to_thumb_name
from ..review.payload import list_sources
from .draft_pictures import SIDE, write_thumbnail
from .file_store import fetch_missing_files
from .gallery_page import open_read_only

MAX_MESSAGE_BYTES = 400_000
"""The most bytes of a picture in a message: mailboxes refuse some 10 to 25 MB in all."""
LINK_SECONDS = 20.0
_MAX_LINES = 500
"""How many first rows are searched for pictures for a message."""
_SUFFIXES = {"image/jpeg": ".jpg", "image/webp": ".webp"}


@dataclass(frozen=True, slots=True)
class MissingThumbnail:
    """A thumbnail that may not be made yet: of a picture on disk, or of the one behind ``link``. See ``make_small``."""

    folder: Path
    wanted: FeatureRequest | None = None
    link: str = ""
    large: bool = False

    @property
    def path(self) -> Path:
        """Where the thumbnail is or will be."""
        if self.wanted is None:
            name = f"{sha256(self.link.encode(errors='replace')).hexdigest()[:40]}-link.jpg"
        else:
            name = to_thumb_name(self.wanted.sha256, large=self.large)
        return self.folder / "thumbs" / name

    def find_existing(self) -> Path | None:
        """Its path, if it is there."""
        return self.path if is_plain_file(self.path, self.folder) else None


def find_small_picture(run_folder: Path, job: int, which: str) -> Path | MissingThumbnail | None:
    """The thumbnail of ``which`` of ``job``: ``0`` its first picture, ``s0`` its first source; ``0-large`` and ``s0-large``
    their previews. None if there is no such picture, or it can't be shown. Nothing is decoded here and no link is fetched.
    """
    with open_read_only(run_folder) as run:
        record, roots, objects = run.checkpoint.record(job), run.picture_roots, run.objects
        number, large = which.removeprefix("s").removesuffix("-large"), which.endswith("-large")
        if record is None or not number.isdigit() or len(number) > 3:
            return None
        if which.startswith("s"):
            thumbnail = _find_source(run_folder, record, int(number), roots, large=large)
        else:
            thumbnail = _find_bought(run_folder, record, int(number), objects, large=large)
    return thumbnail and (thumbnail.find_existing() or thumbnail)


def make_small(thumbnail: MissingThumbnail, proxy: str | None) -> Path | None:
    """Make it, and return its path. None if there is no picture. A link is fetched from public addresses only, within
    LINK_SECONDS. One that leads to no picture is not fetched again; one whose server did not answer is.
    """
    marker = thumbnail.path.with_suffix(".none")
    with suppress(OSError):
        if thumbnail.wanted is not None:
            Album(thumbnail.path.parent).load_features([thumbnail.wanted])
        elif not marker.exists():
            thumbnail.path.parent.mkdir(exist_ok=True)
            content: Any = anyio.run(_fetch, thumbnail.link, proxy)
            if isinstance(content, Answer) and content.verdict in {UNSURE, UNREACHED}:
                return None  # fetched again when a page asks again
            try:
                write_thumbnail(b"" if isinstance(content, Answer) else content, thumbnail.path)
            except (OSError, ValueError, Image.DecompressionBombError):
                marker.touch()
    return thumbnail.find_existing()


def find_picture_file(run_folder: Path, job: int, place: int) -> Path | None:
    """A bought picture, whole; None if there is none."""
    with open_read_only(run_folder) as run:
        record, objects = run.checkpoint.record(job), run.objects
    if record is None or place >= len(record.files):
        return None
    fetch_missing_files(objects, run_folder, record.files[place : place + 1])
    path = run_folder / record.files[place].path
    return path if is_plain_file(path, run_folder) else None


def read_first_pictures(
    run_folder: Path, count: int = 3, max_bytes: int = MAX_MESSAGE_BYTES
) -> list[tuple[str, str, bytes]]:
    """The first ``count`` bought pictures in the sheet's order, for a message: file name, media type, and at most
    ``max_bytes`` bytes. Fewer where there are fewer, or where they can't be read: the message is sent all the same.
    """
    pictures: list[tuple[str, str, bytes]] = []
    try:
        for file in _find_first_files(run_folder, count):
            content = (run_folder / file.path).read_bytes()
            if sha256(content).hexdigest() == file.sha256:
                data, kind = make_fit(content, max_bytes)
                pictures.append((Path(file.path).with_suffix(_SUFFIXES[kind]).name, kind, data))
    except (BatcheditError, OSError, ValueError):
        return pictures
    return pictures


def _find_first_files(run_folder: Path, count: int) -> list[SavedFile]:
    with open_read_only(run_folder) as run:
        lines = islice(run.checkpoint.read_outcomes(), _MAX_LINES)
        keys = list(dict.fromkeys(line.key for line in lines if line.files))[:count]
        records = [run.checkpoint.find_record_of_key(JobKey(key)) for key in keys]
        files = [record.files[0] for record in records if record is not None and record.files]
        fetch_missing_files(run.objects, run_folder, files)
    return [file for file in files if is_plain_file(run_folder / file.path, run_folder)]


def _find_bought(
    folder: Path, record: Record, number: int, objects: Objects | None, *, large: bool
) -> MissingThumbnail | None:
    if number >= len(record.files):
        return None
    file = record.files[number]
    request = FeatureRequest(folder / file.path, file.sha256, large=large, root=folder)
    thumbnail = MissingThumbnail(folder, request, large=large)
    if not file.sha256.isalnum():
        return None
    if not thumbnail.path.is_file():
        fetch_missing_files(objects, folder, (file,))
    return thumbnail


def _find_source(
    folder: Path, record: Record, number: int, roots: Sequence[Path] | None, *, large: bool
) -> MissingThumbnail | None:
    source = next(iter(list_sources(record.job.inputs)[number:]), None)
    if isinstance(source, str):
        return MissingThumbnail(folder, link=source)
    if source is None or not source["$sha256"].isalnum():
        return None
    path = Path(source["$file"])
    if roots is not None and not any(is_inside(path, root) for root in roots):
        return None
    return MissingThumbnail(folder, FeatureRequest(path, source["$sha256"], large=True, proven=False), large=large)


async def _fetch(link: str, proxy: str | None) -> bytes | Answer:
    with anyio.move_on_after(LINK_SECONDS):
        async with LinkProbe(proxy=proxy, tries=1) as asker:
            return await asker.fetch(link)
    return Answer(UNSURE)


@cache
def make_placeholder() -> bytes:
    """A plain grey picture, as JPEG."""
    return encode_jpeg(Image.new("RGB", (SIDE, SIDE), (128, 124, 118)))
