"""The governor on the event loop, in virtual time: places, the switch, deadlines, and an outage that costs a handful."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from batchedit.core.approved_purchases import Approval
from batchedit.core.errors import BatcheditError, BudgetReachedError, ServiceUnavailableError, StoppedError, TokenError
from batchedit.core.events import Accepted, CancelConfirmed, Completed, Declined, Event, Lost, Refused, Reserved
from batchedit.core.model import Handle, Kind, Output, Problem, Record, SavedFile, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.collecting import cancel
from batchedit.pool.governor import Governor, PurchaseLimits
from batchedit.pool.pool import Pool
from batchedit.pool.posts import NEVER_REACHED_SECONDS, OUTAGE_SECONDS
from batchedit.pool.slots import Slot
from batchedit.pool.stop_rule import PAUSED, StopRule
from batchedit.pool.worker import run_all
from batchedit.ports import CancelReply, NoAnswer, Permit, PollReply, StillRunning, SubmitEvent, Totals
from batchedit.scheduling.wire_window import TOP
from tests.support.factories import make_line, make_record
from tests.support.share import whole_or
from tests.support.troubled import Bucket
from tests.support.troubled import Service as Troubled

LOST = Problem(Kind.LOST, "no answer")
NOBODY = Problem(Kind.UNREACHABLE, "connection refused")


@dataclass
class Service:
    """Takes a tenth of a second for a POST and ``runs`` seconds for a job. ``submits`` says what a POST gets at a time."""

    submits: Callable[[float], str] = lambda now: "ok"
    probes: Callable[[float], bool] = lambda now: True
    runs: float = 20.0
    trip: float = 0.1
    places: int = TOP
    questions: Callable[[float], str] = lambda now: "ok"
    posts: list[float] = field(default_factory=list)
    probed: list[float] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self._permits = trio.Semaphore(self.places)

    async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
        now = trio.current_time()
        self.posts.append(now)
        request_id = f"req-{len(self.posts)}"
        what = self.submits(now)
        await trio.sleep(60.0 if what == "hang" else self.trip)
        at = trio.current_time()
        match what:
            case "lost" | "hang":
                return Lost(at, LOST)
            case "refused":
                return Refused(at, Problem(Kind.REFUSED, "bad input", 422))
            case "unreachable":
                return Declined(at, NOBODY)
            case "auth":
                return Declined(at, Problem(Kind.AUTH, "token refused", 401))
            case "balance":
                return Declined(at, Problem(Kind.BALANCE, "no money", 402))
            case "429":
                return Declined(at, Problem(Kind.THROTTLED, "slow down", 429), at + 30.0)
            case "busy":
                return Declined(at, Problem(Kind.THROTTLED, "busy", 503), at + 1.0)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        return Accepted(at, Handle(request_id))

    async def poll(self, record: Record) -> PollReply:
        what = self.questions(trio.current_time())
        await trio.sleep(60.0 if what == "hang" else 0.05)
        if what != "ok":
            return NoAnswer(NOBODY)
        now = trio.current_time()
        assert record.accepted_at is not None
        if now - record.accepted_at < self.runs:
            return StillRunning("in_progress", running=True)
        self.in_flight -= 1
        return Completed(now, (Output("https://files.runcomfy.net/x.png"),), 40_000)

    async def cancel(self, record: Record) -> CancelReply:
        raise AssertionError("nobody cancels here")

    async def probe(self) -> bool:
        self.probed.append(trio.current_time())
        await trio.sleep(0.05)
        return self.probes(trio.current_time())

    @asynccontextmanager
    async def post_permit(self) -> AsyncIterator[Permit]:
        async with self._permits:
            yield Permit()


class Disk:
    async def save(self, record: Record, output: Output, index: int) -> SavedFile:
        await trio.sleep(0.01)
        return SavedFile(f"files/{record.job.name}.png", "ab" * 32, 10, 1, 1, output.url)


@dataclass
class Notes:
    told: list[str] = field(default_factory=list)

    def saw(self, record: Record, event: Event) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None:
        self.told.append(name)


def virtually(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def make_governor(service: Service, notes: Notes | None = None, **pace: object) -> Governor:
    return Governor(
        PurchaseLimits(**pace),  # type: ignore[arg-type]
        api=service,
        observer=notes or Notes(),
        clock=trio.current_time,
        rng=Random(7),
    )


def make_pool(service: Service, checkpoint: MemoryCheckpoint, governor: Governor, **changes: Any) -> Pool:
    values: dict[str, Any] = {
        "api": service,
        "checkpoint": checkpoint,
        "files": Disk(),
        "observer": Notes(),
        "governor": governor,
        "clock": trio.current_time,
        "rng": Random(7),
        "approval": Approval(record.id for record in checkpoint.records()),
    }
    return Pool(**(values | changes))


@dataclass
class Ended:
    seconds: float
    halted: BatcheditError | None
    states: dict[State, int]
    notes: list[str]


def run(service: Service, jobs: int, **pace: object) -> Ended:
    """A whole run of the pool against ``service``, in virtual time."""
    results: list[Ended] = []

    async def main() -> None:
        began, checkpoint, notes = (
            trio.current_time(),
            MemoryCheckpoint([make_line(n) for n in range(1, jobs + 1)]),
            Notes(),
        )
        governor = make_governor(service, notes, **pace)
        pool = make_pool(service, checkpoint, governor, observer=notes, price=40_000)
        await run_all(pool)
        results.append(
            Ended(trio.current_time() - began, governor.switch.halted, checkpoint.counts().by_state, notes.told)
        )

    virtually(main)
    return results[0]


# --- what a person wishes -------------------------------------------------------------------------


def test_a_pause_lets_no_post_out_and_what_was_bought_is_collected() -> None:
    service, checkpoint = Service(), MemoryCheckpoint([make_line(n) for n in range(1, 7)])

    async def main() -> None:
        governor = make_governor(service, concurrency=2)
        pool = make_pool(service, checkpoint, governor, price=40_000)

        async def person() -> None:
            await trio.sleep(5)
            governor.switch.pause()
            governor.set_concurrency(5)  # a higher speed buys nothing meanwhile
            await trio.sleep(whole_or(50_000.0, OUTAGE_SECONDS + 1000.0))
            assert (len(service.posts), checkpoint.counts().by_state) == (2, {State.DONE: 2, State.PLANNED: 4})
            assert governor.posts.describe_pause() == PAUSED
            governor.switch.go_on()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(person)
            await run_all(pool)

    virtually(main)
    assert (len(service.posts), service.most, checkpoint.counts().by_state) == (6, 4, {State.DONE: 6})


def test_a_paused_run_ends_when_its_time_has_come() -> None:
    service, checkpoint = Service(), MemoryCheckpoint([make_line(1)])

    async def main() -> None:
        governor = make_governor(service, until=trio.current_time() + 600)
        governor.switch.pause()
        await run_all(make_pool(service, checkpoint, governor))
        assert isinstance(governor.switch.halted, StoppedError)

    virtually(main)
    assert service.posts == []


# --- what the bar says ----------------------------------------------------------------------------


def watched(service: Service | Troubled, jobs: int, **pace: object) -> dict[int, str]:
    """What the run waits for, by the second in which it is looked at."""
    pauses: dict[int, str] = {}

    async def main() -> None:
        governor = make_governor(service, **pace)
        checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, jobs + 1)])

        async def person() -> None:
            began = trio.current_time()
            while True:
                pauses[round(trio.current_time() - began)] = governor.describe_pause()
                await trio.sleep(1.0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(person)
            await run_all(make_pool(service, checkpoint, governor, price=40_000))
            nursery.cancel_scope.cancel()

    virtually(main)
    return pauses


def test_a_service_that_took_no_job_and_asked_for_a_second_each_time_was_not_waited_for_on_the_bar() -> None:
    """The bar said how much time was left, and *waiting* in flickers, for each refusal's own second was over at once."""
    pauses = watched(Service(submits=during(30.0, 90.0, "busy")), 200, concurrency=10)
    waited = [second for second, text in pauses.items() if text]
    assert waited[0] - 30 <= 16, "a job has to end first, for all places are taken"
    assert waited == list(range(waited[0], waited[-1] + 1)), "and it stays so"
    assert 90 <= waited[-1] <= 93


