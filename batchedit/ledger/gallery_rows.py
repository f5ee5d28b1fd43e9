"""What a gallery shows, read from the checkpoint: lines with every version of their picture; and the flags, written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson

from ..core.model import Outcome, Record
from ..core.review import Card
from ..core.steps import ProgressCallback, report_progress, no_progress
from .codec import files_text
from .sqlite_file import SqliteFile
from .values import CardPage, Showing

_OF_A_LINE = "slot IN (SELECT slot FROM jobs WHERE id IN (SELECT job FROM lines)) ORDER BY version DESC, id DESC"
_LINES = (
    "SELECT l.n, l.job, coalesce(j.state, '') FROM lines l LEFT JOIN jobs j ON j.id = l.job WHERE l.n >= ? ORDER BY l.n"
)
_THESE = "SELECT value FROM json_each(?)"
_OF_THESE = f"slot IN (SELECT slot FROM jobs WHERE id IN ({_THESE})) ORDER BY version DESC, id DESC"


def read_cards(checkpoint: SqliteFile, told: ProgressCallback = no_progress) -> list[Card]:
    """Every line in the manifest's order. The job it asks for comes first, then other versions, the newest first."""
    with checkpoint.snapshot():
        return _read_cards(checkpoint, told)


def read_card_page(checkpoint: SqliteFile, first: int, count: int, showing: Showing) -> CardPage:
    """See ``book.Lines``. Reads no further than the page, whatever the run's size, where most lines are shown."""
    with checkpoint.snapshot():
        lines = checkpoint.rows(_LINES, (first,))
        chosen = list(islice(((n, job) for n, job, state in lines if showing(job, state)), count + 1))
        jobs = orjson.dumps([job for _, job in chosen[:count] if job is not None]).decode()
        numbers = orjson.dumps([n for n, _ in chosen[:count]]).decode()
        records = checkpoint.records(_OF_THESE, (jobs,))
        slots = dict(checkpoint.rows(f"SELECT id, slot FROM jobs WHERE id IN ({_THESE})", (_ids(records),)))
        asked = f"SELECT row, id, job, problems, over FROM lines WHERE n IN ({_THESE}) ORDER BY n"
        cards = _cards(records, slots, checkpoint.rows(asked, (numbers,)))
        return CardPage(tuple(cards), chosen[count][0] if len(chosen) > count else None)


def line_of_row(checkpoint: SqliteFile, row: int) -> int:
    """See ``book.Lines``."""
    found = next(checkpoint.rows("SELECT n FROM lines WHERE row >= ? ORDER BY n LIMIT 1", (row,)), None)
    return int(found[0]) if found else 0


def _ids(records: list[Record]) -> str:
    return orjson.dumps([record.id for record in records]).decode()


def _read_cards(checkpoint: SqliteFile, told: ProgressCallback) -> list[Card]:
    slots: dict[int, int] = dict(checkpoint.rows("SELECT id, slot FROM jobs"))
    lines = checkpoint.rows("SELECT row, id, job, problems, over FROM lines ORDER BY n")
    half = len(slots)
    records = checkpoint.records(_OF_A_LINE, (), told, 2 * half)
    return _cards(records, slots, report_progress(lines, lambda done, _: told(min(half, done) + half, 2 * half)))


def _cards(records: list[Record], slots: Mapping[int, int], lines: Iterable[tuple[Any, ...]]) -> list[Card]:
    of_slot: dict[int, list[Record]] = {}
    by_id: dict[int, Record] = {}
    for record in records:
        by_id[record.id] = record
        of_slot.setdefault(slots[record.id], []).append(record)
    cards = []
    for row, name, job, problems, over in lines:
        shots: tuple[Record, ...] = ()
        if job is not None:
            others = (record for record in of_slot[slots[job]] if record.id != job)
            shots = (by_id[job], *others)
        cards.append(Card(row, name, shots, problems or "", over or ""))
    return cards


def read_flags(checkpoint: SqliteFile) -> dict[int, str]:
    """The flags of the last gallery, by job id."""
    return dict(checkpoint.rows("SELECT job, flags FROM flags"))


def write_flags(checkpoint: SqliteFile, flags: Mapping[int, str]) -> bool:
    """Replace all flags; False if they stood so already. The results are out of date afterwards."""
    told = {job: text for job, text in flags.items() if text}
    if read_flags(checkpoint) == told:
        return False
    with checkpoint.transaction() as db:
        put_flags_in(db, told)
        checkpoint.put_in(db, "lines_mark", flags_mark(told))
    return True


def put_flags_in(db: sqlite3.Connection, flags: Mapping[int, str]) -> None:
    """Replace all flags by ``flags``, job id → text, in a transaction of the caller's. None of the texts is empty."""
    db.execute("DELETE FROM flags")
    db.executemany("INSERT INTO flags VALUES (?, ?)", sorted(flags.items()))


def flags_mark(flags: Mapping[int, str]) -> str:
    """A text that tells these flags from others."""
    return sha256(repr(sorted(flags.items())).encode()).hexdigest()[:16]


def outcomes_of(chosen: list[tuple[Card, Record]], flags: Mapping[int, str]) -> Iterator[Outcome]:
    """Lines of the results for these cards, each as if it asked for the record beside it. In order of row."""
    for card, record in chosen:
        yield Outcome(
            row=card.row,
            id=card.id,
            state=record.state.value,
            size=record.job.size,
            variant=record.job.variant,
            version=record.job.version,
            files=files_text(record.files),
            request_id=record.handle.request_id if record.handle else "",
            cost=record.spent,
            submitted_at=record.submitted_at,
            finished_at=record.finished_at,
            key=record.job.key,
            over=card.over,
            flags=flags.get(record.id, ""),
        )
