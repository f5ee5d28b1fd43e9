"""One picture made small when somebody looks at it: bought ones, and what they were made from, links under guards."""

from __future__ import annotations

import io
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
from ..images.features import Album, Wanted, thumb_name
from ..images.link_probe import UNREACHED, UNSURE, Answer, Asker
from ..images.shrink import shrink as make_fit
from ..review.payload import list_sources
from .draft_pictures import SIDE, write_thumbnail
from .file_store import bring
from .gallery_page import looking

MESSAGE_BYTES = 400_000
"""So many bytes of a picture go along with a message: mailboxes refuse some 10 to 25 MB in all."""
LINK_SECONDS = 20.0
_LINES = 500
"""Where none of so many first rows has a picture, a message goes without."""
_SUFFIXES = {"image/jpeg": ".jpg", "image/webp": ".webp"}


@dataclass(frozen=True, slots=True)
class Unmade:
    """A thumbnail that is not there yet: of a picture on disk, or of what ``link`` leads to. See ``make_small``."""

    folder: Path
    wanted: Wanted | None = None
    link: str = ""
    large: bool = False

    @property
    def path(self) -> Path:
        """Where it is kept."""
        if self.wanted is None:
            name = f"{sha256(self.link.encode(errors='replace')).hexdigest()[:40]}-link.webp"
        else:
            name = thumb_name(self.wanted.sha256, large=self.large)
        return self.folder / "thumbs" / name

    def found(self) -> Path | None:
        """Its path, if it is there."""
        return self.path if is_plain_file(self.path, self.folder) else None


def small_picture(run_folder: Path, job: int, place: str) -> Path | Unmade | None:
    """The thumbnail of ``place`` of ``job``: ``0`` its first picture, ``s0`` its first source, ``s0-large`` larger. None if
    there is no such picture, or none that can be shown. Nothing is decoded here and no link is asked for.
    """
    with looking(run_folder) as run:
        record, roots, objects = run.checkpoint.record(job), run.picture_roots, run.objects
        number = place.removeprefix("s").removesuffix("-large")
        if record is None or not number.isdigit() or len(number) > 3:
            return None
        if place.startswith("s"):
            unmade = _source(run_folder, record, int(number), roots, large=place.endswith("-large"))
        else:
            unmade = _bought(run_folder, record, int(number), objects)
    return unmade and (unmade.found() or unmade)


def make_small(unmade: Unmade, proxy: str | None) -> Path | None:
    """Make it, and return where it is. None if there is no picture to be had. What a link leads to is fetched from public
    addresses only, within LINK_SECONDS. One that leads to no picture is not asked again; a server that did not answer is.
    """
    refused = unmade.path.with_suffix(".none")
    with suppress(OSError):
        if unmade.wanted is not None:
            Album(unmade.path.parent).look([unmade.wanted])
        elif not refused.exists():
            unmade.path.parent.mkdir(exist_ok=True)
            data: Any = anyio.run(_fetched, unmade.link, proxy)
            if isinstance(data, Answer) and data.verdict in {UNSURE, UNREACHED}:
                return None  # asked again when somebody looks again
            try:
                write_thumbnail(b"" if isinstance(data, Answer) else data, unmade.path)
            except (OSError, ValueError, Image.DecompressionBombError):
                refused.touch()
    return unmade.found()


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


def _bought(folder: Path, record: Record, number: int, objects: Objects | None) -> Unmade | None:
    if number >= len(record.files):
        return None
    file = record.files[number]
    unmade = Unmade(folder, Wanted(folder / file.path, file.sha256, root=folder))
    if not file.sha256.isalnum():
        return None
    if not unmade.path.is_file():
        bring(objects, folder, (file,))
    return unmade


def _source(folder: Path, record: Record, number: int, roots: Sequence[Path] | None, *, large: bool) -> Unmade | None:
    source = next(iter(list_sources(record.job.inputs)[number:]), None)
    if isinstance(source, str):
        return Unmade(folder, link=source)
    if source is None or not source["$sha256"].isalnum():
        return None
    path = Path(source["$file"])
    if roots is not None and not any(is_inside(path, root) for root in roots):
        return None
    return Unmade(folder, Wanted(path, source["$sha256"], large=True, proven=False), large=large)


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
