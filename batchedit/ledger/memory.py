"""The ledger in memory: for tests and experiments. Nothing is kept when the process ends.

It passes the same behavioural suites as the SQLite one (``tests/ledger``).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import anyio.lowlevel
import orjson

from ..core.approved_purchases import Approval
from ..core.budget import explain_budget_refusal, may_reserve
from ..core.errors import BudgetReachedError, KnownRequestError, StaleRecordError
from ..core.events import Accepted, Event, Reserved, Reused
from ..core.model import Counts, Money, Record, ResultLine, State
from ..core.pace import AccountPace, PaceReport
from ..ports import Totals
from .memory_book import MemoryBook
from .memory_jobs import OVER_STATES
from .money_totals import read_charged_cost, sum_money
from .values import LoggedEvent


class MemoryCheckpoint(MemoryBook):
    """``ports.Ledger`` and ``book.Book`` over dicts. ``history`` is every event saved, in order, as ``(job id, event)``."""

    def __init__(self, lines: Iterable[ResultLine] = (), *, cap: int | None = None) -> None:
        super().__init__()
        self.history: list[tuple[int, Event]] = []
        self.top_price = 0
        self.believes_estimate = False
        self.earlier_cost = 0
        self._cap = cap
        intake = self.begin_intake()
        intake.add(lines)
        intake.commit("")

    # --- the pool's port ---

    shared = False
    """No other process can reach it."""
    beat_seconds = math.inf

    async def beat(self) -> int:
        """There are no other processes."""
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

    def allow(self, jobs: Iterable[int], *, price: int, times: int) -> Approval:
        """See ``book.Changes``. It holds for this process: no other one buys in the run."""
        return Approval(jobs, price=price, times=times)

    def refresh(self) -> None:
        """See ``book.Book``."""

    async def is_at_rest(self) -> bool:
        """See ``ports.Ledger``. No other process continues the work of this one."""
        return True

    async def reserve(self, record: Record, event: Reserved) -> Record:
        """See ``ports.Ledger``."""
        return await self.save(record, event)

    async def save(self, record: Record, event: Event) -> Record:
        """See ``ports.Ledger``."""
        await anyio.lowlevel.checkpoint()
        return self.save_now(record, event)

    def rescue(self, record: Record, event: Accepted) -> None:
        """There is no disk that could fail: the event is added to the history."""
        self.history.append((record.id, event))

    async def totals(self) -> Totals:
        """See ``ports.Ledger``."""
        return Totals(self.counts(), self.money())

    async def list_planned(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        await anyio.lowlevel.checkpoint()
        return [r for r in self._records.values() if self._is_to_buy(r) and r.id > after][:limit]

    async def list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        await anyio.lowlevel.checkpoint()
        return [r for r in self._records.values() if r.state in states and r.id > after][:limit]

    async def list_unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Ledger``."""
        await anyio.lowlevel.checkpoint()
        over_states = OVER_STATES - {State.FETCHED}
        return [
            r
            for r in self._records.values()
            if r.state in over_states and r.cost is not None and not r.cost_known and r.handle and r.id > after
        ][:limit]

    # --- changes ---

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record:
        """See ``book.Changes``."""
        if isinstance(event, Reserved) and not bought and not may_reserve(self.money(), event.price):
            raise BudgetReachedError(explain_budget_refusal(self.money()))
        if self._records[record.id].serial != record.serial:
            raise StaleRecordError(f"job {record.id} was changed by somebody else since it was read")
        if isinstance(event, Accepted) and (owner := self.find_owner(event.handle.request_id)) is not None:
            raise KnownRequestError(event.handle.request_id, owner)
        return self._write(record, event)

    def _write(self, record: Record, event: Event) -> Record:
        store, saved = self._store, record._replace(serial=record.serial + 1)
        if isinstance(event, Accepted | Reused):
            store.requests.setdefault(event.handle.request_id, record.id)
        if isinstance(event, Reused):
            store.reused[record.id] = event.run
        store.keep(saved)
        seq, data = len(store.log) + 1, orjson.dumps(event).decode()
        store.log.append(LoggedEvent(seq, record.id, event.at, type(event).__name__, record.state.value, data))
        self.history.append((record.id, event))
        self.top_price = max(self.top_price, read_charged_cost(event))
        return saved

    def save_all(self, changes: Sequence[tuple[Record, Event]]) -> None:
        """See ``book.Changes``."""
        store, top_price, history_length = self._store, self.top_price, len(self.history)
        state_before = dict(store.requests), dict(store.reused), list(store.log)
        records = [store.records[record.id] for record, _ in changes]
        try:
            for record, event in changes:
                self.save_now(record, event)
        except BaseException:
            store.requests, store.reused, store.log = state_before
            for record in records:
                store.keep(record)
            self.top_price = top_price
            del self.history[history_length:]
            raise

    # --- sums ---

    def records(self) -> list[Record]:
        """Every record in its current state."""
        return list(self._records.values())

    def counts(self) -> Counts:
        """See ``book.Sums``."""
        jobs_by_state: dict[State, int] = defaultdict(int)
        for record in self._records.values():
            if record.id in self._store.wanted:
                jobs_by_state[record.state] += 1
        return Counts(dict(jobs_by_state))

    def money(self) -> Money:
        """See ``book.Sums``."""
        believes = self.believes_estimate or self.earlier_cost > 0
        top_price, store = max(self.top_price, self.earlier_cost), self._store
        money = sum_money(store.sums, self._cap, top_price, believes, len(store.reused))
        return replace(money, awaits_cost=store.unpriced > 0 and not money.settled)
