"""People's marks: the mark as it stands, and every change of one in an append-only log.

They are written to ``review.sqlite``, so that a person can mark while the run goes on. Durable when a call returns. A mark
is written with compare-and-set on its serial, so that two tabs can't overwrite each other unseen: the later one is told
what the earlier one said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.review import Conflict, ImportedDecision, PictureDecision, DecisionEvent, Verdict
from .review_file import ReviewFile
from .sqlite_file import SqliteFile
from .values import TakenIn

_READ = "SELECT job, verdict, note, serial, who, at FROM marks"
_WRITE = """
    INSERT INTO marks (job, verdict, note, serial, who, at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (job) DO UPDATE SET
        verdict = excluded.verdict, note = excluded.note, serial = excluded.serial, who = excluded.who, at = excluded.at
"""
_LOG = "INSERT INTO mark_events (job, serial, verdict, note, who, at, via) VALUES (?, ?, ?, ?, ?, ?, ?)"


class Marks:
    """The marks of the run of ``checkpoint``, which may be closed meanwhile."""

    def __init__(self, checkpoint: SqliteFile | Path) -> None:
        """``checkpoint`` may be the run's folder."""
        self._file = ReviewFile(checkpoint if isinstance(checkpoint, Path) else checkpoint.path.parent)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._file.marks() as db:
            return db.execute(query).fetchall()

    def all(self) -> dict[int, PictureDecision]:
        """Every mark that stands, by job id; taken back ones with their serial too."""
        return {row[0]: _mark(row) for row in self._rows(_READ)}

    def last_seq(self) -> int:
        """The number of the latest change, 0 before the first."""
        return self._file.last_change()

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """``(the latest change's number, the marks that changed after change seq)``."""
        changed = f"{_READ} WHERE job IN (SELECT job FROM mark_events WHERE seq > {int(seq)})"
        return self.last_seq(), [_mark(row) for row in self._rows(changed)]

    def events(self) -> Iterator[DecisionEvent]:
        """Every change, from the first to the last."""
        query = "SELECT seq, job, verdict, note, who, at, via FROM mark_events ORDER BY seq"
        for seq, job, verdict, note, who, at, via in self._rows(query):
            yield DecisionEvent(seq, job, Verdict(verdict), note, who, at, via)

    def rows(self) -> list[tuple[Any, ...]]:
        """Every change as it stands in the file."""
        return self._rows("SELECT seq, job, serial, verdict, note, who, at, via FROM mark_events ORDER BY seq")

    def put(self, wanted: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """Write ``wanted``, whose serial is the one that its maker saw. Returns it with its new serial."""
        self._file.check_its_own()
        with self._file.writing() as db:
            row = db.execute(f"{_READ} WHERE job = ?", (wanted.job,)).fetchone()
            current = _mark(row) if row else PictureDecision(wanted.job)
            if current.serial != wanted.serial:
                return Conflict(current)
            return _write(db, replace(wanted, serial=wanted.serial + 1), via)

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> TakenIn:
        """Marks made elsewhere, all or none. One that is older than what stands is left out."""
        self._file.check_its_own()
        written = same = older = 0
        with self._file.writing() as db:
            standing = {row[0]: _mark(row) for row in db.execute(_READ)}
            for job, said in decisions:
                current = standing.get(job, PictureDecision(job))
                if (current.verdict, current.note) == (said.verdict, said.note):
                    same += 1
                elif current.at > said.at:
                    older += 1
                else:
                    _write(db, PictureDecision(job, said.verdict, said.note, current.serial + 1, who, said.at), "import")
                    written += 1
        return TakenIn(written, same, older)


def _write(db: sqlite3.Connection, mark: PictureDecision, via: str) -> PictureDecision:
    said = (mark.verdict.value, mark.note)
    db.execute(_WRITE, (mark.job, *said, mark.serial, mark.who, mark.at))
    db.execute(_LOG, (mark.job, mark.serial, *said, mark.who, mark.at, via))
    return mark


def _mark(row: tuple[int, str, str, int, str, float]) -> PictureDecision:
    job, verdict, note, serial, who, at = row
    return PictureDecision(job, Verdict(verdict), note, serial, who, at)
