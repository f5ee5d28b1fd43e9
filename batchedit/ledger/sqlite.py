"""The checkpoint in SQLite: one file, one writer, group commit.

WAL with ``synchronous=FULL``: a change survives a power cut once ``save`` has returned. Callers share commits
(``group_commit``), so a hundred waiting jobs cost one fsync, not a hundred. Each caller still waits for its own durability: a
POST starts only after its intention is on disk.

One read-write connection a process: SQLite's WAL-reset bug needs two writers to bite. Readers in other processes
(``status``, ``results``) open it read-only.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import orjson

from ..core.approved_purchases import Approval
from ..core.budget import explain_budget_refusal, may_reserve
from ..core.errors import (
    BatcheditError,
    BudgetReachedError,
    KnownRequestError,
    StaleRecordError,
)
from ..core.events import Accepted, Event, Reserved, Reused
from ..core.model import Counts, Money, Record, State
from ..core.pace import AccountPace, PaceReport
from ..ports import Totals
from .codec import STATE_COLUMNS, list_state_values
from .errors import as_batchedit_error
from .group_commit import Change, GroupCommit
from .money_totals import StateSums, read_charged_cost, sum_money
from .rescue_file import rescue
from .run_facts import parse_whole_number, read_fact
from .sqlite_book import SqliteBook
from .sqlite_records import TO_BUY
from .values import CAP_SET

_UPDATE = (
    f"UPDATE jobs SET ({STATE_COLUMNS}) = ({', '.join('?' * (STATE_COLUMNS.count(',') + 1))}), serial = serial + 1 "
    "WHERE id = ? AND serial = ?"
)
_AWAITS_COST = (
    "SELECT 1 FROM jobs WHERE state IN ('fetched', 'done', 'failed', 'uncollected', 'cancelled') "
    "AND cost IS NOT NULL AND NOT cost_known AND request_id IS NOT NULL LIMIT 1"
)
_INSERT_EVENT = "INSERT INTO events (job, at, name, state, data) VALUES (?, ?, ?, ?, ?)"


class SqliteCheckpoint(SqliteBook):
    """One run's ledger with both its ports, ``ports.Ledger`` and ``book.Book``. Open it with ``open_checkpoint``."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path, connection)
        self._group = GroupCommit(self._commit, lambda error: as_batchedit_error(error, path))
        self._cap = read_fact(self, "max_cost", parse_whole_number, None)
        self.top_price = read_fact(self, "top_price", parse_whole_number, 0)
        self.believes_estimate = False
        self.earlier_cost = 0
        self._reused = int(next(self.rows("SELECT count(*) FROM reused"))[0])

    # --- the pool's port ---

    @property
    def shared(self) -> bool:
        """See ``ports.Ledger``. One process holds the run's lock."""
        return False

    @property
    def beat_seconds(self) -> float:
        """See ``ports.Ledger``."""
        return math.inf

    async def beat(self) -> int:
        """See ``ports.Ledger``. The operating system's lock shows which process is alive."""
        return 0

    async def share_pace(self, report: PaceReport) -> AccountPace | None:  # noqa: ARG002 - there are no other workers
        """See ``ports.Ledger``."""
        return None

    def may_send(self) -> bool:
        """See ``ports.Ledger``."""
        return True

    async def adopt_jobs(self, limit: int) -> Sequence[Record]:  # noqa: ARG002 - there are no other workers
        """See ``ports.Ledger``."""
        return ()

    async def is_at_rest(self) -> bool:
        """See ``ports.Ledger``. No other process continues the work of this one."""
        return True

    def allow(self, jobs: Iterable[int], *, price: int, times: int) -> Approval:
        """See ``book.Changes``. It holds for this process: no other one buys in the run."""
        return Approval(jobs, price=price, times=times)

    def refresh(self) -> None:
        """See ``book.Book``. SQLite always reads the present content of the file."""

    async def reserve(self, record: Record, event: Reserved) -> Record:
        """See ``ports.Ledger``. A group commit checks the cap for each intention together with all before it."""
        return await self.save(record, event)

    async def save(self, record: Record, event: Event) -> Record:
        """Durable when it returns; see ``ports.Ledger``.

        A cancelled caller still waits: the outcome of the commit must be known.
        """
        await self._group.save(Change(record, event))
        return record._replace(serial=record.serial + 1)

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record:
        """``save`` for a command that has no event loop: one commit of its own.

        ``bought``: the event records a purchase that has happened, so the cap is not checked.
        """
        change = Change(record, event, bought)
        self._commit([change])
        if change.error is not None:
            raise change.error
        return record._replace(serial=record.serial + 1)

    def save_all(self, changes: Sequence[tuple[Record, Event]]) -> None:
        """``save_now`` for several in one commit: all of them, or none and the first error is raised."""
        with self.transaction() as db:
            for record, event in changes:
                if error := self._write(db, Change(record, event), self.top_price):
                    raise error

    def _commit(self, changes: list[Change]) -> None:
        with self.transaction() as db:
            top_price = self.top_price
            for change in changes:  # the cap is checked with the costs that the changes before it have named
                change.error = self._write(db, change, top_price)
                top_price = max(top_price, read_charged_cost(change.event))
            if top_price > self.top_price:
                self.put_in(db, "top_price", str(top_price))
        self.top_price = top_price

    def _write(self, db: sqlite3.Connection, change: Change, top_price: int) -> BatcheditError | None:
        record, event = change.record, change.event
        if isinstance(event, Reserved) and self._cap is not None and not change.bought:
            money = self._compute_money(db, top_price)
            if not may_reserve(money, event.price):
                return BudgetReachedError(explain_budget_refusal(money))
        if isinstance(event, Accepted) and (owner := _find_owner(db, event.handle.request_id)) is not None:
            return KnownRequestError(event.handle.request_id, owner)
        changed = db.execute(_UPDATE, (*list_state_values(record), record.id, record.serial)).rowcount
        if changed != 1:
            return StaleRecordError(f"job {record.id} was changed by somebody else since it was read")
        if isinstance(event, Accepted):
            db.execute("INSERT INTO requests VALUES (?, ?)", (event.handle.request_id, record.id))
        if isinstance(event, Reused):
            db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?)", (event.handle.request_id, record.id))
            db.execute("INSERT INTO reused VALUES (?, ?)", (record.id, event.run))
            self._reused += 1
        db.execute(
            _INSERT_EVENT,
            (record.id, event.at, type(event).__name__, record.state.value, orjson.dumps(event).decode()),
        )
        return None

    def rescue(self, record: Record, event: Accepted) -> None:
        """See ``ports.Ledger.rescue``: a side file and stderr."""
        rescue(self.path.parent, record.id, record.job.key, event, submitted_at=record.submitted_at)

    async def list_planned(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger.list_planned``."""
        where = f"{TO_BUY} AND id > ? ORDER BY id LIMIT ?"
        return await anyio.to_thread.run_sync(self.records, where, (after, limit))

    async def list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """See ``ports.Ledger.list_unsettled``."""
        # The literal repeats the partial index's own condition: without it SQLite does not use that index.
        index_condition = "" if states & {State.PLANNED, State.DONE} else "state NOT IN ('planned', 'done') AND "
        where = f"{index_condition}state IN ({', '.join('?' * len(states))}) AND id > ? ORDER BY id LIMIT ?"
        return await anyio.to_thread.run_sync(self.records, where, (*states, after, limit))

    async def list_unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger.list_unpriced``."""
        where = (
            "state IN ('done', 'failed', 'uncollected', 'cancelled') AND cost IS NOT NULL AND NOT cost_known "
            "AND request_id IS NOT NULL AND id > ? ORDER BY id LIMIT ?"
        )
        return await anyio.to_thread.run_sync(self.records, where, (after, limit))

    async def totals(self) -> Totals:
        """See ``ports.Ledger``. Two sums over a few rows: faster than a thread."""
        return Totals(self.counts(), self.money())

    # --- sums and the cap ---

    def counts(self) -> Counts:
        """See ``book.Sums``."""
        with self._lock_connection() as db:
            rows = db.execute("SELECT state, sum(jobs) FROM tally WHERE wanted = 1 GROUP BY state HAVING sum(jobs) > 0")
            return Counts({State(state): jobs for state, jobs in rows})

    def money(self) -> Money:
        """See ``book.Sums``."""
        with self._lock_connection() as db:
            return self._compute_money(db, self.top_price)

    def _compute_money(self, db: sqlite3.Connection, top_price: int) -> Money:
        by_state: dict[str, StateSums] = {
            state: (jobs, spent, reserved, guesses, guessed)
            for state, jobs, spent, reserved, guesses, guessed in db.execute(
                "SELECT state, sum(jobs), sum(spent), sum(held), sum(guesses), sum(guessed) FROM tally GROUP BY state"
            )
        }
        believes = self.believes_estimate or self.earlier_cost > 0
        money = sum_money(by_state, self._cap, max(top_price, self.earlier_cost), believes, self._reused)
        if money.settled or not money.guesses:
            return money
        return replace(money, awaits_cost=db.execute(_AWAITS_COST).fetchone() is not None)

    @property
    def id_of_run(self) -> str:
        """See ``book.Facts``."""
        return ""

    @property
    def cap(self) -> int | None:
        """See ``book.Facts``."""
        return self._cap

    def set_cap(self, cap: int | None, at: float) -> bool:
        """See ``book.Facts``."""
        if cap == self._cap:
            return False
        with self.transaction() as db:
            self.put_in(db, "max_cost", "" if cap is None else str(cap))
            self.note_in(db, CAP_SET, at, {"before": self._cap, "after": cap})
        self._cap = cap
        return True

    def find_owner(self, request_id: str) -> str | None:
        """See ``book.Records``."""
        with self._lock_connection() as db:
            return _find_owner(db, request_id)


def _find_owner(db: sqlite3.Connection, request_id: str) -> str | None:
    query = "SELECT name FROM requests LEFT JOIN jobs ON jobs.id = requests.job WHERE requests.request_id = ?"
    row = db.execute(query, (request_id,)).fetchone()
    return None if row is None else row[0] or "a job that is not in the checkpoint any more"