@pytest.mark.parametrize("what", ["hang", "unreachable"])
def test_a_service_that_answers_no_question_while_all_places_are_taken_is_waited_for(what: str) -> None:
    pauses = watched(Service(questions=during(30.0, 90.0, what)), 60, concurrency=10)
    waited = [second for second, text in pauses.items() if text]
    assert 40 <= waited[0] <= 56
    assert waited == list(range(waited[0], waited[-1] + 1))
    assert 90 <= waited[-1] <= 150, "what hangs is heard of after a minute"
    assert re.fullmatch(r"the service has not answered for \d\d s", pauses[waited[0]])


@pytest.mark.parametrize(
    "troubled",
    [
        lambda: Troubled(Random(1), at_once=10, runs=40.0),
        lambda: Troubled(Random(1), limit=Bucket(0.2, 5), runs=40.0),
        lambda: Troubled(Random(1), limit=Bucket(20.0, 5), runs=2.0),
    ],
    ids=["at an account's limit", "at twelve a minute", "at twenty a second"],
)
def test_who_is_kept_to_a_limit_buys_and_does_not_wait(troubled: Callable[[], Troubled]) -> None:
    pauses = watched(troubled(), 100, concurrency=40)
    waited = {second: text for second, text in pauses.items() if text and not text.startswith("asked to wait")}
    assert len(waited) <= 0.05 * len(pauses), waited


