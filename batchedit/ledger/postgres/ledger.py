"""The pool's port on PostgreSQL: one run of a store, as one worker sees it.

Two connections, each with a thread and a queue of changes that share a commit: reservations wait for the lock on the
run's row, and no id of a bought job may wait behind them. A confirmed change is as durable as the store is
(``durability``).

A worker is alive while it sends beats (``beat``). Once it does not, others adopt its jobs: a POST that may be on its
way is in doubt, the others are continued. What this process learns afterwards is still written, and it buys nothing
more.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import orjson
import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from ...core.errors import BatcheditError, CheckpointError, KnownRequestError
from ...core.events import Accepted, Event, Reserved
from ...core.model import Money, Record, State
from ...core.pace import AccountPace, PaceReport
from ...ports import Totals
from ..codec import RECORD_COLUMNS, read_record
from ..group_commit import Change, GroupCommit
from ..rescue_file import RescuePlace, as_object, rescue
from .changes import encode_change, settle_change, to_counts, to_money, to_storable
from .connection import StoreConnection
from .errors import HaltedError, LeaseOverError
from .lease import Lease, read_clocks
from .schema import SCHEMA
from .url import hide_password

OWNED_STATES = ("submitting", "waiting", "cancelling", "fetched")
"""States in which a job belongs to one worker: it alone continues the job."""
BEATS_PER_LEASE = 6
"""Number of beats in one lease."""
QUIT_SECONDS = 2.0
"""Maximum time for which a worker that ends tries to report it."""
_SELECT_RECORDS = f"SELECT {RECORD_COLUMNS} FROM {SCHEMA}.job JOIN {SCHEMA}.request USING (run, id) WHERE run = %s AND "
_SAVE = f"SELECT {SCHEMA}.save(%s, %s, %s)"
_RESERVE = f"SELECT {SCHEMA}.reserve(%s, %s, %s, %s, %s)"
_SHARE_PACE = f"SELECT {SCHEMA}.share_pace(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
_CLAIM = f"SELECT {SCHEMA}.claim(%s, %s, %s, %s)"
_CLAIM_BOUGHT = f"SELECT {SCHEMA}.claim_bought(%s, %s, %s)"


class PostgresLedger:
    """``ports.Ledger`` over run number ``run`` of the store at ``url``. Enters the store as a worker; ``close`` leaves
    it.

    Ids that the store could not take go to ``folder``, and to the place of ``set_rescue_place``. Not ``local``: jobs
    whose pictures are on the machine of their intake are left to that machine.
    """

    def __init__(self, url: str, run: int, model: str, folder: Path, *, local: bool = True) -> None:
        self._local = local
        self.run = run
        self.model = model
        self.believes_estimate = False
        self.earlier_cost = 0
        self.top_price = 0
        self._shown_url = hide_password(url)
        self._folder = folder
        self._rescue_place: RescuePlace | None = None
        self._unsaved: dict[int, Change] = {}
        """Purchases whose id is not in the store yet: they may be queued after a statement that waits for the store to
        return.
        """
        self._records = StoreConnection(url, self._beat_on_reconnect, self._keep_ids)
        self._reservations = StoreConnection(url)
        ((store,),) = self._records.call(f"SELECT id FROM {SCHEMA}.store")
        self.id_of_run = f"{store}/{run}"
        """See ``book.Facts``."""
        began = read_clocks()
        name = f"pid {os.getpid()} on {socket.gethostname()}"
        ((worker, seconds),) = self._records.call(f"SELECT worker, lease_seconds FROM {SCHEMA}.enter(%s)", (name,))
        self.worker: int = worker
        self.lease = Lease(seconds, began)
        self._is_closed = False
        self._saves = GroupCommit(self._save, self._as_batchedit_error)
        self._reserves = GroupCommit(self._reserve, self._as_batchedit_error)

    # --- the pool's port ---

    @property
    def shared(self) -> bool:
        """See ``ports.Ledger``."""
        return True

    @property
    def beat_seconds(self) -> float:
        """See ``ports.Ledger``."""
        return self.lease.seconds / BEATS_PER_LEASE

    async def reserve(self, record: Record, event: Reserved) -> Record:
        """See ``ports.Ledger.reserve``. LeaseOverError where others have taken over; HaltedError where the run is halted."""
        change = Change(record, event)
        await self._reserves.save(change)
        return change.record

    async def save(self, record: Record, event: Event) -> Record:
        """See ``ports.Ledger.save``. A cancelled caller still waits: the outcome of a commit must be known."""
        change = Change(record, event)
        with self._keep_id_while_away(change):
            await self._saves.save(change)
        return change.record

    def rescue(self, record: Record, event: Accepted) -> None:
        """See ``ports.Ledger.rescue``: a side file and stderr, which have it when this returns, and the rescue place."""
        rescue(self._folder, record.id, record.job.key, event, submitted_at=record.submitted_at, run=self.id_of_run)
        if self._rescue_place is not None:
            self._rescue_place.keep(*as_object(record, event, self.id_of_run))

    def set_rescue_place(self, place: RescuePlace | None) -> None:
        """From here on ids that the store could not take are kept at ``place`` too. None: no more."""
        self._rescue_place = place

    async def list_planned(self, after: int, limit: int) -> Sequence[Record]:
        """Claims jobs without a worker, and returns those that this worker has claimed; else see
        ``ports.Ledger.list_planned``.
        """
        return await anyio.to_thread.run_sync(self._list_planned, after, limit)

    def _list_planned(self, after: int, limit: int) -> list[Record]:
        self._reservations.call(_CLAIM, (self.run, self.worker, limit, self._local))
        where = "state = 'planned' AND wanted AND leave > 0 AND worker = %s AND id > %s ORDER BY id LIMIT %s"
        return self._read_records(where, self.worker, after, limit)

    async def list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """Adopts bought jobs without a worker; of those with a worker returns only its own. Else see the port."""
        return await anyio.to_thread.run_sync(self._list_unsettled, after, limit, states)

    def _list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> list[Record]:
        if State.WAITING in states:
            self._reservations.call(_CLAIM_BOUGHT, (self.run, self.worker, limit))
        where = "state = ANY(%s) AND (worker = %s OR NOT state = ANY(%s)) AND id > %s ORDER BY id LIMIT %s"
        return self._read_records(
            where, [str(state) for state in states], self.worker, list(OWNED_STATES), after, limit
        )

    async def adopt_jobs(self, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        return await anyio.to_thread.run_sync(self._adopt_jobs, limit)

    def _adopt_jobs(self, limit: int) -> list[Record]:
        adopted = [job for (job,) in self._reservations.call(_CLAIM_BOUGHT, (self.run, self.worker, limit))]
        return self._read_records("id = ANY(%s) ORDER BY id", adopted) if adopted else []

    async def list_unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger.list_unpriced``."""
        where = (
            "state IN ('done', 'failed', 'uncollected', 'cancelled') AND cost IS NOT NULL AND NOT cost_known "
            "AND request_id IS NOT NULL AND id > %s ORDER BY id LIMIT %s"
        )
        return await anyio.to_thread.run_sync(self._read_records, where, after, limit)

    async def totals(self) -> Totals:
        """See ``ports.Ledger.totals``."""
        return await anyio.to_thread.run_sync(self.read_totals)

    def read_totals(self) -> Totals:
        """``totals`` for a command that has no event loop."""
        ((standing,),) = self.ask(f"SELECT {SCHEMA}.standing(%s)", self.run)
        return Totals(to_counts(standing), self._to_money(standing))

    async def is_at_rest(self) -> bool:
        """Has no worker a job of the run under way, and is no job left that a worker may buy?"""
        query = f"""
            SELECT NOT EXISTS (SELECT 1 FROM {SCHEMA}.job WHERE run = %s AND (
                state IN ('submitting', 'waiting', 'cancelling', 'fetched')
                OR (state = 'planned' AND wanted AND leave > 0 AND (%s OR NOT local))))
        """
        ((at_rest,),) = await anyio.to_thread.run_sync(self.ask, query, self.run, self._local)
        return bool(at_rest)

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record:
        """``save`` for a command that has no event loop. ``bought``: the cap is not checked."""
        change = Change(record, event, bought)
        with self._keep_id_while_away(change):
            (self._reserve if isinstance(event, Reserved) and not bought else self._save)([change])
        if change.error is not None:
            raise change.error
        return change.record

    def save_in(self, connection: psycopg.Connection[TupleRow], changes: Sequence[tuple[Record, Event]]) -> None:
        """Save several in the caller's transaction. Raises the first refusal: then the caller must roll back."""
        prepared = [Change(record, event) for record, event in changes]
        row = connection.execute(_SAVE, (self.run, self.worker, _to_jsonb(prepared))).fetchone()
        assert row is not None
        self._apply_verdicts(prepared, row[0])
        for change in prepared:
            if change.error is not None:
                raise change.error

    def ask(self, query: str, *values: Any) -> list[TupleRow]:
        """The rows of a statement that only reads."""
        return self._reservations.call(query, values)

    def record(self, job: int) -> Record | None:
        """See ``book.Records``."""
        return next(iter(self._read_records("id = %s", job)), None)

    def find_job_of_request(self, request_id: str) -> int | None:
        """See ``book.Records``."""
        query = f"SELECT job FROM {SCHEMA}.accepted WHERE run = %s AND request_id = %s"
        rows = self.ask(query, self.run, to_storable(request_id))
        return int(rows[0][0]) if rows else None

    def refresh(self) -> None:
        """See ``book.Book``. Every read goes to the store."""

    def keep_orphan(self, record: Record, event: Accepted) -> None:
        """Write an id that arrived when ``record`` had moved on already. Always raises the outcome.

        It is sent as a change of an older serial of the job, which the store keeps as an orphan.
        """
        self.save_now(record._replace(serial=record.serial - 1, handle=event.handle), event)

    def has_file(self, path: str, but_job: int) -> bool:
        """See ``book.Records``."""
        query = f"SELECT 1 FROM {SCHEMA}.job WHERE run = %s AND strpos(files, %s) > 0 AND id != %s LIMIT 1"
        return bool(self.ask(query, self.run, orjson.dumps(path).decode(), but_job))

    def get(self, name: str) -> str | None:
        """See ``book.Facts``."""
        rows = self.ask(f"SELECT value FROM {SCHEMA}.fact WHERE run = %s AND name = %s", self.run, name)
        return rows[0][0] if rows else None

    def put(self, name: str, value: str) -> None:
        """Does nothing: a worker's role may not write facts of the run, and no process would read them."""

    # --- being alive ---

    async def beat(self) -> int:
        """See ``ports.Ledger``. LeaseOverError where others took this worker for dead."""
        return await anyio.to_thread.run_sync(self._beat)

    def _renew_lease(self, connection: StoreConnection) -> bool:
        began = read_clocks()
        ((is_alive,),) = connection.call(f"SELECT {SCHEMA}.beat(%s, false)", (self.worker,))
        if is_alive:
            self.lease.renew(began)
        else:
            self.lease.is_lost = True
        return bool(is_alive)

    def _beat(self) -> int:
        if not self._renew_lease(self._records):
            raise LeaseOverError("this worker was not heard of for longer than its lease; others have its jobs now")
        ((dead_workers,),) = self._records.call(f"SELECT {SCHEMA}.adopt(%s)", (self.worker,))
        return int(dead_workers)

    async def share_pace(self, report: PaceReport) -> AccountPace | None:
        """See ``ports.Ledger``."""
        return await anyio.to_thread.run_sync(self._share_pace, report)

    def _share_pace(self, report: PaceReport) -> AccountPace | None:
        values = (self.run, self.worker, *report)
        try:
            ((pace,),) = self._reservations.call(_SHARE_PACE, values, patience=0.0)
        except BatcheditError:
            return None
        return AccountPace(**pace)

    def may_send(self) -> bool:
        """May a POST that buys leave now? By this process's own clocks, without asking the store."""
        return self.lease.is_valid()

    def _beat_on_reconnect(self, connection: psycopg.Connection[TupleRow]) -> None:
        connection.execute(f"SELECT {SCHEMA}.beat(%s, true)", (self.worker,))

    # --- plumbing ---

    def _reserve(self, changes: list[Change]) -> None:
        values = (self.run, self.worker, _to_jsonb(changes), self.believes_estimate, self.earlier_cost)
        ((reply,),) = self._reservations.call(_RESERVE, values)
        if "lease" in reply["verdicts"] and self._renew_lease(self._reservations):
            # The store was away for longer than the lease, and no other worker has taken over.
            ((reply,),) = self._reservations.call(_RESERVE, values)
        if "again" in reply["verdicts"]:
            # A visible commit may not be durable: after a crash one may be visible that no standby has. One more write.
            self._reservations.call(f"SELECT {SCHEMA}.beat(%s, false)", (self.worker,))
        self._apply_verdicts(changes, reply)

    def _save(self, changes: list[Change]) -> None:
        ((reply,),) = self._records.call(_SAVE, (self.run, self.worker, _to_jsonb(changes)))
        self._apply_verdicts(changes, reply)

    @contextmanager
    def _keep_id_while_away(self, change: Change) -> Iterator[None]:
        """While the store is away the id of a purchase is rescued: this process may end before the store is back. The
        call that finds it away rescues the ids of all that wait (``_keep_ids``), a later call its own.
        """
        if not isinstance(change.event, Accepted):
            yield
            return
        self._unsaved[id(change)] = change
        if self._records.is_away:
            self.rescue(change.record, change.event)
        try:
            yield
        finally:
            self._unsaved.pop(id(change), None)
        if change.error is None and self._rescue_place is not None:
            self._rescue_place.drop(as_object(change.record, change.event, self.id_of_run)[0])

    def _keep_ids(self) -> None:
        for change in self._unsaved.copy().values():
            if isinstance(change.event, Accepted):
                self.rescue(change.record, change.event)

    def _apply_verdicts(self, changes: list[Change], reply: dict[str, Any]) -> None:
        money = self._to_money(reply["standing"])
        for change, verdict in zip(changes, reply["verdicts"], strict=True):
            settle_change(change, verdict, money)
            if (
                isinstance(change.error, KnownRequestError)
                and (record := self._find_taken_in_elsewhere(change)) is not None
            ):
                change.record, change.error = record, None
            if isinstance(change.error, HaltedError):
                reason = str(change.error)
                self._records.call(f"SELECT {SCHEMA}.halt(%s, %s)", (self.run, reason))
                ((name,),) = self._records.call(f"SELECT name FROM {SCHEMA}.run WHERE id = %s", (self.run,))
                change.error.set_lift_hint(name, self._shown_url)
            if isinstance(change.error, LeaseOverError):
                self.lease.is_lost = True

    def _find_taken_in_elsewhere(self, change: Change) -> Record | None:
        """The job's current record, where another worker has written the same purchase with the same id meanwhile."""
        own, current = change.record, self.record(change.record.id)
        is_same = (
            current is not None
            and current.serial > own.serial
            and (current.submitted_at, current.handle) == (own.submitted_at, own.handle)
        )
        return current if is_same else None

    def _to_money(self, standing: dict[str, Any]) -> Money:
        self.top_price = max(self.top_price, standing["top_price"])
        return to_money(standing, believes=self.believes_estimate, earlier=self.earlier_cost)

    def _read_records(self, where: str, *values: Any) -> list[Record]:
        rows = self._reservations.call(_SELECT_RECORDS + where, (self.run, *values))
        return [read_record(row, self.model) for row in rows]

    def _as_batchedit_error(self, error: BaseException) -> BatcheditError:
        if isinstance(error, BatcheditError):
            return error
        wrapped = CheckpointError(f"the store {self._shown_url} could not be written: {error!r}")
        wrapped.__cause__ = error
        return wrapped

    def close(self) -> None:
        """Leave the store: the jobs of this worker are left to others. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(BatcheditError):  # its lease will end
            self._records.call(f"SELECT {SCHEMA}.quit(%s)", (self.worker,), patience=QUIT_SECONDS)
        self._records.close()
        self._reservations.close()


def _to_jsonb(changes: list[Change]) -> Jsonb:
    return Jsonb([encode_change(change) for change in changes])
