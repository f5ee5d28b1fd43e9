"""By how much a cap can be passed, whatever the service charges: by what nobody could know when it was bought."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from batchedit.core.errors import BudgetReachedError
from batchedit.core.events import Accepted, Completed, Priced, Reserved, Saved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Output, Record, SavedFile, State
from batchedit.ledger.memory import MemoryCheckpoint
from tests.support.factories import make_line
from tests.support.share import examples

OUTPUTS = (Output("https://files.runcomfy.net/1.png"),)
FILES = (SavedFile("files/1.png", "ab" * 32, 1, 1, 1, ""),)
prices = st.integers(1, 500)


class Service:
    """A run against a service whose price rises behind the ``rise``-th job that it takes. All prices in micro-dollars.

    ``first_untold``: how many were bought and without a known cost at most while no cost at all had been told;
    ``rise_untold``: how many were bought at the later price before that one was told.
    """

    def __init__(self, cap: int, estimate: int, first: int, later: int, rise: int, earlier: int) -> None:
        self.checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, 41)], cap=cap)
        self.checkpoint.earlier_cost = earlier
        self.estimate, self.first, self.later, self.rise = estimate, first, later, rise
        self.charged: dict[int, int] = {}
        self.first_untold = self.rise_untold = 0

    async def save(self, record: Record, event: Any) -> Record:
        return await self.checkpoint.save(advance(record, event), event)

    async def buy_one(self) -> bool:
        """Reserve and submit the next job, as the pool does; False if there is none or the budget refuses it."""
        for record in await self.checkpoint.list_planned(0, 1):
            price = max(self.estimate, self.checkpoint.top_price, self.checkpoint.earlier_cost)
            try:
                sent = await self.save(record, Reserved(1.0, price))
            except BudgetReachedError:
                return False
            self.charged[record.id] = self.first if len(self.charged) < self.rise else self.later
            await self.save(sent, Accepted(2.0, Handle(f"req-{record.id}")))
            return True
        return False

    async def end(self, record: Record, *, tells: bool) -> None:
        """A job finishes; its cost may be told with the result or later."""
        cost = self.charged[record.id]
        if record.state is State.WAITING:
            record = await self.save(record, Completed(3.0, OUTPUTS, cost if tells else None))
            await self.save(record, Saved(4.0, FILES))
        elif tells:
            await self.save(record, Priced(5.0, cost))

    def untold(self) -> list[Record]:
        """What was bought and has no known cost; counted on the way."""
        records = self.checkpoint.records()
        without_cost = [r for r in records if r.id in self.charged and not r.cost_known]
        if not self.checkpoint.top_price:
            self.first_untold = max(self.first_untold, len(without_cost))
        if not any(r.cost_known and r.cost == self.later for r in records):
            self.rise_untold = max(self.rise_untold, sum(self.charged[r.id] == self.later for r in without_cost))
        return without_cost


@settings(deadline=None, max_examples=examples(300))
@given(
    seed=st.integers(0, 2**32),
    cap=st.integers(1, 3000),
    estimate=prices,
    first=prices,
    later=prices,
    rise=st.integers(1, 40),
    earlier=st.sampled_from([0, 1, 40]),
)
def test_a_cap_is_passed_by_the_first_surprise_or_by_what_was_in_flight_at_a_rise(
    seed: int, cap: int, estimate: int, first: int, later: int, rise: int, earlier: int
) -> None:
    service, rng = Service(cap, estimate, first, max(first, later), rise, earlier), Random(seed)

    async def run() -> None:
        bought = True
        while bought or service.untold():
            bought = await service.buy_one()
            untold = service.untold()
            if untold and (not bought or rng.random() < 0.5):
                await service.end(rng.choice(untold), tells=rng.random() < 0.7)

    anyio.run(run)
    assert earlier or service.first_untold <= 1, "one picture is under way until a real cost is told"
    known = max(estimate, earlier)
    surprise = max(0, first - known) * service.first_untold
    rise_of = max(0, service.later - max(first, known)) * service.rise_untold
    assert sum(service.charged.values()) - cap <= surprise + rise_of