# --- an outage ------------------------------------------------------------------------------------


def during(begin: float, end: float, what: str) -> Callable[[float], str]:
    """``what`` from ``begin`` to ``end`` seconds after the first time that anybody asks."""
    first: list[float] = []

    def at(now: float) -> str:
        first.append(now)
        return what if begin <= now - first[0] < end else "ok"

    return at


@pytest.mark.parametrize("seconds", whole_or([60.0, 600.0, 4 * 3600.0], [60.0, 4 * 3600.0]))
@pytest.mark.parametrize("what", ["lost", "hang"])
@pytest.mark.parametrize("gets", ["down too", "fine"])
def test_an_outage_costs_a_handful_of_doubts_and_is_survived(seconds: float, what: str, gets: str) -> None:
    """Of 400 jobs at most a dozen are in doubt, however long it lasts; all others are done, without a person."""
    state = during(30.0, 30.0 + seconds, what)
    service = Service(submits=state)
    if gets == "down too":
        service.probes = lambda now: state(now) == "ok"
    jobs = whole_or(400, 200)
    ended = run(service, jobs, concurrency=50)
    doubts = ended.states.get(State.IN_DOUBT, 0)
    # Those on the wire when it began, and one for each probing POST; the pauses between them double up to five minutes.
    probing = 0 if gets == "down too" else 5 + seconds / 225
    assert 1 <= doubts <= 12 + probing
    assert ended.halted is None
    assert ended.states == {State.IN_DOUBT: doubts, State.DONE: jobs - doubts}
    if what == "lost":  # what hangs for a minute is heard of when a short outage is over
        assert ended.notes == ["breaker_open", "breaker_closed"]
    assert len(service.posts) == jobs


def test_what_never_left_this_machine_costs_no_doubt_at_all() -> None:
    state = during(30.0, 630.0, "unreachable")
    service = Service(submits=state)
    service.probes = lambda now: state(now) == "ok"
    ended = run(service, 300, concurrency=20)
    assert ended.states == {State.DONE: 300}
    assert ended.halted is None


def test_a_service_that_was_never_reached_is_given_up_after_a_minute() -> None:
    ended = run(Service(submits=lambda _: "unreachable", probes=lambda _: False), 50, concurrency=20)
    assert isinstance(ended.halted, ServiceUnavailableError)
    assert NEVER_REACHED_SECONDS <= ended.seconds <= NEVER_REACHED_SECONDS + 60
    assert ended.states == {State.PLANNED: 50}


def test_one_that_has_answered_is_waited_for_through_the_night() -> None:
    state = during(30.0, 10**9, "lost")
    ended = run(Service(submits=state, probes=lambda now: state(now) == "ok"), 500, concurrency=20)
    assert isinstance(ended.halted, ServiceUnavailableError)
    assert OUTAGE_SECONDS <= ended.seconds <= OUTAGE_SECONDS + 1000
    assert ended.states[State.IN_DOUBT] <= 12
    assert ended.states[State.PLANNED] > 0
    assert not {State.WAITING, State.FETCHED, State.FAILED} & set(ended.states), "what was bought is collected first"


# --- stops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "error"), [("auth", TokenError), ("balance", StoppedError)])
def test_an_account_stop_sends_everybody_home_and_collects(what: str, error: type[BatcheditError]) -> None:
    ended = run(Service(submits=during(10.0, 10**9, what)), 200, concurrency=10)
    assert type(ended.halted) is error
    assert set(ended.states) == {State.DONE, State.PLANNED}
    assert ended.notes == ["halted"], "the breaker is none of its business"
    assert ended.seconds < 60


