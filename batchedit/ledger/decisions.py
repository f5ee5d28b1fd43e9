"""People's decisions: the current mark of each job, and every change of one in an append-only log.

They are written to ``review.sqlite``, so that a person can decide while the run goes on. Durable when a call returns. A mark
is written with compare-and-set on its serial, so that two tabs can't overwrite each other unseen: the later one gets the
earlier one's mark.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.review import Conflict, DecisionEvent, ImportedDecision, PictureDecision, Verdict
from .review_file import ReviewFile
from .sqlite_file import SqliteFile
from .values import ImportReport

_SELECT = "SELECT job, verdict, note, serial, who, at FROM marks"
_WRITE = """
    INSERT INTO marks (job, verdict, note, serial, who, at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (job) DO UPDATE SET
        verdict = excluded.verdict, note = excluded.note, serial = excluded.serial, who = excluded.who, at = excluded.at
"""
_LOG = "INSERT INTO mark_events (job, serial, verdict, note, who, at, via) VALUES (?, ?, ?, ?, ?, ?, ?)"


class FolderDecisions:
    """``book.Decisions`` of the run of ``checkpoint``, which may be closed meanwhile."""

    def __init__(self, checkpoint: SqliteFile | Path) -> None:
        """``checkpoint`` may be the run's folder."""
        self._file = ReviewFile(checkpoint if isinstance(checkpoint, Path) else checkpoint.path.parent)

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        with self._file.open_decisions() as db:
            return db.execute(query).fetchall()

    def all(self) -> dict[int, PictureDecision]:
        """The current mark of each job, by job id; revoked ones too, with their serial."""
        return {row[0]: _read_mark(row) for row in self._query(_SELECT)}

    def last_seq(self) -> int:
        """The number of the latest change, 0 before the first."""
        return self._file.last_change()

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """``(the latest change's number, the marks that changed after change seq)``."""
        query = f"{_SELECT} WHERE job IN (SELECT job FROM mark_events WHERE seq > {int(seq)})"
        return self.last_seq(), [_read_mark(row) for row in self._query(query)]

    def events(self) -> Iterator[DecisionEvent]:
        """Every change, the oldest first."""
        query = "SELECT seq, job, verdict, note, who, at, via FROM mark_events ORDER BY seq"
        for seq, job, verdict, note, who, at, via in self._query(query):
            yield DecisionEvent(seq, job, Verdict(verdict), note, who, at, via)

    def read_rows(self) -> list[tuple[Any, ...]]:
        """Every change, as the columns of the file."""
        return self._query("SELECT seq, job, serial, verdict, note, who, at, via FROM mark_events ORDER BY seq")

    def put(self, decision: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """Write ``decision``, whose serial is the one that its author read. Returns it with its new serial."""
        self._file.check_not_of_store()
        with self._file.open_for_writing() as db:
            row = db.execute(f"{_SELECT} WHERE job = ?", (decision.job,)).fetchone()
            current = _read_mark(row) if row else PictureDecision(decision.job)
            if current.serial != decision.serial:
                return Conflict(current)
            return _write(db, replace(decision, serial=decision.serial + 1), via)

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> ImportReport:
        """Write decisions made elsewhere, all or none. One that is older than the current mark is left out."""
        self._file.check_not_of_store()
        written = same = older = 0
        with self._file.open_for_writing() as db:
            current_marks = {row[0]: _read_mark(row) for row in db.execute(_SELECT)}
            for job, decision in decisions:
                current = current_marks.get(job, PictureDecision(job))
                if (current.verdict, current.note) == (decision.verdict, decision.note):
                    same += 1
                elif current.at > decision.at:
                    older += 1
                else:
                    _write(
                        db,
                        PictureDecision(job, decision.verdict, decision.note, current.serial + 1, who, decision.at),
                        "import",
                    )
                    written += 1
        return ImportReport(written, same, older)


def _write(db: sqlite3.Connection, mark: PictureDecision, via: str) -> PictureDecision:
    verdict_and_note = (mark.verdict.value, mark.note)
    db.execute(_WRITE, (mark.job, *verdict_and_note, mark.serial, mark.who, mark.at))
    db.execute(_LOG, (mark.job, mark.serial, *verdict_and_note, mark.who, mark.at, via))
    return mark


def _read_mark(row: tuple[int, str, str, int, str, float]) -> PictureDecision:
    job, verdict, note, serial, who, at = row
    return PictureDecision(job, Verdict(verdict), note, serial, who, at)
