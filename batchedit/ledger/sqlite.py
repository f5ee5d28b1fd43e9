"""The checkpoint in SQLite: one file, one writer, group commit.

WAL with ``synchronous=FULL``: what ``save`` has returned survives a power cut. Callers queue up behind the commit under
way and share the next one, so a hundred waiting jobs cost one fsync, not a hundred. Each caller still waits for its own
durability: a POST starts only after its intention is on disk.

One read-write connection a process: SQLite's WAL-reset bug needs two writers to bite. Readers in other processes
(``status``, ``results``) open it read-only.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import orjson

from ..core.errors import (
    BatcheditError,
    BudgetReachedError,
    CheckpointError,
    StaleRecordError,
)
from ..core.lifecycle import Accepted, Completed, Errored, Event, Priced, Reserved, Saved
from ..core.model import Counts, Money, Outcome, Record, State, format_usd
from ..core.policy import admits
from .codec import RECORD_COLUMNS, STATE_COLUMNS, read_record, state_values
from .errors import as_ours, mapped
from .file_guard import Place
from .money_totals import Sums, purse
from .rescue import rescue

BUSY_SECONDS = 10.0
COMPANY_SECONDS = 0.05
"""So long a job's end and its finished picture wait for another change to share the commit with. The job's place is free
before; under a cap that is reached, its money comes free with the commit. A crash in that time has the job looked at, or
its file downloaded, once more.
"""
QUICK_SECONDS = 0.002
FEW = 4
"""A commit of so few changes, on a disk that usually takes no longer than that, is made on the event loop itself: to hand
it to a thread and back costs 0.5 ms of CPU (``benchmarks/LOG.md``), twice the commit. A disk that turns slow
holds the loop up for a few commits, until their mean says so.
"""

_UPDATE = (
    f"UPDATE jobs SET ({STATE_COLUMNS}) = ({', '.join('?' * (STATE_COLUMNS.count(',') + 1))}), serial = serial + 1 "
    "WHERE id = ? AND serial = ?"
)
_INSERT_EVENT = "INSERT INTO events (job, at, name, state, data) VALUES (?, ?, ?, ?, ?)"


@dataclass
class _Ticket:
    record: Record
    event: Event
    turn: anyio.Event = field(default_factory=anyio.Event)
    leads: bool = False
    error: BatcheditError | None = None


class SqliteCheckpoint:
    """One run's record. Open it with ``open_checkpoint``; ``ports.Checkpoint`` and the bulk views the pipeline needs."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self._lock = threading.Lock()
        self._place = Place(path)
        self._queue: list[_Ticket] = []
        self._leading = False
        self._patient = True  # as it was opened
        self._usual_seconds = 10 * QUICK_SECONDS  # of a commit; the disk has to show that it is quick
        self.model = self.get("model") or ""
        cap, top = self.get("max_cost"), self.get("top_price")
        self._cap = int(cap) if cap else None
        self.top_price = int(top) if top else 0
        self.believes_estimate = False

    # --- the pool's port ---

    async def save(self, record: Record, event: Event) -> Record:
        """Durable when it returns; see ``ports.Checkpoint.save``.

        A cancelled caller still waits for its answer: half a truth about money is worse than a late exit.
        """
        ticket = _Ticket(record, event)
        self._queue.append(ticket)
        with anyio.CancelScope(shield=True):
            if isinstance(event, Completed | Saved):
                with anyio.move_on_after(COMPANY_SECONDS):
                    await ticket.turn.wait()
            if self._leading:
                await ticket.turn.wait()
            elif not ticket.turn.is_set():
                self._leading = ticket.leads = True
                await anyio.lowlevel.cancel_shielded_checkpoint()  # let those who are ready join this commit
            if ticket.leads:
                await self._lead()
        if ticket.error is not None:
            raise ticket.error
        return record._replace(serial=record.serial + 1)

    def save_now(self, record: Record, event: Event) -> Record:
        """``save`` for a command that has no event loop: one commit of its own."""
        ticket = _Ticket(record, event)
        self._commit([ticket])
        if ticket.error is not None:
            raise ticket.error
        return record._replace(serial=record.serial + 1)

    async def _lead(self) -> None:
        batch, self._queue = self._queue, []
        try:
            if len(batch) > FEW or self._usual_seconds > QUICK_SECONDS or not self._commit_here(batch):
                await anyio.to_thread.run_sync(self._commit, batch)
        except BaseException as error:
            for ticket in batch:  # those who share this commit must not take it for done, whatever ended it
                ticket.error = ticket.error or as_ours(error, self.path)
            if not isinstance(error, Exception):
                raise
        finally:
            if self._queue:
                self._queue[0].leads = True
                self._queue[0].turn.set()
            else:
                self._leading = False
            for ticket in batch:
                ticket.turn.set()

    def _commit_here(self, batch: list[_Ticket]) -> bool:
        """Commit on the event loop, or say False at once where another process is writing: the loop waits for nobody."""
        try:
            self._commit(batch, patient=False)
        except CheckpointError as error:
            if not getattr(error.__cause__, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise
            return False
        return True

    def _commit(self, batch: list[_Ticket], *, patient: bool = True) -> None:
        began = perf_counter()
        try:
            with self.transaction(patient=patient) as db:
                top = self.top_price
                for ticket in batch:  # each is weighed with the prices that those before it have told
                    ticket.error = self._write(db, ticket, top)
                    top = max(top, _told_price(ticket.event))
                if top > self.top_price:
                    self.put_in(db, "top_price", str(top))
            self.top_price = top
        finally:
            self._usual_seconds += (perf_counter() - began - self._usual_seconds) / 10

    def _write(self, db: sqlite3.Connection, ticket: _Ticket, top_price: int) -> BatcheditError | None:
        record, event = ticket.record, ticket.event
        if isinstance(event, Reserved) and self._cap is not None:
            money = self._money(db, top_price)
            if not admits(money, event.price):
                return BudgetReachedError(
                    f"the budget is used up: {format_usd(money.spent)} spent and {format_usd(money.held)} reserved of "
                    f"--max-cost {format_usd(self._cap)}"
                )
        changed = db.execute(_UPDATE, (*state_values(record), record.id, record.serial)).rowcount
        if changed != 1:
            return StaleRecordError(f"job {record.id} was changed by somebody else since it was read")
        db.execute(
            _INSERT_EVENT,
            (record.id, event.at, type(event).__name__, record.state.value, orjson.dumps(event).decode()),
        )
        return None

    def rescue(self, record: Record, event: Accepted) -> None:
        """See ``ports.Checkpoint.rescue``: a side file and stderr."""
        rescue(self.path.parent, record.id, record.job.key, event)

    async def planned(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Checkpoint.planned``."""
        where = "state = 'planned' AND wanted = 1 AND id > ? ORDER BY id LIMIT ?"
        return await anyio.to_thread.run_sync(self.records, where, (after, limit))

    async def unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """See ``ports.Checkpoint.unsettled``."""
        # The literal repeats the partial index's own condition: without it SQLite does not use that index.
        indexed = "" if states & {State.PLANNED, State.DONE} else "state NOT IN ('planned', 'done') AND "
        where = f"{indexed}state IN ({', '.join('?' * len(states))}) AND id > ? ORDER BY id LIMIT ?"
        return await anyio.to_thread.run_sync(self.records, where, (*states, after, limit))

    async def unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Checkpoint.unpriced``."""
        where = (
            "state IN ('done', 'failed', 'uncollected') AND cost IS NOT NULL AND NOT cost_known "
            "AND request_id IS NOT NULL AND id > ? ORDER BY id LIMIT ?"
        )
        return await anyio.to_thread.run_sync(self.records, where, (after, limit))

    # --- views ---

    def records(self, where: str, values: Sequence[Any] = ()) -> list[Record]:
        """Records for a condition written by this package (never by a user)."""
        with self._reading() as db:
            rows = db.execute(f"SELECT {RECORD_COLUMNS} FROM jobs WHERE {where}", tuple(values))
            return [read_record(row, self.model) for row in rows]

    def has_file(self, path: str, but_job: int) -> bool:
        """Does the record of another job than ``but_job`` name this file? Reads them all: asked where one is in the way."""
        told = orjson.dumps(path).decode()
        with self._reading() as db:
            query = "SELECT 1 FROM jobs WHERE files IS NOT NULL AND instr(files, ?) AND id != ? LIMIT 1"
            return db.execute(query, (told, but_job)).fetchone() is not None

    def planned_ids(self) -> list[int]:
        """Ids of all wanted PLANNED jobs, in order."""
        return [row[0] for row in self.rows("SELECT id FROM jobs WHERE state = 'planned' AND wanted = 1 ORDER BY id")]

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query written by this package, streamed."""
        try:
            self._wait_for_others(patient=True)
            yield from self._db.execute(query, tuple(values))
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error

    def counts(self) -> Counts:
        """Wanted jobs by state."""
        with self._reading() as db:
            rows = db.execute("SELECT state, sum(jobs) FROM tally WHERE wanted = 1 GROUP BY state HAVING sum(jobs) > 0")
            return Counts({State(state): jobs for state, jobs in rows})

    def money(self) -> Money:
        """The purse: over all jobs, wanted or not, because money is money."""
        with self._reading() as db:
            return self._money(db, self.top_price)

    def _money(self, db: sqlite3.Connection, top_price: int) -> Money:
        by_state: dict[str, Sums] = {
            state: (jobs, spent, held, guesses, guessed)
            for state, jobs, spent, held, guesses, guessed in db.execute(
                "SELECT state, sum(jobs), sum(spent), sum(held), sum(guesses), sum(guessed) FROM tally GROUP BY state"
            )
        }
        return purse(by_state, self._cap, top_price, self.believes_estimate)

    def outcomes(self, first_row: int = 0) -> Iterator[Outcome]:
        """Every line of the results in the manifest's order, streamed."""
        query = """
            SELECT lines.row, lines.id, coalesce(state, 'invalid'), coalesce(size, ''), coalesce(variant, 1),
                   coalesce(version, 1), coalesce(kind, ''), coalesce(problem, ''), coalesce(files, ''),
                   iif(files IS NULL, coalesce(outputs, ''), ''), coalesce(request_id, ''),
                   CASE WHEN submitted_at IS NOT NULL OR sunk > 0 THEN sunk + coalesce(cost, held) END,
                   submitted_at, finished_at, coalesce(key, x''), coalesce(problems, ''), coalesce(over, ''),
                   coalesce(flags, '')
            FROM lines LEFT JOIN jobs ON jobs.id = lines.job LEFT JOIN flags ON flags.job = lines.job
            WHERE lines.row >= ? ORDER BY n
        """
        self._wait_for_others(patient=True)
        cursor = self._db.cursor()
        cursor.execute(query, (first_row,))
        for row in cursor:
            outputs = row[9]
            yield Outcome._make((*row[:9], orjson.loads(outputs)[0][0], *row[10:]) if outputs else row)

    def rows_of(self, jobs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
        """For each job id the ``(row number, id cell)`` of the lines that want it."""
        wanted = set(jobs)
        found: dict[int, list[tuple[int, str]]] = {}
        with self._reading() as db:
            for job, row, name in db.execute("SELECT job, row, id FROM lines WHERE job IS NOT NULL ORDER BY n"):
                if job in wanted:
                    found.setdefault(job, []).append((row, name))
        return found

    def events(self) -> Iterator[tuple[int, int, float, str, str, dict[str, Any]]]:
        """``(seq, job, at, name, state, fields)`` from the first to the last."""
        for seq, job, at, name, state, data in self.rows(
            "SELECT seq, job, at, name, state, data FROM events ORDER BY seq"
        ):
            yield seq, job, at, name, state, orjson.loads(data)

    # --- settings of the run ---

    def get(self, name: str) -> str | None:
        """A fact about the run as a whole: ``model``, ``service``, ``fingerprint``, …"""
        with self._reading() as db:
            row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def put(self, name: str, value: str) -> None:
        """Write such a fact, durably."""
        with self.transaction() as db:
            self.put_in(db, name, value)

    @staticmethod
    def put_in(db: sqlite3.Connection, name: str, value: str) -> None:
        """The same inside a transaction of the caller's."""
        db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))

    def set_cap(self, cap: int | None) -> None:
        """``--max-cost`` in micro-dollars for this and later reservations; None for no cap."""
        self.put("max_cost", "" if cap is None else str(cap))
        self._cap = cap

    def change_mark(self) -> str:
        """A text that changes whenever a line of the results may have changed."""
        with self._reading() as db:
            seq = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        return f"{seq}/{self.get('fingerprint')}/{self.get('lines_mark') or ''}"

    # --- plumbing ---

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one moment, whatever another process writes meanwhile. Nothing is written inside."""
        with self._reading() as db:
            db.execute("BEGIN")
        try:
            yield
        finally:
            with self._reading() as db:
                db.execute("COMMIT")

    @contextmanager
    def transaction(self, *, patient: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing, and under the file's name; sqlite3's errors come out as CheckpointError. ``patient`` waits up to
        BUSY_SECONDS for another process that is writing.
        """
        with self._lock:
            self._place.check(self._db)
            try:
                self._wait_for_others(patient=patient)
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
                self._place.check(self._db)
            except sqlite3.Error as error:
                raise mapped(error, self.path) from error

    def _wait_for_others(self, *, patient: bool) -> None:
        if patient != self._patient:  # seldom: commits on the event loop follow each other
            self._db.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS if patient else 0:.0f}")
            self._patient = patient

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._wait_for_others(patient=True)
                yield self._db
            except sqlite3.Error as error:
                raise mapped(error, self.path) from error

    def close(self) -> None:
        """Fold the WAL back and close. Safe to call twice."""
        with self._lock:
            self._db.close()


def _told_price(event: Event) -> int:
    if isinstance(event, Completed | Errored | Priced):
        return event.cost or 0
    return 0