def test_until_a_time_that_has_passed_buys_nothing() -> None:
    service = Service()
    ended = run(service, 10, until=-1.0)
    assert isinstance(ended.halted, StoppedError)
    assert (service.posts, ended.states) == ([], {State.PLANNED: 10})


def test_until_a_time_to_come_buys_until_then_and_collects() -> None:
    service = Service()
    ended = run(service, 500, concurrency=10, until=100.0)
    assert isinstance(ended.halted, StoppedError)
    assert max(service.posts) < 100.0 < ended.seconds
    assert ended.states == {State.DONE: len(service.posts), State.PLANNED: 500 - len(service.posts)}


def test_rotten_input_stops_after_the_first_twenty() -> None:
    ended = run(Service(submits=lambda _: "refused"), 500, concurrency=10)
    assert isinstance(ended.halted, StoppedError)
    assert 20 <= ended.states[State.FAILED] <= 30
    assert "breaker_open" not in ended.notes


def test_refusals_in_a_row_do_not_open_the_breaker() -> None:
    ended = run(Service(submits=lambda _: "refused"), 100, concurrency=10, stop_rule=StopRule(count=10**6))
    assert ended.states == {State.FAILED: 100}
    assert ended.notes == []


def test_a_429_holds_all_of_them() -> None:
    service = Service(submits=during(5.0, 25.0, "429"), trip=0.01)
    ended = run(service, 200, concurrency=20)
    assert ended.states == {State.DONE: 200}
    gaps = [after - before for before, after in zip(service.posts, service.posts[1:], strict=False)]
    assert max(gaps) >= 30.0, "it named thirty seconds"


# --- places ---------------------------------------------------------------------------------------


def test_never_more_in_flight_than_was_said() -> None:
    service = Service()
    assert run(service, 200, concurrency=7).states == {State.DONE: 200}
    assert service.most == 7


def test_a_crowd_that_sleeps_is_called_when_the_first_ends_tell_of_the_others() -> None:
    """2,000 GETs at 200/s take 10 s. Who slept on until his own time would be looked at up to 20 s late."""
    jobs = whole_or(2000, 1000)
    ended = run(Service(runs=60.0, trip=0.005), jobs, concurrency=jobs)
    assert ended.states == {State.DONE: jobs}
    assert ended.seconds < 60.0 + 2.5 + 10.0


def test_an_interval_that_was_asked_for_is_slept_through() -> None:
    service = Service(runs=60.0)
    assert run(service, 100, concurrency=100, poll_seconds=50.0).seconds > 90.0


@pytest.mark.parametrize("concurrency", [0, 40])
def test_the_last_jobs_of_a_run_are_looked_at_more_often(concurrency: int) -> None:
    async def main() -> None:
        governor = make_governor(Service(), concurrency=concurrency)
        slots = [Slot(governor.slots) for _ in range(40)]
        for slot in slots:
            governor.slots.take_now(slot)
        for seconds in range(10, 110):
            governor.lifetimes.finished(float(seconds))

        def gap() -> float:
            return sum(governor.gets.schedule_first_poll(slots[0], 0.0) for _ in range(50)) / 50

        while_buying = gap()
        governor.gets.note_all_bought()
        assert gap() == pytest.approx(while_buying, rel=0.05)
        for slot in slots[1:]:
            slot.free()
        assert gap() < 0.97 * while_buying

    virtually(main)


def test_first_come_first_served_and_a_place_is_given_back_once() -> None:
    async def main() -> None:
        governor = make_governor(Service(), concurrency=2)
        slots = [Slot(governor.slots) for _ in range(5)]
        order: list[int] = []

        async def take(n: int) -> None:
            await governor.slots.take(slots[n])
            order.append(n)

        async with trio.open_nursery() as nursery:
            for n in range(5):
                nursery.start_soon(take, n)
                await trio.testing.wait_all_tasks_blocked()
            assert order == [0, 1]
            for n in range(3):
                slots[n].free()
                slots[n].free()
                await trio.testing.wait_all_tasks_blocked()
                assert order == list(range(n + 3))

    virtually(main)


def test_who_stops_waiting_passes_the_place_on() -> None:
    async def main() -> None:
        governor = make_governor(Service(), concurrency=1)
        first, second, third = (Slot(governor.slots) for _ in range(3))
        await governor.slots.take(first)
        async with trio.open_nursery() as nursery:
            leaving = trio.CancelScope()

            async def leave() -> None:
                with leaving:
                    await governor.slots.take(second)

            nursery.start_soon(leave)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(governor.slots.take, third)
            await trio.testing.wait_all_tasks_blocked()
            leaving.cancel()
            first.free()
        assert third.is_taken
        assert not second.is_taken

    virtually(main)


