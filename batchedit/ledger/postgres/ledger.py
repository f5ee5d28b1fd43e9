"""The pool's port on PostgreSQL: one run of a store, as one worker sees it.

Two connections, each with a thread and a queue of changes that share a commit: reservations wait for the run's row, and no id
of a bought job may wait behind them. What was confirmed is durable, as far as the store is (``durability``).

A worker lives as long as it is heard of (``beat``). Once it is not, others take over what it had: a POST that may be on its
way is in doubt, the rest is looked after by them. What this process learns afterwards is written down all the same, and it
buys nothing more.
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
from ..rescue import KeepsIds, as_object, rescue
from .changes import to_counts, encode_change, to_money, settle_change, to_storable
from .errors import HaltedError, LeaseOverError
from .lease import Lease, read_clocks
from .line import Line
from .schema import SCHEMA
from .url import hide_password

MINE = ("submitting", "waiting", "cancelling", "fetched")
"""States in which a job is somebody's: who has it looks after it, and nobody else."""
BEATS = 6
"""So many fit into a lease."""
QUIT_SECONDS = 2.0
"""So long a worker that ends tries to say so."""
_RECORDS = f"SELECT {RECORD_COLUMNS} FROM {SCHEMA}.job JOIN {SCHEMA}.request USING (run, id) WHERE run = %s AND "
_SAVE = f"SELECT {SCHEMA}.save(%s, %s, %s)"
_RESERVE = f"SELECT {SCHEMA}.reserve(%s, %s, %s, %s, %s)"
_SHARE_PACE = f"SELECT {SCHEMA}.share_pace(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
_CLAIM = f"SELECT {SCHEMA}.claim(%s, %s, %s, %s)"
_CLAIM_BOUGHT = f"SELECT {SCHEMA}.claim_bought(%s, %s, %s)"


