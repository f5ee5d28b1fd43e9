"""Reads the rows of a gallery from the checkpoint: lines with every version of their picture. Reads and writes its flags."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson

from ..core.model import Outcome, Record
from ..core.review import GalleryRow
from ..core.steps import ProgressCallback, no_progress, report_progress
from .codec import dump_files
from .sqlite_file import SqliteFile
from .values import GalleryPage, IsShown

_WHERE_ON_A_LINE = "slot IN (SELECT slot FROM jobs WHERE id IN (SELECT job FROM lines)) ORDER BY version DESC, id DESC"
_SELECT_LINES = (
    "SELECT l.n, l.job, coalesce(j.state, '') FROM lines l LEFT JOIN jobs j ON j.id = l.job WHERE l.n >= ? ORDER BY l.n"
)
_VALUES = "SELECT value FROM json_each(?)"
_WHERE_NAME_OF_THESE = f"slot IN (SELECT slot FROM jobs WHERE id IN ({_VALUES})) ORDER BY version DESC, id DESC"


def read_gallery_rows(checkpoint: SqliteFile, on_progress: ProgressCallback = no_progress) -> list[GalleryRow]:
    """Every line in the manifest's order. The job that it asks for comes first, then other versions, the newest first."""
    with checkpoint.snapshot():
        return _read_all_gallery_rows(checkpoint, on_progress)


def read_gallery_page(checkpoint: SqliteFile, first: int, count: int, is_shown: IsShown) -> GalleryPage:
    """See ``book.Lines``. Reads no further than the page, whatever the run's size, where most lines are shown."""
    with checkpoint.snapshot():
        lines = checkpoint.rows(_SELECT_LINES, (first,))
        chosen = list(islice(((n, job) for n, job, state in lines if is_shown(job, state)), count + 1))
        jobs = orjson.dumps([job for _, job in chosen[:count] if job is not None]).decode()
        numbers = orjson.dumps([n for n, _ in chosen[:count]]).decode()
        records = checkpoint.records(_WHERE_NAME_OF_THESE, (jobs,))
        name_hashes = dict(checkpoint.rows(f"SELECT id, slot FROM jobs WHERE id IN ({_VALUES})", (_dump_ids(records),)))
        query = f"SELECT row, id, job, problems, over FROM lines WHERE n IN ({_VALUES}) ORDER BY n"
        gallery_rows = _build_gallery_rows(records, name_hashes, checkpoint.rows(query, (numbers,)))
        return GalleryPage(tuple(gallery_rows), chosen[count][0] if len(chosen) > count else None)


def find_line_of_row(checkpoint: SqliteFile, row: int) -> int:
    """See ``book.Lines``."""
    line = next(checkpoint.rows("SELECT n FROM lines WHERE row >= ? ORDER BY n LIMIT 1", (row,)), None)
    return int(line[0]) if line else 0


def _dump_ids(records: list[Record]) -> str:
    return orjson.dumps([record.id for record in records]).decode()


def _read_all_gallery_rows(checkpoint: SqliteFile, on_progress: ProgressCallback) -> list[GalleryRow]:
    name_hashes: dict[int, int] = dict(checkpoint.rows("SELECT id, slot FROM jobs"))
    lines = checkpoint.rows("SELECT row, id, job, problems, over FROM lines ORDER BY n")
    half = len(name_hashes)
    records = checkpoint.records(_WHERE_ON_A_LINE, (), on_progress, 2 * half)
    return _build_gallery_rows(
        records, name_hashes, report_progress(lines, lambda done, _: on_progress(min(half, done) + half, 2 * half))
    )


def _build_gallery_rows(
    records: list[Record], name_hashes: Mapping[int, int], lines: Iterable[tuple[Any, ...]]
) -> list[GalleryRow]:
    by_name_hash: dict[int, list[Record]] = {}
    by_id: dict[int, Record] = {}
    for record in records:
        by_id[record.id] = record
        by_name_hash.setdefault(name_hashes[record.id], []).append(record)
    gallery_rows = []
    for row, name, job, problems, over in lines:
        versions: tuple[Record, ...] = ()
        if job is not None:
            other_versions = (record for record in by_name_hash[name_hashes[job]] if record.id != job)
            versions = (by_id[job], *other_versions)
        gallery_rows.append(GalleryRow(row, name, versions, problems or "", over or ""))
    return gallery_rows


def read_flags(checkpoint: SqliteFile) -> dict[int, str]:
    """The flags of the last gallery, by job id."""
    return dict(checkpoint.rows("SELECT job, flags FROM flags"))


def write_flags(checkpoint: SqliteFile, flags: Mapping[int, str]) -> bool:
    """Replace all flags; False if they were the same already. The results are out of date afterwards."""
    new_flags = {job: text for job, text in flags.items() if text}
    if read_flags(checkpoint) == new_flags:
        return False
    with checkpoint.transaction() as db:
        put_flags_in(db, new_flags)
        checkpoint.put_in(db, "lines_mark", compute_flags_version(new_flags))
    return True


def put_flags_in(db: sqlite3.Connection, flags: Mapping[int, str]) -> None:
    """Replace all flags by ``flags``, job id → text, in a transaction of the caller's. None of the texts is empty."""
    db.execute("DELETE FROM flags")
    db.executemany("INSERT INTO flags VALUES (?, ?)", sorted(flags.items()))


def compute_flags_version(flags: Mapping[int, str]) -> str:
    """A digest that changes with the flags."""
    return sha256(repr(sorted(flags.items())).encode()).hexdigest()[:16]


def build_outcomes(pairs: list[tuple[GalleryRow, Record]], flags: Mapping[int, str]) -> Iterator[Outcome]:
    """Lines of the results for these rows, each as if it asked for the record paired with it. In order of row."""
    for row, record in pairs:
        yield Outcome(
            row=row.row,
            id=row.id,
            state=record.state.value,
            size=record.job.size,
            variant=record.job.variant,
            version=record.job.version,
            files=dump_files(record.files),
            request_id=record.handle.request_id if record.handle else "",
            cost=record.spent,
            submitted_at=record.submitted_at,
            finished_at=record.finished_at,
            key=record.job.key,
            over=row.over,
            flags=flags.get(record.id, ""),
        )
