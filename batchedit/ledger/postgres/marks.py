"""What people say about the pictures of a run, kept in the store: as ``ledger.decisions`` keeps it in a folder.

The copy in a folder follows, so that everything that only reads has them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from ...core.review import Conflict, ImportedDecision, PictureDecision, DecisionEvent, Verdict
from ..gallery_rows import put_flags_in
from ..review_file import ReviewFile
from ..sqlite_file import SqliteFile
from ..values import TakenIn
from .line import Line
from .schema import SCHEMA

Ask = Callable[..., list[TupleRow]]
"""``ask(query, *values)``: the rows of a statement."""
PATIENCE_SECONDS = 10.0
"""So long a person waits for a store that is away."""
FLAGS_MARK = "flags_mark"
"""The fact that tells one finding of flags from another."""
_MARKS = f"SELECT job, verdict, note, serial, who, at FROM {SCHEMA}.mark WHERE run = %s"
_EVENTS = f"""
    SELECT seq, job, serial, verdict, note, who, at, via FROM {SCHEMA}.mark_event WHERE run = %s AND seq >= %s ORDER BY seq
"""


def asking(url: str) -> Ask:
    """``Ask`` for a person's few questions: a connection lasts for one call, so nothing is to be closed."""

    def ask(query: str, *values: object) -> list[TupleRow]:
        line = Line(url)
        try:
            return line.call(query, values, patience=PATIENCE_SECONDS)
        finally:
            line.close()

    return ask


class StoreMarks:
    """``book.Decisions`` of the run in the store. ``changed`` is called when something was written."""

    def __init__(self, ask: Ask, run: int, changed: Callable[[], None]) -> None:
        self._ask, self._run, self._changed = ask, run, changed

    def all(self) -> dict[int, PictureDecision]:
        """See ``book.Decisions``."""
        return {row[0]: _mark(row) for row in self._ask(_MARKS, self._run)}

    def last_seq(self) -> int:
        """See ``book.Decisions``."""
        ((last,),) = self._ask(f"SELECT coalesce(max(seq), 0) FROM {SCHEMA}.mark_event WHERE run = %s", self._run)
        return int(last)

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """See ``book.Decisions``."""
        last = self.last_seq()
        changed = f"{_MARKS} AND job IN (SELECT job FROM {SCHEMA}.mark_event WHERE run = %s AND seq > %s)"
        return last, [_mark(row) for row in self._ask(changed, self._run, self._run, seq)] if last > seq else []

    def events(self) -> Iterator[DecisionEvent]:
        """See ``book.Decisions``."""
        for seq, job, _, verdict, note, who, at, via in self._ask(_EVENTS, self._run, 0):
            yield DecisionEvent(seq, job, Verdict(verdict), note, who, at, via)

    def put(self, wanted: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """See ``book.Decisions``."""
        wanted = replace(wanted, note=_text(wanted.note), who=_text(wanted.who))
        ((told,),) = self._ask(f"SELECT {SCHEMA}.put_mark(%s, %s, %s)", self._run, via, Jsonb(asdict(wanted)))
        if told["job"] is None:  # the serial was of a mark that nobody has made
            return Conflict(PictureDecision(wanted.job))
        stands = _mark([told[name] for name in asdict(wanted)])
        if stands != replace(wanted, serial=wanted.serial + 1):
            return Conflict(stands)
        self._changed()
        return stands

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> TakenIn:
        """See ``book.Decisions``."""
        told = [[job, said.verdict.value, _text(said.note), said.at] for job, said in decisions]
        ((counts,),) = self._ask(f"SELECT {SCHEMA}.take_in_marks(%s, %s, %s)", self._run, _text(who), Jsonb(told))
        self._changed()
        return TakenIn(*counts)


def keep_flags(ask: Ask, run: int, flags: dict[int, str], mark: str) -> None:
    """Replace what a machine found odd about the run's pictures."""
    told = {str(job): text for job, text in flags.items()}
    ask(f"SELECT {SCHEMA}.put_flags(%s, %s, %s)", run, mark, Jsonb(told))


def follow_marks(copy: SqliteFile, ask: Ask, run: int) -> None:
    """Bring the marks in the copy's folder up to date. The caller holds the run's lock.

    Marks in the folder that the store does not have are set aside under another name.
    """
    file = ReviewFile(copy.path.parent)
    with file.reading() as db:
        last = db.execute(_LAST).fetchone() if db is not None else None
    rows = ask(_EVENTS, run, last[0] if last else 0)
    if last is not None and (not rows or tuple(rows[0]) != last):
        file.path.replace(file.path.with_name(f"{file.path.name}.before"))
        rows, last = ask(_EVENTS, run, 0), None
    if news := rows[1:] if last else rows:
        with file.writing() as db:
            for seq, job, serial, verdict, note, who, at, via in news:
                db.execute(_WRITE, (job, verdict, note, serial, who, at))
                db.execute(_LOG, (seq, job, serial, verdict, note, who, at, via))


_LAST = "SELECT seq, job, serial, verdict, note, who, at, via FROM mark_events ORDER BY seq DESC LIMIT 1"
_WRITE = "INSERT OR REPLACE INTO marks (job, verdict, note, serial, who, at) VALUES (?, ?, ?, ?, ?, ?)"
_LOG = "INSERT INTO mark_events (seq, job, serial, verdict, note, who, at, via) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def follow_flags(copy: SqliteFile, ask: Ask, run: int) -> None:
    """Bring the flags in the copy up to date."""
    found = ask(f"SELECT value FROM {SCHEMA}.fact WHERE run = %s AND name = %s", run, FLAGS_MARK)
    if found and found[0][0] != copy.get(FLAGS_MARK):
        flags: dict[int, str] = dict(ask(f"SELECT job, flags FROM {SCHEMA}.flag WHERE run = %s", run))
        with copy.transaction() as db:
            put_flags_in(db, flags)
            copy.put_in(db, FLAGS_MARK, found[0][0])


def _text(text: str) -> str:
    """PostgreSQL's text holds no NUL, and its JSON no half of a character."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mark(row: Sequence[Any]) -> PictureDecision:
    job, verdict, note, serial, who, at = row
    return PictureDecision(job, Verdict(verdict), note, serial, who, at)
