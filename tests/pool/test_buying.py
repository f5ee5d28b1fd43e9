"""The one function that spends money, ``buy``, alone: its order, what stops it, and what each answer leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from batchedit.core.approved_purchases import Approval
from batchedit.core.errors import (
    BudgetReachedError,
    CheckpointError,
    PlacesTakenError,
    PriceRoseError,
    StaleRecordError,
    StoppedError,
)
from batchedit.core.events import Accepted, Declined, Event, Lost, Pending, Priced, Refused, Reserved, Resumed
from batchedit.core.model import Handle, Kind, Money, Problem, Record, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.buying import buy
from batchedit.pool.pool import OTHERS_SECONDS, Pool, apply_event
from batchedit.pool.slots import Slot
from batchedit.ports import Permit, SubmitEvent, Totals
from tests.pool.test_pool import Notes, Service, make_governor, make_pool, virtually
from tests.support.factories import make_line, make_record

PRICE = 40_000


class Diary(MemoryCheckpoint):
    """Writes down, in one list with the service, what happens; ``refusals`` are raised by the first intentions."""

    def __init__(self, *, cap: int | None = None, jobs: int = 1) -> None:
        super().__init__([make_line(n) for n in range(1, jobs + 1)], cap=cap)
        self.diary: list[str] = []
        self.refusals: list[Exception] = []
        self.dearer_after_reserve: int | None = None

    async def save(self, record: Record, event: Event) -> Record:
        if isinstance(event, Reserved) and self.refusals:
            self.diary.append("no money")
            raise self.refusals.pop(0)
        self.diary.append(type(event).__name__)
        saved = await super().save(record, event)
        if isinstance(event, Reserved) and self.dearer_after_reserve is not None:
            self.top_price = self.dearer_after_reserve
        return saved


@dataclass
class Shop(Service):
    """Answers each POST with ``answer``, a SubmitEvent or an exception, and writes down when a connection is held."""

    answer: Any = None
    diary: list[str] = field(default_factory=list)
    on_permit: Callable[[], None] = lambda: None

    async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
        self.diary.append("POST")
        await trio.sleep(0.1)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or Accepted(trio.current_time(), Handle("req-1"))

    @asynccontextmanager
    async def post_permit(self) -> AsyncIterator[Permit]:
        self.diary.append("connection")
        self.on_permit()
        yield Permit()
        self.diary.append("connection given back")


@dataclass
class Bought:
    record: Record | None
    diary: list[str]
    pool: Pool
    slot: Slot
    kept: Record
    seconds: float
    notes: list[str]

    @property
    def halted(self) -> Exception | None:
        return self.pool.governor.switch.halted


def buy_one(
    checkpoint: Diary | None = None,
    answer: Any = None,
    *,
    before: Callable[[Pool], Any] = lambda _: None,
    meanwhile: Callable[[Pool], Awaitable[None]] | None = None,
    **changes: Any,
) -> Bought:
    """What ``buy`` made of job 1, in virtual time; an hour is too long for it."""
    results: list[Bought] = []

    async def main() -> None:
        kept = checkpoint or Diary()
        shop = Shop(answer=answer, diary=kept.diary)
        governor = make_governor(shop, concurrency=2)
        pool = make_pool(shop, kept, governor, **({"price": PRICE} | changes))
        slot = Slot(governor.slots)
        before(pool)
        began = trio.current_time()
        with trio.fail_after(3600):
            async with trio.open_nursery() as nursery:
                if meanwhile is not None:
                    nursery.start_soon(meanwhile, pool)
                record = await buy(pool, kept.records()[0], slot)
                seconds = trio.current_time() - began
                nursery.cancel_scope.cancel()
        results.append(Bought(record, kept.diary, pool, slot, kept.records()[0], seconds, pool.observer.told))  # type: ignore[attr-defined]

    virtually(main)
    return results[0]


def on_the_wire(bought: Bought) -> int:
    return bought.pool.governor.posts._on_the_wire


def test_everything_is_waited_for_before_the_intention_and_nothing_between_it_and_the_post() -> None:
    kept = Diary()

    async def prepare(record: Record) -> None:
        kept.diary.append("prepared")

    bought = buy_one(kept, prepare=prepare)
    assert bought.diary == [
        "connection",
        "prepared",
        "Reserved",
        "POST",
        "Accepted",
        "connection given back",
    ]
    assert bought.slot.is_taken
    assert bought.kept.reserved == PRICE
    assert on_the_wire(bought) == 0


def test_a_bought_job_is_first_looked_at_when_it_may_be_done_and_not_at_once() -> None:
    record = buy_one().record
    assert record is not None
    assert record.state is State.WAITING
    assert record.accepted_at is not None
    assert record.due_at > record.accepted_at, "a look at once is a GET for nothing, one in the past is many"


def test_a_job_that_nobody_said_yes_to_is_not_bought() -> None:
    bought = buy_one(approval=Approval(()))
    assert (bought.record, bought.diary, bought.slot.is_taken) == (None, [], False)


def test_a_run_that_has_stopped_buys_nothing_more() -> None:
    bought = buy_one(before=lambda pool: pool.governor.switch.halt(StoppedError("enough")))
    assert (bought.record, bought.diary) == (None, [])


def test_a_stop_while_it_had_its_turn_sends_nothing_and_leaves_no_post_on_the_wire() -> None:
    """One that stays counted there keeps the places of a limited account taken for the rest of the run."""

    def stop_at_the_turn(pool: Pool) -> None:
        turn = pool.governor.posts.await_turn

        async def then_stop(notice: Callable[[], None]) -> float:
            taken_at = await turn(notice)
            pool.governor.switch.halt(StoppedError("enough"))
            return taken_at

        pool.governor.posts.await_turn = then_stop  # type: ignore[method-assign]

    bought = buy_one(before=stop_at_the_turn)
    assert (bought.record, bought.diary, on_the_wire(bought)) == (None, ["connection", "connection given back"], 0)


def test_a_price_above_the_one_that_was_said_yes_to_stops_the_buying() -> None:
    bought = buy_one(approval=Approval([1], price=PRICE - 1))
    assert (bought.record, "POST" in bought.diary, "Reserved" in bought.diary) == (None, False, False)
    assert isinstance(bought.halted, PriceRoseError)
    assert str(bought.halted) == "a picture was charged $0.04, and the price that was said yes to is $0.039999"
    assert on_the_wire(bought) == 0


def test_a_price_that_was_said_yes_to_is_paid_to_the_last_micro_dollar() -> None:
    bought = buy_one(approval=Approval([1], price=PRICE))
    assert (bought.kept.state, bought.halted) == (State.WAITING, None)


@pytest.mark.parametrize(("estimate", "charged", "held"), [(40_000, 70_000, 70_000), (40_000, 10_000, 40_000)])
def test_so_much_is_put_aside_as_the_estimate_or_the_dearest_seen(estimate: int, charged: int, held: int) -> None:
    kept = Diary()
    kept.top_price = charged
    assert buy_one(kept, price=estimate).kept.reserved == held


def test_a_rise_that_is_seen_with_the_intention_on_disk_sends_nothing_and_holds_nothing() -> None:
    kept = Diary()
    kept.dearer_after_reserve = PRICE + 1
    bought = buy_one(kept, approval=Approval([1], price=PRICE))
    assert bought.diary == ["connection", "Reserved", "Declined", "connection given back"]
    assert isinstance(bought.halted, PriceRoseError)
    assert bought.record == bought.kept
    assert (bought.kept.state, bought.kept.reserved, on_the_wire(bought)) == (State.PLANNED, 0, 0)
    assert bought.kept.problem is not None
    assert bought.kept.problem.kind is Kind.UNREACHABLE
    assert bought.pool.approval.may_buy_job(1), "nothing was bought, so the yes still stands"
    assert "dearer" in bought.kept.problem.message


def test_a_job_that_a_halt_kept_from_being_sent_was_said_to_be_too_dear() -> None:
    """The balance was used up (402) while its intention was written down, and the picture cost what it had always cost."""
    kept = Diary()
    pools: list[Pool] = []
    write = kept.reserve

    async def reserve(record: Record, event: Reserved) -> Record:
        written = await write(record, event)
        pools[0].governor.switch.halt(StoppedError("no money is left"))
        return written

    kept.reserve = reserve  # type: ignore[method-assign]
    bought = buy_one(kept, before=pools.append, approval=Approval([1], price=PRICE))
    assert "POST" not in bought.diary
    assert bought.kept.problem is not None
    assert bought.kept.problem.message == "not sent: buying stopped meanwhile"


def test_an_unforeseen_error_while_the_post_was_out_is_a_doubt_and_no_second_post() -> None:
    bought = buy_one(answer=RuntimeError("a defect of ours"))
    assert bought.record == bought.kept
    assert (bought.kept.state, bought.kept.reserved) == (State.IN_DOUBT, PRICE)
    assert bought.kept.problem is not None
    assert bought.kept.problem.kind is Kind.LOST
    assert "a defect of ours" in bought.kept.problem.message
    assert bought.diary.count("POST") == 1
    assert not bought.pool.approval.may_buy_job(1)
    assert on_the_wire(bought) == 0


AUTH = Problem(Kind.AUTH, "token refused", 401)


@pytest.mark.parametrize(
    ("answer", "state", "again"),
    [
        (Accepted(1.0, Handle("req-9")), State.WAITING, False),
        (Lost(1.0, Problem(Kind.LOST, "no answer")), State.IN_DOUBT, False),
        (Refused(1.0, Problem(Kind.REFUSED, "bad input", 422)), State.FAILED, False),
        (Declined(1.0, AUTH), State.PLANNED, True),
    ],
    ids=["accepted", "lost", "refused", "declined"],
)
def test_a_yes_is_used_up_by_all_that_may_have_been_bought(answer: SubmitEvent, state: State, again: bool) -> None:
    bought = buy_one(answer=answer)
    assert (bought.kept.state, bought.pool.approval.may_buy_job(1)) == (state, again)


def test_an_answer_with_the_id_of_another_purchase_is_a_doubt_and_never_sent_again() -> None:
    kept = Diary(jobs=2)

    def sold(_: Pool) -> None:
        other = kept.records()[1]
        other = kept.save_now(other._replace(state=State.SUBMITTING, reserved=PRICE), Reserved(0.0, PRICE))
        kept.save_now(other._replace(state=State.WAITING, handle=Handle("req-9")), Accepted(0.0, Handle("req-9")))

    bought = buy_one(kept, Accepted(1.0, Handle("req-9")), before=sold)
    assert (bought.kept.state, bought.kept.reserved, bought.kept.handle) == (State.IN_DOUBT, PRICE, None)
    assert bought.kept.problem is not None
    assert bought.kept.problem.kind is Kind.LOST
    assert "req-9 is already that of job-2" in bought.kept.problem.message
    assert not bought.pool.approval.may_buy_job(1)


def test_a_halt_while_the_post_is_out_does_not_cut_it_off() -> None:
    """Cut off there, a job that the service takes would be in doubt, and its place in the queue unknown."""

    async def stop(pool: Pool) -> None:
        await trio.sleep(0.05)
        assert pool.checkpoint.diary[-1] == "POST"  # type: ignore[attr-defined]
        pool.governor.switch.halt(StoppedError("enough"))

    bought = buy_one(meanwhile=stop)
    assert (bought.kept.state, isinstance(bought.halted, StoppedError)) == (State.WAITING, True)


def test_a_halt_ends_a_wait_for_a_connection() -> None:
    async def stop(pool: Pool) -> None:
        await trio.sleep(1.0)
        pool.governor.switch.halt(StoppedError("enough"))

    def fill(pool: Pool) -> None:
        for _ in range(2):
            pool.governor.slots.take_now(Slot(pool.governor.slots))

    bought = buy_one(before=fill, meanwhile=stop)
    assert (bought.record, bought.diary, bought.seconds) == (None, [], 1.0)


# --- the ledger fails -----------------------------------------------------------------------------


class Breaks(Diary):
    """Its disk refuses one kind of event."""

    def __init__(self, what: type[Event], error: BaseException) -> None:
        super().__init__()
        self.what, self.error = what, error

    async def save(self, record: Record, event: Event) -> Record:
        if isinstance(event, self.what):
            raise self.error
        return await super().save(record, event)


@pytest.mark.parametrize("error", [CheckpointError("the disk is full"), KeyboardInterrupt()], ids=["disk", "Ctrl-C"])
def test_an_id_that_could_not_be_written_down_is_rescued(error: BaseException) -> None:
    """Thrown away, the picture is paid for and nobody can collect it: the next start would buy it again."""
    kept = Breaks(Accepted, error)
    halted: list[Pool] = []
    with pytest.raises(BaseExceptionGroup) as raised:
        buy_one(kept, Accepted(1.0, Handle("req-9")), before=halted.append)
    assert raised.group_contains(type(error))
    assert kept.history[-1] == (1, Accepted(1.0, Handle("req-9")))
    assert halted[0].governor.switch.halted is (error if isinstance(error, CheckpointError) else None)


def test_a_failing_disk_stops_the_buying_of_all_before_its_error_is_on_its_way_up() -> None:
    error = CheckpointError("the disk is full")
    kept = Breaks(Reserved, error)
    pools: list[Pool] = []
    with pytest.raises(BaseExceptionGroup):
        buy_one(kept, before=pools.append)
    assert pools[0].governor.switch.halted is error
    assert "POST" not in kept.diary
    assert kept.history == [], "an intention is not rescued: nothing was sent"


def test_what_another_worker_did_first_stops_nobody_where_it_is_no_purchase() -> None:
    """A cost or a second look that another process wrote down meanwhile; a stale purchase is an error wherever it is."""
    stale = StaleRecordError("somebody else moved it")

    async def changed(event: Event, *, shared: bool) -> Exception | None:
        kept = Breaks(type(event), stale)
        kept.shared = shared
        shop = Shop(diary=kept.diary)
        pool = make_pool(shop, kept, make_governor(shop), price=PRICE)
        state = State.PLANNED if isinstance(event, Reserved) else State.UNCOLLECTED
        with pytest.raises(StaleRecordError):
            await apply_event(pool, make_record(state), event)
        return pool.governor.switch.halted

    async def main() -> None:
        for event in (Resumed(1.0), Priced(1.0, PRICE)):
            assert await changed(event, shared=True) is None
            assert await changed(event, shared=False) is stale
        assert await changed(Reserved(1.0, PRICE), shared=True) is stale

    virtually(main)


def test_an_intention_is_reserved_an_answer_saved_and_a_look_kept_in_memory_alone() -> None:
    """A shared store checks cap and leave in ``reserve``; saved past it, an intention would be checked by nobody."""

    class Asked(Diary):
        async def reserve(self, record: Record, event: Reserved) -> Record:
            self.diary.append("reserve")
            return await super().reserve(record, event)

    seen: list[str] = []

    class Watcher(Notes):
        def saw(self, record: Record, event: Event) -> None:
            seen.append(f"{record.state} {type(event).__name__}")

    async def main() -> None:
        kept = Asked()
        shop = Shop(diary=kept.diary)
        pool = make_pool(shop, kept, make_governor(shop), observer=Watcher())
        record = kept.records()[0]
        for event in (Reserved(1.0, PRICE), Accepted(2.0, Handle("req-1")), Pending(3.0, 8.0)):
            record = await apply_event(pool, record, event)
        assert kept.diary == ["reserve", "Reserved", "Accepted"]
        assert (record.polled_at, kept.records()[0].polled_at) == (3.0, 0.0)
        assert seen == ["submitting Reserved", "waiting Accepted", "waiting Pending"]

    virtually(main)


# --- no money at the moment -----------------------------------------------------------------------

NO_MONEY = BudgetReachedError("the budget is used up")


def test_a_budget_that_is_used_up_is_asked_twice_and_then_stops_the_run() -> None:
    """Once more, since the last one in flight may have ended between the refusal and the sums."""
    kept = Diary(cap=PRICE - 1)
    bought = buy_one(kept)
    assert bought.record is None
    assert "POST" not in bought.diary
    assert isinstance(bought.halted, BudgetReachedError)
    assert bought.diary.count("connection") == 2
    assert (bought.slot.is_taken, on_the_wire(bought)) == (False, 0)


def test_a_refusal_after_one_that_had_somebody_in_flight_is_asked_about_once_more() -> None:
    """In flight at the first refusal, over at the second: its money is free, and the third would have been admitted."""

    class OneInFlightAtFirst(Diary):
        asked = 0

        async def totals(self) -> Totals:
            self.asked += 1
            totals = await super().totals()
            return Totals(totals.counts, Money(in_flight=1 if self.asked == 1 else 0))

    kept = OneInFlightAtFirst()
    kept.refusals = [NO_MONEY, NO_MONEY]

    async def ends(pool: Pool) -> None:
        await trio.sleep(5.0)
        pool.governor.slots.settled.give()

    bought = buy_one(kept, meanwhile=ends)
    assert (bought.kept.state, bought.halted) == (State.WAITING, None)
    assert bought.seconds == pytest.approx(5.1, abs=0.3), "it waits for the other's money, and not longer"
    assert on_the_wire(bought) == 0


class Shared(Diary):
    shared = True

    async def totals(self) -> Totals:
        return Totals((await super().totals()).counts, Money(in_flight=1))


def test_money_that_another_worker_sets_free_is_noticed_without_a_signal() -> None:
    kept = Shared()
    kept.refusals = [NO_MONEY, NO_MONEY, NO_MONEY]
    bought = buy_one(kept)
    assert bought.kept.state is State.WAITING
    assert bought.seconds == pytest.approx(3 * OTHERS_SECONDS + 0.1, abs=0.3)


def test_nobody_else_sets_money_free_in_a_ledger_of_ones_own() -> None:
    """Looked at twice a second for nothing, each of 500 who wait for money would have asked for the sums."""

    class Own(Shared):
        shared = False

    kept = Own()
    kept.refusals = [NO_MONEY]

    async def ends(pool: Pool) -> None:
        await trio.sleep(100.0)
        pool.governor.slots.settled.give()

    assert buy_one(kept, meanwhile=ends).seconds == pytest.approx(100.1, abs=0.3)


def test_places_that_other_runs_have_are_waited_for_and_stop_nobody() -> None:
    kept = Diary()
    kept.refusals = [PlacesTakenError("all places are taken") for _ in range(4)]
    bought = buy_one(kept)
    assert (bought.kept.state, bought.halted) == (State.WAITING, None)
    assert bought.seconds == pytest.approx(4 * OTHERS_SECONDS + 0.1, abs=0.3)


def test_a_cost_that_may_still_be_told_is_waited_for_and_stops_nobody() -> None:
    class AwaitsCost(Diary):
        asked = 0

        async def totals(self) -> Totals:
            self.asked += 1
            return Totals((await super().totals()).counts, Money(awaits_cost=self.asked < 9, guesses=0))

    kept = AwaitsCost()
    kept.refusals = [NO_MONEY, NO_MONEY]
    bought = buy_one(kept)
    assert (bought.kept.state, bought.halted) == (State.WAITING, None)
    assert bought.seconds >= 5.0, "it asks for the cost, and waits between two questions"


def test_who_is_short_of_money_gives_the_place_back_and_wakes_nobody_else_who_is() -> None:
    kept = Diary()
    kept.refusals = [PlacesTakenError("all places are taken") for _ in range(3)]
    woken: list[float] = []

    async def also_waits(pool: Pool) -> None:
        await pool.governor.slots.settled.wait()
        woken.append(trio.current_time())

    bought = buy_one(kept, meanwhile=also_waits)
    assert bought.kept.state is State.WAITING
    assert woken == []
