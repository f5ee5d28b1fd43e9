"""Ids that another process could not write down: when a pool of several looks for them. In virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import trio

from batchedit.core.approved_purchases import Approval
from batchedit.core.events import Accepted, Event, Lost, Reserved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Problem, Record, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.run_pool import collect_with_others
from batchedit.ports import PollReply, Stop
from tests.pool.test_pool import Service, make_governor, make_pool, virtually
from tests.support.factories import make_line

PROBLEM = Problem(Kind.LOST, "its worker is dead")


class Store(MemoryCheckpoint):
    """Another worker was sending job 2. It is found dead ``dead_at``, and job 2 is in doubt then."""

    shared = True
    beat_seconds = 5.0

    def __init__(self, dead_at: float) -> None:
        super().__init__([make_line(n) for n in (1, 2)])
        self.dead_at = dead_at
        self.change(2, Reserved(0.0, 10))

    def change(self, job: int, *events: Event) -> Record:
        record = self.records()[job - 1]
        for event in events:
            record = self.save_now(advance(record, event), event)
        return record

    async def beat(self) -> int:
        if trio.current_time() < self.dead_at or self.state(2) is not State.SUBMITTING:
            return 0
        self.change(2, Lost(trio.current_time(), PROBLEM))
        return 1

    async def list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """Its job is no work of this process."""
        unsettled = await super().list_unsettled(after, limit, states)
        return [record for record in unsettled if record.state is not State.SUBMITTING]

    async def is_at_rest(self) -> bool:
        return self.state(2) is not State.SUBMITTING

    def state(self, job: int) -> State:
        return self.records()[job - 1].state


@dataclass
class Watched(Service):
    """When each job was first asked about."""

    asked: dict[int, float] = field(default_factory=dict)

    async def poll(self, record: Record) -> PollReply:
        self.asked.setdefault(record.id, trio.current_time())
        return await super().poll(record)


@pytest.mark.parametrize(("dead_at", "found_at"), [(20.0, 20.0), (20.0, 400.0), (700.0, 0.0)])
def test_the_id_of_a_dead_worker_s_purchase_is_looked_for_when_it_is_taken_over_and_at_the_end(
    dead_at: float, found_at: float
) -> None:
    """This process has one job, of ten minutes. A picture is kept by the service for a while and no longer."""
    looked: list[float] = []
    kept, service = Store(dead_at), Watched(runs=600.0)

    async def main() -> None:
        pool = make_pool(service, kept, make_governor(service, concurrency=2), approval=Approval([1]))

        async def take_in() -> Sequence[Record]:
            looked.append(trio.current_time())
            if trio.current_time() < found_at or kept.state(2) is not State.IN_DOUBT:
                return ()
            return [kept.change(2, Accepted(trio.current_time(), Handle("req-late")))]

        pool.take_in = take_in
        await collect_with_others(pool, stop=Stop())

    virtually(main)
    assert (kept.state(1), kept.state(2)) == (State.DONE, State.DONE)
    assert len(looked) <= 3, "not in each poll"
    if dead_at == found_at:
        assert service.asked[2] < 600, "it waited for the end of another job, and nobody had asked about it"
