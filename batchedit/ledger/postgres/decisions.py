"""People's decisions about the pictures of a run, kept in the store: as ``ledger.decisions`` keeps them in a folder.

The copy in a folder is updated too, so that everything that only reads finds them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from ...core.review import Conflict, DecisionEvent, ImportedDecision, PictureDecision, Verdict
from ..gallery_rows import put_flags_in
from ..review_file import ReviewFile
from ..sqlite_file import SqliteFile
from ..values import ImportReport
from .connection import StoreConnection
from .schema import SCHEMA

Ask = Callable[..., list[TupleRow]]
"""``ask(query, *values)``: the rows of a statement."""
PATIENCE_SECONDS = 10.0
"""Maximum wait of a person for a store that is away."""
FLAGS_VERSION = "flags_mark"
"""The fact with the version of the flags."""
_SELECT_MARKS = f"SELECT job, verdict, note, serial, who, at FROM {SCHEMA}.mark WHERE run = %s"
_SELECT_EVENTS = f"""
    SELECT seq, job, serial, verdict, note, who, at, via FROM {SCHEMA}.mark_event WHERE run = %s AND seq >= %s ORDER BY seq
"""


def make_ask(url: str) -> Ask:
    """An ``Ask`` for a person's few queries: a connection lasts for one call, so there is nothing to close."""

    def ask(query: str, *values: object) -> list[TupleRow]:
        connection = StoreConnection(url)
        try:
            return connection.call(query, values, patience=PATIENCE_SECONDS)
        finally:
            connection.close()

    return ask


class StoreDecisions:
    """``book.Decisions`` of the run in the store. ``on_change`` is called after each write."""

    def __init__(self, ask: Ask, run: int, on_change: Callable[[], None]) -> None:
        self._ask, self._run, self._on_change = ask, run, on_change

    def all(self) -> dict[int, PictureDecision]:
        """See ``book.Decisions``."""
        return {row[0]: _read_mark(row) for row in self._ask(_SELECT_MARKS, self._run)}

    def last_seq(self) -> int:
        """See ``book.Decisions``."""
        ((last,),) = self._ask(f"SELECT coalesce(max(seq), 0) FROM {SCHEMA}.mark_event WHERE run = %s", self._run)
        return int(last)

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """See ``book.Decisions``."""
        last = self.last_seq()
        query = f"{_SELECT_MARKS} AND job IN (SELECT job FROM {SCHEMA}.mark_event WHERE run = %s AND seq > %s)"
        return last, [_read_mark(row) for row in self._ask(query, self._run, self._run, seq)] if last > seq else []

    def events(self) -> Iterator[DecisionEvent]:
        """See ``book.Decisions``."""
        for seq, job, _, verdict, note, who, at, via in self._ask(_SELECT_EVENTS, self._run, 0):
            yield DecisionEvent(seq, job, Verdict(verdict), note, who, at, via)

    def put(self, decision: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """See ``book.Decisions``."""
        decision = replace(decision, note=_to_storable_text(decision.note), who=_to_storable_text(decision.who))
        ((reply,),) = self._ask(f"SELECT {SCHEMA}.put_mark(%s, %s, %s)", self._run, via, Jsonb(asdict(decision)))
        if reply["job"] is None:  # the serial is that of a mark that does not exist
            return Conflict(PictureDecision(decision.job))
        current = _read_mark([reply[name] for name in asdict(decision)])
        if current != replace(decision, serial=decision.serial + 1):
            return Conflict(current)
        self._on_change()
        return current

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> ImportReport:
        """See ``book.Decisions``."""
        values = [
            [job, decision.verdict.value, _to_storable_text(decision.note), decision.at] for job, decision in decisions
        ]
        ((counts,),) = self._ask(
            f"SELECT {SCHEMA}.take_in_marks(%s, %s, %s)", self._run, _to_storable_text(who), Jsonb(values)
        )
        self._on_change()
        return ImportReport(*counts)


def keep_flags(ask: Ask, run: int, flags: dict[int, str], version: str) -> None:
    """Replace the run's flags."""
    texts = {str(job): text for job, text in flags.items()}
    ask(f"SELECT {SCHEMA}.put_flags(%s, %s, %s)", run, version, Jsonb(texts))


def follow_decisions(copy: SqliteFile, ask: Ask, run: int) -> None:
    """Bring the decisions in the copy's folder up to date. The caller holds the run's lock.

    Decisions in the folder that the store does not have are moved to a file of another name.
    """
    review_file = ReviewFile(copy.path.parent)
    with review_file.open_for_reading() as db:
        last = db.execute(_SELECT_LAST).fetchone() if db is not None else None
    rows = ask(_SELECT_EVENTS, run, last[0] if last else 0)
    if last is not None and (not rows or tuple(rows[0]) != last):
        review_file.path.replace(review_file.path.with_name(f"{review_file.path.name}.before"))
        rows, last = ask(_SELECT_EVENTS, run, 0), None
    if new_rows := rows[1:] if last else rows:
        with review_file.open_for_writing() as db:
            for seq, job, serial, verdict, note, who, at, via in new_rows:
                db.execute(_WRITE_MARK, (job, verdict, note, serial, who, at))
                db.execute(_INSERT_EVENT, (seq, job, serial, verdict, note, who, at, via))


_SELECT_LAST = "SELECT seq, job, serial, verdict, note, who, at, via FROM mark_events ORDER BY seq DESC LIMIT 1"
_WRITE_MARK = "INSERT OR REPLACE INTO marks (job, verdict, note, serial, who, at) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_EVENT = (
    "INSERT INTO mark_events (seq, job, serial, verdict, note, who, at, via) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def follow_flags(copy: SqliteFile, ask: Ask, run: int) -> None:
    """Bring the flags in the copy up to date."""
    rows = ask(f"SELECT value FROM {SCHEMA}.fact WHERE run = %s AND name = %s", run, FLAGS_VERSION)
    if rows and rows[0][0] != copy.get(FLAGS_VERSION):
        flags: dict[int, str] = dict(ask(f"SELECT job, flags FROM {SCHEMA}.flag WHERE run = %s", run))
        with copy.transaction() as db:
            put_flags_in(db, flags)
            copy.put_in(db, FLAGS_VERSION, rows[0][0])


def _to_storable_text(text: str) -> str:
    """``text`` without NUL, which PostgreSQL's text can't hold, and without lone surrogates, which its JSON can't."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_mark(row: Sequence[Any]) -> PictureDecision:
    job, verdict, note, serial, who, at = row
    return PictureDecision(job, Verdict(verdict), note, serial, who, at)
