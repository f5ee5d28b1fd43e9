"""The checkpoint as a dict: for tests and for trying things out. It forgets everything when the process ends.

It passes the same behavioural suite as the SQLite one (``tests/conformance``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import anyio.lowlevel

from ..core.errors import BudgetReachedError, StaleRecordError
from ..core.lifecycle import Accepted, Completed, Errored, Event, Priced, Reserved
from ..core.model import Counts, JobKey, Line, Money, Record, State, format_usd
from ..core.policy import admits
from .money_totals import Sums, purse


class MemoryCheckpoint:
    """``ports.Checkpoint`` over a dict. ``history`` is every event saved, in order, as ``(job id, event)``."""

    def __init__(self, lines: Iterable[Line] = (), *, cap: int | None = None) -> None:
        self.history: list[tuple[int, Event]] = []
        self._cap = cap
        self.top_price = 0
        self.believes_estimate = False
        self._records: dict[int, Record] = {}
        by_key: dict[JobKey, int] = {}
        for line in lines:
            if line.job.key not in by_key:
                by_key[line.job.key] = len(by_key) + 1
                self._records[len(by_key)] = Record(id=len(by_key), job=line.job)

    async def save(self, record: Record, event: Event) -> Record:
        """See ``ports.Checkpoint.save``."""
        await anyio.lowlevel.checkpoint()
        if isinstance(event, Reserved) and not admits(self.money(), event.price):
            money = self.money()
            raise BudgetReachedError(
                f"the budget is used up: {format_usd(money.spent)} spent and {format_usd(money.held)} reserved"
            )
        if self._records[record.id].serial != record.serial:
            raise StaleRecordError(f"job {record.id} was changed by somebody else since it was read")
        saved = record._replace(serial=record.serial + 1)
        self._records[record.id] = saved
        self.history.append((record.id, event))
        if isinstance(event, Completed | Errored | Priced):
            self.top_price = max(self.top_price, event.cost or 0)
        return saved

    def rescue(self, record: Record, event: Accepted) -> None:
        """There is no disk that could fail: the event joins the history."""
        self.history.append((record.id, event))

    async def planned(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Checkpoint.planned``."""
        return await self.unsettled(after, limit, frozenset({State.PLANNED}))

    async def unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """See ``ports.Checkpoint.unsettled``."""
        await anyio.lowlevel.checkpoint()
        return [r for r in self._records.values() if r.state in states and r.id > after][:limit]

    async def unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """See ``ports.Checkpoint.unpriced``."""
        await anyio.lowlevel.checkpoint()
        over = {State.DONE, State.FAILED, State.UNCOLLECTED}
        return [
            r
            for r in self._records.values()
            if r.state in over and r.cost is not None and not r.cost_known and r.handle and r.id > after
        ][:limit]

    def records(self) -> list[Record]:
        """Every record as it stands."""
        return list(self._records.values())

    def counts(self) -> Counts:
        """Jobs by state."""
        counted: dict[State, int] = defaultdict(int)
        for record in self._records.values():
            counted[record.state] += 1
        return Counts(dict(counted))

    def money(self) -> Money:
        """The purse."""
        by_state: dict[str, Sums] = {}
        for record in self._records.values():
            jobs, spent, held, guesses, guessed = by_state.get(record.state, (0, 0, 0, 0, 0))
            guess = record.cost is not None and not record.cost_known
            by_state[record.state] = (
                jobs + 1,
                spent + record.spent,
                held + record.held,
                guesses + guess,
                guessed + (record.cost or 0) * guess,
            )
        return purse(by_state, self._cap, self.top_price, self.believes_estimate)