class PostgresLedger:
    """``ports.Ledger`` over run number ``run`` of the store at ``url``. Enters the store as a worker; ``close`` leaves it.

    ``folder`` takes the ids that the store could not take, and so does what ``set_rescue_place`` names. Not ``local``: jobs whose
    pictures lie on the machine that took them in are left to that.
    """

    def __init__(self, url: str, run: int, model: str, folder: Path, *, local: bool = True) -> None:
        self._local = local
        self.run = run
        self.model = model
        self.believes_estimate = False
        self.earlier_cost = 0
        self.top_price = 0
        self._where = hide_password(url)
        self._folder = folder
        self._other_place: KeepsIds | None = None
        self._unsaved: dict[int, Change] = {}
        """Purchases whose id is not in the store yet: they may stand behind a statement that waits for it to come back."""
        self._records = Line(url, self._reconnected, self._keep_ids)
        self._reservations = Line(url)
        ((store,),) = self._records.call(f"SELECT id FROM {SCHEMA}.store")
        self.id_of_run = f"{store}/{run}"
        """See ``book.Facts``."""
        began = read_clocks()
        name = f"pid {os.getpid()} on {socket.gethostname()}"
        ((worker, seconds),) = self._records.call(f"SELECT worker, lease_seconds FROM {SCHEMA}.enter(%s)", (name,))
        self.worker: int = worker
        self.lease = Lease(seconds, began)
        self._is_closed = False
        self._saves = GroupCommit(self._save, self._as_ours)
        self._reserves = GroupCommit(self._reserve, self._as_ours)

    # --- the pool's port ---

    @property
    def shared(self) -> bool:
        """See ``ports.Ledger``."""
        return True

    @property
    def beat_seconds(self) -> float:
        """See ``ports.Ledger``."""
        return self.lease.seconds / BEATS

    async def reserve(self, record: Record, event: Reserved) -> Record:
        """See ``ports.Ledger.reserve``. LeaseOverError where others have taken over; HaltedError where nobody buys."""
        change = Change(record, event)
        await self._reserves.save(change)
        return change.record

    async def save(self, record: Record, event: Event) -> Record:
        """See ``ports.Ledger.save``. A cancelled caller still waits: what became of a commit must be known."""
        change = Change(record, event)
        with self._kept(change):
            await self._saves.save(change)
        return change.record

    def rescue(self, record: Record, event: Accepted) -> None:
        """See ``ports.Ledger.rescue``: a side file and stderr, which have it when this returns, and the other place."""
        rescue(self._folder, record.id, record.job.key, event, submitted_at=record.submitted_at, run=self.id_of_run)
        if self._other_place is not None:
            self._other_place.keep(*as_object(record, event, self.id_of_run))

    def set_rescue_place(self, place: KeepsIds | None) -> None:
        """From here on ids that the store could not take are kept there too. None: no more."""
        self._other_place = place

    async def list_planned(self, after: int, limit: int) -> Sequence[Record]:
        """Claims jobs that nobody has, and returns what this worker has claimed; else see ``ports.Ledger.list_planned``."""
        return await anyio.to_thread.run_sync(self._planned, after, limit)

    def _planned(self, after: int, limit: int) -> list[Record]:
        self._reservations.call(_CLAIM, (self.run, self.worker, limit, self._local))
        where = "state = 'planned' AND wanted AND leave > 0 AND worker = %s AND id > %s ORDER BY id LIMIT %s"
        return self._read(where, self.worker, after, limit)

    async def list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """Takes on bought jobs that nobody has; of those that somebody has only its own. Else see the port."""
        return await anyio.to_thread.run_sync(self._unsettled, after, limit, states)

    def _unsettled(self, after: int, limit: int, states: frozenset[State]) -> list[Record]:
        if State.WAITING in states:
            self._reservations.call(_CLAIM_BOUGHT, (self.run, self.worker, limit))
        where = "state = ANY(%s) AND (worker = %s OR NOT state = ANY(%s)) AND id > %s ORDER BY id LIMIT %s"
        return self._read(where, [str(state) for state in states], self.worker, list(MINE), after, limit)

    async def adopt_jobs(self, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        return await anyio.to_thread.run_sync(self._adopted, limit)

    def _adopted(self, limit: int) -> list[Record]:
        taken = [job for (job,) in self._reservations.call(_CLAIM_BOUGHT, (self.run, self.worker, limit))]
        return self._read("id = ANY(%s) ORDER BY id", taken) if taken else []

    async def list_unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger.list_unpriced``."""
        where = (
            "state IN ('done', 'failed', 'uncollected', 'cancelled') AND cost IS NOT NULL AND NOT cost_known "
            "AND request_id IS NOT NULL AND id > %s ORDER BY id LIMIT %s"
        )
        return await anyio.to_thread.run_sync(self._read, where, after, limit)

    async def totals(self) -> Totals:
        """See ``ports.Ledger.totals``."""
        return await anyio.to_thread.run_sync(self.read_totals)

    def read_totals(self) -> Totals:
        """The same for a command that has no event loop."""
        ((told,),) = self.ask(f"SELECT {SCHEMA}.standing(%s)", self.run)
        return Totals(to_counts(told), self._money(told))

    async def is_at_rest(self) -> bool:
        """Is nothing of the run under way with anybody, and nothing left that anybody may buy?"""
        query = f"""
            SELECT NOT EXISTS (SELECT 1 FROM {SCHEMA}.job WHERE run = %s AND (
                state IN ('submitting', 'waiting', 'cancelling', 'fetched')
                OR (state = 'planned' AND wanted AND leave > 0 AND (%s OR NOT local))))
        """
        ((rests,),) = await anyio.to_thread.run_sync(self.ask, query, self.run, self._local)
        return bool(rests)

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record:
        """``save`` for a command that has no event loop. ``bought``: the cap has no say in it."""
        change = Change(record, event, bought)
        with self._kept(change):
            (self._reserve if isinstance(event, Reserved) and not bought else self._save)([change])
        if change.error is not None:
            raise change.error
        return change.record

    def save_in(self, connection: psycopg.Connection[TupleRow], changes: Sequence[tuple[Record, Event]]) -> None:
        """Several in a transaction of the caller's. Raises the first refusal: then none is to be written."""
        listed = [Change(record, event) for record, event in changes]
        row = connection.execute(_SAVE, (self.run, self.worker, _json(listed))).fetchone()
        assert row is not None
        self._settle(listed, row[0])
        for change in listed:
            if change.error is not None:
                raise change.error

    def ask(self, query: str, *values: Any) -> list[TupleRow]:
        """The rows of a statement that only reads."""
        return self._reservations.call(query, values)

    def record(self, job: int) -> Record | None:
        """See ``book.Records``."""
        return next(iter(self._read("id = %s", job)), None)

    def job_of_request(self, request_id: str) -> int | None:
        """See ``book.Records``."""
        query = f"SELECT job FROM {SCHEMA}.accepted WHERE run = %s AND request_id = %s"
        rows = self.ask(query, self.run, to_storable(request_id))
        return int(rows[0][0]) if rows else None

    def refresh(self) -> None:
        """See ``book.Book``. The store itself is asked each time."""

    def keep_orphan(self, record: Record, event: Accepted) -> None:
        """Write down an id that came when ``record`` was somewhere else already. Always raises: what became of it.

        It is sent as what it is, a change of an older version of the job, which the store keeps as an orphan.
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
        """A worker says nothing about the run as a whole: its role may not, and nobody would read it."""

    # --- being alive ---

    async def beat(self) -> int:
        """See ``ports.Ledger``. LeaseOverError where it was taken for dead."""
        return await anyio.to_thread.run_sync(self._beat)

    def _renewed(self, line: Line) -> bool:
        began = read_clocks()
        ((lives,),) = line.call(f"SELECT {SCHEMA}.beat(%s, false)", (self.worker,))
        if lives:
            self.lease.renew(began)
        else:
            self.lease.is_lost = True
        return bool(lives)

    def _beat(self) -> int:
        if not self._renewed(self._records):
            raise LeaseOverError("this worker was not heard of for longer than its lease; others have its jobs now")
        ((dead,),) = self._records.call(f"SELECT {SCHEMA}.adopt(%s)", (self.worker,))
        return int(dead)

    async def share_pace(self, report: PaceReport) -> AccountPace | None:
        """See ``ports.Ledger``."""
        return await anyio.to_thread.run_sync(self._share_pace, report)

    def _share_pace(self, report: PaceReport) -> AccountPace | None:
        values = (self.run, self.worker, *report)
        try:
            ((told,),) = self._reservations.call(_SHARE_PACE, values, patience=0.0)
        except BatcheditError:
            return None
        return AccountPace(**told)

    def may_send(self) -> bool:
        """May a POST that buys leave now? By this process's own clocks, without asking the store."""
        return self.lease.holds()

    def _reconnected(self, connection: psycopg.Connection[TupleRow]) -> None:
        connection.execute(f"SELECT {SCHEMA}.beat(%s, true)", (self.worker,))

    # --- plumbing ---

    def _reserve(self, changes: list[Change]) -> None:
        values = (self.run, self.worker, _json(changes), self.believes_estimate, self.earlier_cost)
        ((told,),) = self._reservations.call(_RESERVE, values)
        if "lease" in told["verdicts"] and self._renewed(self._reservations):
            # The store was away for longer than the lease, and nobody has taken over.
            ((told,),) = self._reservations.call(_RESERVE, values)
        if "again" in told["verdicts"]:
            # Visible is not yet durable: after a crash a commit may be seen that no standby has got. One more write.
            self._reservations.call(f"SELECT {SCHEMA}.beat(%s, false)", (self.worker,))
        self._settle(changes, told)

    def _save(self, changes: list[Change]) -> None:
        ((told,),) = self._records.call(_SAVE, (self.run, self.worker, _json(changes)))
        self._settle(changes, told)

    @contextmanager
    def _kept(self, change: Change) -> Iterator[None]:
        """While the store is away the id of what was bought is kept here: this process may end before it is back. Whoever
        finds it away keeps the ids of those that wait (``_keep_ids``), whoever comes later its own.
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
        if change.error is None and self._other_place is not None:
            self._other_place.drop(as_object(change.record, change.event, self.id_of_run)[0])

    def _keep_ids(self) -> None:
        for change in self._unsaved.copy().values():
            if isinstance(change.event, Accepted):
                self.rescue(change.record, change.event)

    def _settle(self, changes: list[Change], told: dict[str, Any]) -> None:
        money = self._money(told["standing"])
        for change, verdict in zip(changes, told["verdicts"], strict=True):
            settle_change(change, verdict, money)
            if isinstance(change.error, KnownRequestError) and (now := self._taken_in_by_another(change)) is not None:
                change.record, change.error = now, None
            if isinstance(change.error, HaltedError):
                why = str(change.error)
                self._records.call(f"SELECT {SCHEMA}.halt(%s, %s)", (self.run, why))
                ((name,),) = self._records.call(f"SELECT name FROM {SCHEMA}.run WHERE id = %s", (self.run,))
                change.error.ends_with(name, self._where)
            if isinstance(change.error, LeaseOverError):
                self.lease.is_lost = True

    def _taken_in_by_another(self, change: Change) -> Record | None:
        """The job as it stands, where somebody has written down this very purchase under this very id meanwhile."""
        mine, now = change.record, self.record(change.record.id)
        is_it = (
            now is not None
            and now.serial > mine.serial
            and (now.submitted_at, now.handle) == (mine.submitted_at, mine.handle)
        )
        return now if is_it else None

    def _money(self, told: dict[str, Any]) -> Money:
        self.top_price = max(self.top_price, told["top_price"])
        return to_money(told, believes=self.believes_estimate, earlier=self.earlier_cost)

    def _read(self, where: str, *values: Any) -> list[Record]:
        rows = self._reservations.call(_RECORDS + where, (self.run, *values))
        return [read_record(row, self.model) for row in rows]

    def _as_ours(self, error: BaseException) -> BatcheditError:
        if isinstance(error, BatcheditError):
            return error
        told = CheckpointError(f"the store {self._where} could not be written: {error!r}")
        told.__cause__ = error
        return told

    def close(self) -> None:
        """Leave the store: what this worker has is left to others. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(BatcheditError):  # its lease will be over
            self._records.call(f"SELECT {SCHEMA}.quit(%s)", (self.worker,), patience=QUIT_SECONDS)
        self._records.close()
        self._reservations.close()


def _json(changes: list[Change]) -> Jsonb:
    return Jsonb([encode_change(change) for change in changes])
