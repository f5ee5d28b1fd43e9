"""What a gallery shows, read from the checkpoint: lines with every version of their picture; and the flags, written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from ..core.model import Outcome, Record
from ..core.review import Card
from .codec import files_text
from .sqlite import SqliteCheckpoint

_OF_A_LINE = "slot IN (SELECT slot FROM jobs WHERE id IN (SELECT job FROM lines)) ORDER BY version DESC, id DESC"


def read_cards(checkpoint: SqliteCheckpoint) -> list[Card]:
    """Every line in the manifest's order. The job it asks for comes first, then other versions, the newest first."""
    with checkpoint.snapshot():
        return _read_cards(checkpoint)


def _read_cards(checkpoint: SqliteCheckpoint) -> list[Card]:
    slots: dict[int, int] = dict(checkpoint.rows("SELECT id, slot FROM jobs"))
    of_slot: dict[int, list[Record]] = {}
    by_id: dict[int, Record] = {}
    for record in checkpoint.records(_OF_A_LINE):
        by_id[record.id] = record
        of_slot.setdefault(slots[record.id], []).append(record)
    cards = []
    for row, name, job, problems, over in checkpoint.rows("SELECT row, id, job, problems, over FROM lines ORDER BY n"):
        shots: tuple[Record, ...] = ()
        if job is not None:
            others = (record for record in of_slot[slots[job]] if record.id != job)
            shots = (by_id[job], *others)
        cards.append(Card(row, name, shots, problems or "", over or ""))
    return cards


def read_flags(checkpoint: SqliteCheckpoint) -> dict[int, str]:
    """The flags of the last gallery, by job id."""
    return dict(checkpoint.rows("SELECT job, flags FROM flags"))


def write_flags(checkpoint: SqliteCheckpoint, flags: Mapping[int, str]) -> bool:
    """Replace all flags; False if they stood so already. The results are out of date afterwards."""
    told = {job: text for job, text in flags.items() if text}
    if read_flags(checkpoint) == told:
        return False
    mark = sha256(repr(sorted(told.items())).encode()).hexdigest()[:16]
    with checkpoint.transaction() as db:
        db.execute("DELETE FROM flags")
        db.executemany("INSERT INTO flags VALUES (?, ?)", sorted(told.items()))
        checkpoint.put_in(db, "lines_mark", mark)
    return True


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