def test_what_was_bought_before_has_its_place_whatever_the_limit() -> None:
    async def main() -> None:
        governor = make_governor(Service(), concurrency=1)
        before = [Slot(governor.slots) for _ in range(3)]
        for slot in before:
            governor.slots.take_now(slot)
        with trio.move_on_after(10):
            await governor.slots.take(Slot(governor.slots))
            raise AssertionError("there was no place")
        for slot in before:
            slot.free()
        await governor.slots.take(Slot(governor.slots))

    virtually(main)


def test_doubts_hold_half_of_the_places_at_most() -> None:
    async def main() -> None:
        governor = make_governor(Service(), concurrency=6)
        lingering = []
        for n in range(5):
            slot = Slot(governor.slots)
            await governor.slots.take(slot)
            record = make_record(State.IN_DOUBT, n + 1, submitted_at=trio.current_time())
            lingering.append(governor.slots.keep_in_doubt(slot, record) > 0)
        assert lingering == [True, True, True, False, False]

    virtually(main)


def test_those_who_wait_for_money_do_not_wake_each_other() -> None:
    """A place given back unused was taken for a settlement: all who were short of money tried again, for ever."""

    async def main() -> None:
        governor = make_governor(Service(), concurrency=4)
        woken = []

        async def wait() -> None:
            await governor.slots.settled.wait()
            woken.append(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            slot = Slot(governor.slots)
            await governor.slots.take(slot)
            slot.free(quietly=True)
            await trio.testing.wait_all_tasks_blocked()
            assert woken == []
            await governor.slots.take(slot)
            slot.free()

        assert woken == [1]

    virtually(main)


class SlowToEnd(MemoryCheckpoint):
    """Takes ten seconds to write down that the service is done with a job. ``ended`` is when the first was written."""

    ended = 0.0

    async def save(self, record: Record, event: Event) -> Record:
        if isinstance(event, Completed):
            await trio.sleep(10.0)
            self.ended = self.ended or trio.current_time()
        return await super().save(record, event)


async def bought_by_two_jobs(checkpoint: SlowToEnd) -> Service:
    """Two jobs, one place, both done; the estimate is $0.06 and the service charges $0.04."""
    service = Service()
    pool = make_pool(service, checkpoint, make_governor(service, concurrency=1), price=60_000)
    with trio.fail_after(300):
        await run_all(pool)
    assert checkpoint.counts().by_state == {State.DONE: 2}
    assert service.most == 1
    return service


def test_the_place_of_a_job_that_ended_is_free_before_that_is_written_down() -> None:
    async def main() -> None:
        checkpoint = SlowToEnd([make_line(1), make_line(2)])
        service = await bought_by_two_jobs(checkpoint)
        assert service.posts[1] < checkpoint.ended

    virtually(main)


def test_the_money_of_a_job_that_ended_is_free_once_that_is_written_down() -> None:
    """The next one has the place and not yet the money: it waits, and is told when the money comes."""

    async def main() -> None:
        checkpoint = SlowToEnd([make_line(1), make_line(2)], cap=100_000)
        service = await bought_by_two_jobs(checkpoint)
        assert service.posts[1] >= checkpoint.ended

    virtually(main)


class FarAway(MemoryCheckpoint):
    """Takes two minutes to tell the sums: as they were when they were asked for."""

    async def totals(self) -> Totals:
        totals = await super().totals()
        await trio.sleep(120.0)
        return totals


def test_money_that_comes_free_while_the_sums_are_asked_for_is_not_waited_for_in_vain() -> None:
    """The last job in flight ended on the way of the answer that told of it: the next one waited for ever."""

    async def main() -> None:
        checkpoint, service = FarAway([make_line(1), make_line(2)], cap=100_000), Service()
        pool = make_pool(service, checkpoint, make_governor(service, concurrency=2), price=60_000)
        with trio.fail_after(3000):
            await run_all(pool)
        assert checkpoint.counts().by_state == {State.DONE: 2}

    virtually(main)


class RefusesOnce(MemoryCheckpoint):
    """As if the last job in flight had ended just after the next one was refused for its money."""

    refused = 0

    async def save(self, record: Record, event: Event) -> Record:
        if isinstance(event, Reserved) and not self.refused:
            self.refused = 1
            raise BudgetReachedError("the budget is used up")
        return await super().save(record, event)


def test_a_refusal_that_no_longer_holds_stops_nobody() -> None:
    async def main() -> None:
        checkpoint = RefusesOnce([make_line(1)])
        service = Service()
        governor = make_governor(service, concurrency=1)
        pool = make_pool(service, checkpoint, governor)
        await run_all(pool)
        assert (checkpoint.counts().by_state, governor.switch.halted) == ({State.DONE: 1}, None)

    virtually(main)


def test_the_first_reason_to_stop_stands() -> None:
    async def main() -> None:
        notes = Notes()
        governor = make_governor(Service(), notes)
        with governor.switch.open_buying_scope() as scope:
            governor.switch.halt(StoppedError("first"))
            governor.switch.halt(StoppedError("second"))
            await trio.sleep(1)
        assert scope.cancelled_caught
        assert str(governor.switch.halted) == "first"
        assert notes.told == ["halted"]
        with governor.switch.open_buying_scope() as late:
            await trio.sleep(1)
        assert late.cancelled_caught, "who begins to wait after that is sent home, too"

    virtually(main)


# --- what an earlier process left -----------------------------------------------------------------


class Forgetful(Service):
    """Its first look at anything is answered by an error."""

    looks = 0

    async def poll(self, record: Record) -> PollReply:
        self.looks += 1
        if self.looks == 1:
            return NoAnswer(Problem(Kind.SERVICE, "busy", 502))
        return Completed(LATE + trio.current_time(), (Output("https://files.runcomfy.net/x.png"),), 40_000)

    async def cancel(self, record: Record) -> CancelReply:
        self.looks += 1
        return NoAnswer(Problem(Kind.SERVICE, "busy", 502)) if self.looks == 1 else CancelConfirmed(LATE)


LATE = 1.8e9
"""Epoch seconds: far from 0, where the clock of a record that was read from disk seems to have begun."""


@pytest.mark.parametrize(
    ("state", "then"), [(State.FETCHED, State.DONE), (State.WAITING, State.DONE), (State.CANCELLING, State.CANCELLED)]
)
def test_one_missed_look_after_a_restart_is_no_hour_of_looking(state: State, then: State) -> None:
    """What a new process found half-way was given up (UNCOLLECTED) at its first failed look."""
    records: list[Record] = []

    async def main() -> None:
        checkpoint = MemoryCheckpoint([make_line(1)])
        checkpoint._records[1] = make_record(state, accepted_at=LATE - 60, watched_from=0.0, outputs=())
        service = Forgetful()
        governor = Governor(
            PurchaseLimits(), api=service, observer=Notes(), clock=lambda: LATE + trio.current_time(), rng=Random(7)
        )
        pool = make_pool(service, checkpoint, governor, clock=lambda: LATE + trio.current_time())
        pool.approval = Approval(())
        await run_all(pool)
        records.extend(checkpoint.records())

    virtually(main)
    assert [record.state for record in records] == [then]


def test_a_refused_token_at_a_cancel_is_told_as_such() -> None:
    """It came out of the task group as a group of errors, which nobody maps to an exit code."""

    class Refusing(Service):
        async def cancel(self, record: Record) -> CancelReply:
            raise TokenError("the service does not accept the API token")

    async def main() -> None:
        checkpoint = MemoryCheckpoint([make_line(n) for n in (1, 2)])
        for n in (1, 2):
            checkpoint._records[n] = make_record(State.WAITING, n)
        service = Refusing()
        pool = make_pool(service, checkpoint, make_governor(service))
        with pytest.raises(TokenError):
            await cancel(pool, checkpoint.records())

    virtually(main)


def test_an_answer_with_an_id_of_another_job_counted_as_in_flight_for_ever() -> None:
    """Counted as accepted and, in doubt by its id, never as over: a limit of jobs at once seemed one lower for each."""

    class Repeats(Service):
        async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
            event = await super().submit(record, permit)
            return Accepted(event.at, Handle("req-1")) if isinstance(event, Accepted) else event

    async def main() -> None:
        service = Repeats(runs=1.0)
        checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, 4)])
        governor = make_governor(service, concurrency=2)
        await run_all(make_pool(service, checkpoint, governor))
        assert checkpoint.counts().of(State.IN_DOUBT) == 2
        assert governor.slots.bought == 0

    virtually(main)
