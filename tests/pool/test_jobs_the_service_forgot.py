"""404 for a job that was bought: how long the service may not know its own request before that is believed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import trio

from batchedit.core.events import Completed, Event, Gone, Missed
from batchedit.core.model import Kind, Output, Problem, Record, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.collecting import ABSENT_POLLS, ABSENT_SECONDS
from batchedit.pool.worker import run_all
from batchedit.ports import NoAnswer, PollReply
from tests.pool.test_pool import Notes, Service, make_governor, make_pool, virtually
from tests.support.factories import make_line

UNKNOWN = Problem(Kind.SERVICE, "no such request", 404)


@dataclass
class Forgetful(Service):
    """Says 404 to the first ``absences`` looks, with ``retry_after`` seconds to wait, and then that the job is done."""

    absences: int = 10**6
    retry_after: float | None = None
    looks: list[float] = field(default_factory=list)

    async def poll(self, record: Record) -> PollReply:
        assert record.accepted_at is not None
        now = trio.current_time()
        self.looks.append(now - record.accepted_at)
        if len(self.looks) <= self.absences:
            return NoAnswer(UNKNOWN, absent=True, retry_after=self.retry_after)
        return Completed(now, (Output("https://files.runcomfy.net/x.png"),), 40_000)


@dataclass
class Seen(Notes):
    events: list[Event] = field(default_factory=list)

    def saw(self, record: Record, event: Event) -> None:
        self.events.append(event)


def bought_by(service: Forgetful) -> tuple[dict[State, int], list[Event]]:
    """The states of a run of one job at ``service``, and what was noted of its looks."""
    results: list[tuple[dict[State, int], list[Event]]] = []

    async def main() -> None:
        checkpoint, seen = MemoryCheckpoint([make_line(1)]), Seen()
        pool = make_pool(service, checkpoint, make_governor(service, concurrency=1), price=40_000, observer=seen)
        with trio.fail_after(7200):
            await run_all(pool)
        results.append((checkpoint.counts().by_state, [e for e in seen.events if isinstance(e, Missed | Gone)]))

    virtually(main)
    assert len(service.posts) == 1, "it is never bought again"
    return results[0]


def test_a_job_that_the_service_knows_at_the_sixth_look_is_done() -> None:
    states, events = bought_by(Forgetful(absences=ABSENT_POLLS - 1))
    assert states == {State.DONE: 1}
    assert [type(event) for event in events] == [Missed] * (ABSENT_POLLS - 1)


def test_a_job_that_six_looks_over_twenty_seconds_do_not_find_is_gone_and_kept_for_later_runs() -> None:
    service = Forgetful()
    states, events = bought_by(service)
    assert states == {State.UNCOLLECTED: 1}, "its id stays: it may come back"
    assert [type(event) for event in events] == [Missed] * (len(service.looks) - 1) + [Gone]
    assert len(service.looks) >= ABSENT_POLLS
    assert service.looks[-1] >= ABSENT_SECONDS


@pytest.mark.parametrize(("retry_after", "looks"), [(1.0, 15), (60.0, ABSENT_POLLS)])
def test_neither_many_looks_in_a_moment_nor_few_over_minutes_make_a_job_gone(retry_after: float, looks: int) -> None:
    """A service that asks to come back each second would be believed after six seconds, one that says a minute at the first
    look behind it.
    """
    service = Forgetful(retry_after=retry_after)
    states, _ = bought_by(service)
    assert states == {State.UNCOLLECTED: 1}
    assert len(service.looks) >= looks
    assert service.looks[-1] >= ABSENT_SECONDS
