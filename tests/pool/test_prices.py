"""What a job cost where its result did not say: asked for again, and a service that never tells is asked a few times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
import trio

from batchedit.core.events import CancelConfirmed, Completed, Errored, Priced, Reserved
from batchedit.core.model import Kind, Output, Problem, Record, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.pool import CHUNK, Pool
from batchedit.pool.prices import FIRST_COST_SECONDS, SILENT, ask_prices, wait_for_first_cost
from batchedit.ports import NoAnswer, PollReply, StillRunning
from tests.pool.test_pool import Service, make_governor, make_pool, virtually
from tests.support.factories import make_line, make_record

OUTPUTS = (Output("https://files.runcomfy.net/x.png"),)


@dataclass
class Tells(Service):
    """Answers each look by the job's number."""

    replies: dict[int, PollReply] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    async def poll(self, record: Record) -> PollReply:
        self.asked.append(record.id)
        await trio.sleep(0.05)
        return self.replies[record.id]


def unpriced(jobs: int) -> MemoryCheckpoint:
    """Finished jobs, each at a guess of $0.04."""
    checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, jobs + 1)])
    for n in range(1, jobs + 1):
        record = make_record(State.DONE, n)
        checkpoint._store.keep(record._replace(cost=40_000, cost_known=False))
    return checkpoint


def pool_of(service: Tells, checkpoint: MemoryCheckpoint) -> Pool:
    return make_pool(service, checkpoint, make_governor(service))


def test_a_cost_that_is_told_later_takes_the_place_of_the_guess() -> None:
    checkpoint = unpriced(3)
    service = Tells(
        replies={
            1: Completed(1.0, OUTPUTS, 70_000),
            2: Errored(1.0, Problem(Kind.FAILED, "x"), 10_000),
            3: CancelConfirmed(1.0, 0),
        }
    )

    async def main() -> None:
        await ask_prices(pool_of(service, checkpoint))

    virtually(main)
    assert [(record.cost, record.cost_known) for record in checkpoint.records()] == [
        (70_000, True),
        (10_000, True),
        (0, True),
    ]
    assert [event for _, event in checkpoint.history if not isinstance(event, Reserved | Priced)] == []
    assert checkpoint.money().guesses == 0


def test_the_first_that_is_not_told_yet_ends_the_asking() -> None:
    checkpoint = unpriced(3)
    service = Tells(replies={1: Completed(1.0, OUTPUTS, 70_000), 2: Completed(1.0, OUTPUTS)})

    async def main() -> None:
        pool = pool_of(service, checkpoint)
        await ask_prices(pool)
        assert (pool.costs_not_told, checkpoint.believes_estimate) == (1, False)

    virtually(main)
    assert service.asked == [1, 2]


@pytest.mark.parametrize(
    ("reply", "in_vain"),
    [
        (Completed(1.0, OUTPUTS), True),
        (NoAnswer(Problem(Kind.SERVICE, "busy", 502)), False),
        (StillRunning("in_progress", running=True), False),
    ],
    ids=["finished without a cost", "no answer", "running again"],
)
def test_a_service_that_never_tells_is_believed_its_estimate_and_an_outage_is_not(
    reply: PollReply, in_vain: bool
) -> None:
    checkpoint, service = unpriced(1), Tells(replies={1: reply})

    async def main() -> None:
        pool = pool_of(service, checkpoint)
        for n in range(1, SILENT + 1):
            await ask_prices(pool)
            assert checkpoint.believes_estimate is (in_vain and n >= SILENT)

    virtually(main)
    assert len(service.asked) == SILENT
    assert checkpoint.records()[0].cost == 40_000


def test_nothing_is_asked_where_every_cost_is_known() -> None:
    checkpoint, service = MemoryCheckpoint([make_line(1)]), Tells()

    async def main() -> None:
        pool = pool_of(service, checkpoint)
        await ask_prices(pool)
        await wait_for_first_cost(pool)
        assert trio.current_time() < 1.0

    virtually(main)
    assert service.asked == []


@pytest.mark.parametrize(("cost", "seconds"), [(70_000, 0.0), (None, FIRST_COST_SECONDS)])
def test_the_second_purchase_waits_until_the_first_cost_is_told_or_for_some_seconds(
    cost: int | None, seconds: float
) -> None:
    checkpoint, service = unpriced(1), Tells(replies={1: Completed(1.0, OUTPUTS, cost)})

    async def main() -> None:
        began = trio.current_time()
        await wait_for_first_cost(pool_of(service, checkpoint))
        assert trio.current_time() - began == pytest.approx(seconds + 0.05, abs=0.1)

    virtually(main)
    assert service.asked == [1]


def test_more_guesses_than_a_page_holds_are_asked_about_once_each_and_in_turn() -> None:
    """A night that was charged later has thousands: each page goes on behind the last, and each look waits for its turn."""
    jobs = 2 * CHUNK + 1
    checkpoint = unpriced(jobs)
    service = Tells(replies={n: Completed(1.0, OUTPUTS, 70_000) for n in range(1, jobs + 1)})
    turns, pages = [], []

    async def main() -> None:
        pool = pool_of(service, checkpoint)
        ask, unpriced_of = pool.governor.gets.ask, checkpoint.list_unpriced

        async def counted(look: Callable[[], Awaitable[PollReply]]) -> PollReply:
            turns.append(len(service.asked))
            return await ask(look)

        async def paged(after: int, limit: int) -> Sequence[Record]:
            pages.append((after, limit))
            return await unpriced_of(after, limit)

        pool.governor.gets.ask, checkpoint.list_unpriced = counted, paged  # type: ignore[method-assign]
        await ask_prices(pool)

    virtually(main)
    assert service.asked == list(range(1, jobs + 1))
    assert turns == list(range(jobs)), "one before each look"
    assert pages == [(0, CHUNK), (CHUNK, CHUNK), (2 * CHUNK, CHUNK)]
    assert checkpoint.money().spent == jobs * 70_000
