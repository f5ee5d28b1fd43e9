"""A run of a store, as a folder's commands use it: the pool's port and all changes go to the store, reads to a copy.

Purchases, their outcomes and the cap are read from the store and written to it first. The copy in the folder is brought up to
date when it is opened, at each beat, and after every change that is made here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import orjson
import psycopg
from psycopg.rows import TupleRow

from ...core.approved_purchases import Approval, StoreApproval
from ...core.errors import BatcheditError
from ...core.events import Accepted, Event, Reserved
from ...core.model import Counts, Money, Record, ResultLine, State
from ...core.pace import AccountPace, PaceReport
from ...ports import Totals
from ..book import Decisions
from ..gallery_rows import compute_flags_version, read_flags
from ..intake import Intake
from ..sqlite import SqliteCheckpoint
from ..values import CAP_SET, IntakeReport
from .copies import GIVING, OWN_FACTS, give_intake, put_fact, take_news
from .decisions import StoreDecisions, follow_decisions, follow_flags, keep_flags
from .intake import analyze
from .ledger import PostgresLedger
from .schema import SCHEMA
from .sheets import give_sheet
from .store import open_transaction


class SharedCheckpoint(SqliteCheckpoint):
    """``book.Checkpoint`` over run ``ledger.run`` of the store at ``url``; ``path`` is the copy."""

    def __init__(self, path: Path, connection: sqlite3.Connection, ledger: PostgresLedger, url: str) -> None:
        self._ledger = ledger
        self._url = url
        self._refreshing = threading.Lock()
        super().__init__(path, connection)

    # --- the pool's port ---

    @property
    def shared(self) -> bool:
        """See ``ports.Ledger``."""
        return True

    @property
    def top_price(self) -> int:
        """See ``ports.Ledger``."""
        return self._ledger.top_price

    @top_price.setter
    def top_price(self, price: int) -> None:
        self._ledger.top_price = max(self._ledger.top_price, price)

    @property
    def believes_estimate(self) -> bool:
        """See ``ports.Ledger``."""
        return self._ledger.believes_estimate

    @believes_estimate.setter
    def believes_estimate(self, believes: bool) -> None:
        self._ledger.believes_estimate = believes

    @property
    def earlier_cost(self) -> int:
        """See ``ports.Ledger``."""
        return self._ledger.earlier_cost

    @earlier_cost.setter
    def earlier_cost(self, cost: int) -> None:
        self._ledger.earlier_cost = cost

    @property
    def beat_seconds(self) -> float:
        """See ``ports.Ledger``."""
        return self._ledger.beat_seconds

    async def reserve(self, record: Record, event: Reserved) -> Record:
        """See ``ports.Ledger``."""
        return await self._ledger.reserve(record, event)

    async def save(self, record: Record, event: Event) -> Record:
        """See ``ports.Ledger``."""
        return await self._ledger.save(record, event)

    def rescue(self, record: Record, event: Accepted) -> None:
        """See ``ports.Ledger``."""
        self._ledger.rescue(record, event)

    async def list_planned(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        return await self._ledger.list_planned(after, limit)

    async def list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        return await self._ledger.list_unsettled(after, limit, states)

    async def list_unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        return await self._ledger.list_unpriced(after, limit)

    async def totals(self) -> Totals:
        """See ``ports.Ledger``."""
        return await self._ledger.totals()

    async def beat(self) -> int:
        """See ``ports.Ledger``. Brings the copy up to date too."""
        dead_workers = await self._ledger.beat()
        await anyio.to_thread.run_sync(self.refresh)
        return dead_workers

    @property
    def id_of_run(self) -> str:
        """See ``book.Facts``."""
        return self._ledger.id_of_run

    @property
    def in_store(self) -> PostgresLedger:
        """The ledger in the store, without the copy."""
        return self._ledger

    async def adopt_jobs(self, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        return await self._ledger.adopt_jobs(limit)

    async def is_at_rest(self) -> bool:
        """See ``ports.Ledger``."""
        return await self._ledger.is_at_rest()

    async def share_pace(self, report: PaceReport) -> AccountPace | None:
        """See ``ports.Ledger``."""
        return await self._ledger.share_pace(report)

    def may_send(self) -> bool:
        """See ``ports.Ledger``."""
        return self._ledger.may_send()

    # --- sums and the cap ---

    def counts(self) -> Counts:
        """See ``book.Sums``."""
        return self._ledger.read_totals().counts

    def money(self) -> Money:
        """See ``book.Sums``."""
        return self._ledger.read_totals().money

    @property
    def cap(self) -> int | None:
        """See ``book.Facts``."""
        return self.money().cap

    def set_cap(self, cap: int | None, at: float) -> bool:
        """See ``book.Facts``. The cap holds for all workers, and only this method changes it."""
        cap_before = self.cap
        if cap == cap_before:
            return False
        with self._open_transaction() as db:
            db.execute(f"UPDATE {SCHEMA}.run SET max_cost = %s WHERE id = %s", (cap, self._ledger.run))
            _add_run_event(db, self._ledger.run, CAP_SET, at, {"before": cap_before, "after": cap})
        self.refresh()
        return True

    # --- changes ---

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record:
        """See ``book.Changes``."""
        saved = self._ledger.save_now(record, event, bought=bought)
        self.refresh()
        return saved

    def save_all(self, changes: Sequence[tuple[Record, Event]]) -> None:
        """See ``book.Changes``."""
        with self._open_transaction() as db:
            self._ledger.save_in(db, changes)
        self.refresh()

    def list_quarantined(self) -> dict[int, float]:
        """See ``book.Changes``."""
        query = f"""
            SELECT id, extract(epoch FROM quarantine - clock_timestamp())::float8 FROM {SCHEMA}.job
            WHERE run = %s AND state = 'in_doubt' AND quarantine > clock_timestamp()
        """
        return dict(self._ledger.ask(query, self._ledger.run))

    def allow(self, jobs: Iterable[int], *, price: int, times: int) -> Approval:
        """See ``book.Changes``. All workers may buy them, and the store gives out no other jobs."""
        with self._open_transaction() as db:
            db.execute(
                f"UPDATE {SCHEMA}.job SET leave = %s WHERE run = %s AND id = ANY(%s) AND state = 'planned'",
                (times, self._ledger.run, list(jobs)),
            )
        return StoreApproval((), price=price)

    def put(self, name: str, value: str) -> None:
        """See ``book.Facts``."""
        if name not in OWN_FACTS:
            with self._open_transaction() as db:
                put_fact(db, self._ledger.run, name, value)
        super().put(name, value)

    def note(self, name: str, at: float, data: Mapping[str, object]) -> None:
        """See ``book.Facts``."""
        with self._open_transaction() as db:
            _add_run_event(db, self._ledger.run, name, at, data)
        self.refresh()

    @property
    def decisions(self) -> Decisions:
        """See ``book.Book``."""
        return StoreDecisions(self._ledger.ask, self._ledger.run, self._follow_decisions)

    def _follow_decisions(self) -> None:
        with self._refreshing:
            follow_decisions(self, self._ledger.ask, self._ledger.run)

    def keep_flags(self, flags: Mapping[int, str]) -> bool:
        """See ``book.Lines``. They are shared by all workers."""
        new_flags = {job: text for job, text in flags.items() if text}
        if read_flags(self) == new_flags:
            return False
        keep_flags(self._ledger.ask, self._ledger.run, new_flags, compute_flags_version(new_flags))
        with self._refreshing:
            follow_flags(self, self._ledger.ask, self._ledger.run)
        return True

    # --- intakes ---

    def begin_intake(self, *, limit: int | None = None) -> Intake:
        """See ``book.Intakes``."""
        return SharedIntake.begin(self, limit=limit)

    def add_repurchases(self, pairs: Iterable[tuple[Record, ResultLine]]) -> list[int]:
        """See ``book.Changes``."""
        before = self.begin_giving()
        ids = super().add_repurchases(pairs)
        self.give_to_store(before)
        return ids

    def begin_giving(self) -> str:
        """Call it before the copy's intake is changed; returns its last committed id. If the store does not get the change,
        because another process was first or this one dies, the copy is built again.
        """
        super().put(GIVING, "1")
        return self.get("committed_id") or ""

    def give_to_store(self, before: str) -> None:
        """Write the copy's intake to the store; ``before`` is the copy's last committed id before it."""
        with self._open_transaction() as db:
            give_intake(self, db, self._ledger.run, before)
            give_sheet(db, self._ledger.run, self.path.parent, self.get("fingerprint") or "")
        super().put(GIVING, "")
        with self._open_transaction() as db:
            analyze(db)

    # --- plumbing ---

    def refresh(self) -> None:
        """See ``book.Book``."""
        with self._refreshing:
            take_news(self, self._ledger.ask, self._ledger.run)

    @contextmanager
    def _open_transaction(self) -> Iterator[psycopg.Connection[TupleRow]]:
        with open_transaction(self._url) as connection:
            yield connection

    def close(self) -> None:
        """See ``book.Book``."""
        with suppress(BatcheditError):
            self.refresh()
        self._ledger.close()
        super().close()


class SharedIntake(Intake):
    """An intake that ``commit`` also writes to the store."""

    def commit(self, fingerprint: str, facts: Mapping[str, str] | None = None) -> IntakeReport:
        """See ``book.Intake``."""
        checkpoint = self._checkpoint
        assert isinstance(checkpoint, SharedCheckpoint)
        before = checkpoint.begin_giving()
        report = super().commit(fingerprint, facts)
        checkpoint.give_to_store(before)
        return report


def _add_run_event(
    connection: psycopg.Connection[TupleRow], run: int, name: str, at: float, data: Mapping[str, object]
) -> None:
    query = f"INSERT INTO {SCHEMA}.run_event (run, at, name, data) VALUES (%s, %s, %s, %s)"
    connection.execute(query, (run, at, name, orjson.dumps(data).decode()))
