"""What every checkpoint must do: one behavioural suite, inherited by the tests of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from batchedit.core.errors import BudgetReachedError, StaleRecordError
from batchedit.core.lifecycle import (
    Accepted,
    Completed,
    Declined,
    Errored,
    Event,
    GivenUp,
    Lost,
    Priced,
    Refused,
    Reserved,
    Resumed,
    RetryAsked,
    Saved,
    Spoiled,
    advance,
)
from batchedit.core.model import Handle, Kind, Line, Output, Problem, Record, SavedFile, State
from tests.support.factories import make_line

PROBLEM = Problem(Kind.LOST, "no answer", 502, None)
OUTPUTS = (Output("https://files.runcomfy.net/1.png"), Output("https://files.runcomfy.net/1.mp4", "video"))
FILES = (SavedFile("files/job-1.png", "ab" * 32, 1234, 1024, 768, "https://files.runcomfy.net/1.png"),)
HANDLE = Handle("req-1", "https://a/status", "https://a/result", "https://a/cancel")

Make = Callable[..., Any]
ALL_BUT_FINAL = frozenset({State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED, State.IN_DOUBT})


async def play(checkpoint: Any, record: Record, *events: Event) -> Record:
    for event in events:
        record = await checkpoint.save(advance(record, event), event)
    return record


async def first(checkpoint: Any) -> Record:
    return (await checkpoint.planned(0, 1))[0]


class CheckpointSuite:
    """Subclasses give ``make``: ``make(lines, cap=None) -> checkpoint``."""

    pytestmark = pytest.mark.anyio

    async def test_what_is_planned_comes_out_in_order_and_in_pages(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 8)])
        page = await checkpoint.planned(0, 5)
        rest = await checkpoint.planned(page[-1].id, 5)
        assert [r.job.name for r in (*page, *rest)] == [f"job-{n}" for n in range(1, 8)]
        assert all(r.state is State.PLANNED and r.serial == 0 for r in page)

    async def test_rows_with_equal_inputs_share_one_job(self, make: Make) -> None:
        line = make_line(1)
        twin = Line(row=2, id="other", job=line.job, slot=2, twin=True)
        assert len(await make([line, twin]).planned(0, 10)) == 1

    async def test_a_saved_record_comes_back_whole(self, make: Make) -> None:
        checkpoint = make([make_line(1)])
        saved = await play(
            checkpoint,
            await first(checkpoint),
            Reserved(10.0, 40_000),
            Accepted(11.0, HANDLE),
            Completed(30.0, OUTPUTS, 55_000),
        )
        (found,) = await checkpoint.unsettled(0, 10, ALL_BUT_FINAL)
        assert _on_disk(found) == _on_disk(saved)
        done = await play(checkpoint, saved, Spoiled(31.0, 35.0, PROBLEM), Completed(36.0, OUTPUTS), Saved(40.0, FILES))
        (found,) = await checkpoint.unsettled(0, 10, frozenset({State.DONE}))
        assert _on_disk(found) == _on_disk(done)
        assert found.files == FILES

    async def test_a_stale_record_is_refused_and_nothing_is_written(self, make: Make) -> None:
        checkpoint = make([make_line(1)])
        stale = await first(checkpoint)
        await play(checkpoint, stale, Reserved(10.0, 40_000))
        with pytest.raises(StaleRecordError):
            await play(checkpoint, stale, Reserved(10.0, 40_000))
        (found,) = await checkpoint.unsettled(0, 10, ALL_BUT_FINAL)
        assert (found.serial, checkpoint.money().held) == (1, 40_000)

    async def test_many_savers_at_once_and_only_the_stale_one_fails(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 41)])
        records: Sequence[Record] = await checkpoint.planned(0, 100)
        await play(checkpoint, records[7], Reserved(9.0, 1))
        failed: list[int] = []

        async def one(record: Record) -> None:
            try:
                await play(checkpoint, record, Reserved(10.0, 1), Accepted(11.0, Handle(f"req-{record.id}")))
            except StaleRecordError:
                failed.append(record.id)

        async with anyio.create_task_group() as tasks:
            for record in records:
                tasks.start_soon(one, record)
        assert failed == [records[7].id]
        counts = checkpoint.counts()
        assert (counts.of(State.WAITING), counts.of(State.SUBMITTING)) == (39, 1)

    async def test_unsettled_gives_only_the_states_asked_for_in_pages(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 6)])
        records = await checkpoint.planned(0, 10)
        await play(checkpoint, records[0], Reserved(1.0, 1), Lost(2.0, PROBLEM))
        await play(checkpoint, records[1], Reserved(1.0, 1), Accepted(2.0, HANDLE))
        await play(checkpoint, records[2], Reserved(1.0, 1), Accepted(2.0, HANDLE), GivenUp(3.0, PROBLEM))
        await play(checkpoint, records[3], Reserved(1.0, 1), Refused(2.0, PROBLEM))
        seen = await checkpoint.unsettled(0, 10, frozenset({State.WAITING, State.UNCOLLECTED}))
        assert [r.id for r in seen] == [records[1].id, records[2].id]
        page = await checkpoint.unsettled(seen[0].id, 1, frozenset({State.WAITING, State.UNCOLLECTED}))
        assert [r.id for r in page] == [records[2].id]
        assert page[0].problem == PROBLEM

    async def test_counts_and_money_follow_every_move(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 5)])
        records = await checkpoint.planned(0, 10)
        await play(checkpoint, records[0], Reserved(1.0, 100), Lost(2.0, PROBLEM))
        await play(checkpoint, records[1], Reserved(1.0, 100), Accepted(2.0, HANDLE))
        failed = await play(
            checkpoint, records[2], Reserved(1.0, 100), Accepted(2.0, HANDLE), Errored(3.0, PROBLEM, 130)
        )
        money = checkpoint.money()
        assert (money.spent, money.held, money.in_doubt, money.cancellable) == (130, 200, 100, 100)
        assert (money.in_flight, money.doubts, checkpoint.top_price) == (1, 1, 130)
        assert checkpoint.counts().by_state == {
            State.PLANNED: 1, State.IN_DOUBT: 1, State.WAITING: 1, State.FAILED: 1
        }  # fmt: skip
        await play(checkpoint, failed, RetryAsked(4.0))
        assert checkpoint.money().spent == 130
        assert checkpoint.counts().of(State.PLANNED) == 2

    async def test_the_cap_is_never_passed_however_many_ask_at_once(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 31)], cap=100)
        records = await checkpoint.planned(0, 100)
        done = await play(checkpoint, records[0], Reserved(1.0, 10), Accepted(1.0, HANDLE), Completed(2.0, OUTPUTS, 10))
        refused: list[int] = []

        async def one(record: Record) -> None:
            try:
                await play(checkpoint, record, Reserved(3.0, 10))
            except BudgetReachedError:
                refused.append(record.id)

        async with anyio.create_task_group() as tasks:
            for record in records[1:]:
                tasks.start_soon(one, record)
        money = checkpoint.money()
        assert done.spent == 10
        assert (money.spent + money.held, len(refused)) == (100, 20)
        assert sorted(r.id for r in await checkpoint.planned(0, 100)) == sorted(refused), "nothing of it was written"

    async def test_money_given_back_can_be_reserved_again(self, make: Make) -> None:
        checkpoint = make([make_line(1), make_line(2)], cap=10)
        one, two = await checkpoint.planned(0, 10)
        one = await play(checkpoint, one, Reserved(1.0, 10))
        with pytest.raises(BudgetReachedError):
            await play(checkpoint, two, Reserved(1.0, 10))
        await play(checkpoint, one, Declined(2.0, PROBLEM))
        await play(checkpoint, two, Reserved(3.0, 10))
        assert checkpoint.money().held == 10

    async def test_what_nobody_named_a_cost_for(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 5)])
        told, untold, failed, _ = await checkpoint.planned(0, 10)
        bought = (Reserved(1.0, 10), Accepted(2.0, HANDLE))
        await play(checkpoint, told, *bought, Completed(3.0, OUTPUTS, 12), Saved(4.0, FILES))
        guess = await play(checkpoint, untold, *bought, Completed(3.0, OUTPUTS), Saved(4.0, FILES))
        await play(checkpoint, failed, *bought, Errored(3.0, PROBLEM))
        assert [r.id for r in await checkpoint.unpriced(0, 10)] == [untold.id, failed.id]
        assert (checkpoint.money().guesses, checkpoint.money().guessed) == (2, 20)
        await play(checkpoint, guess, Priced(9.0, 12))
        assert [r.id for r in await checkpoint.unpriced(0, 10)] == [failed.id]
        assert (checkpoint.money().guesses, checkpoint.money().guessed, checkpoint.money().spent) == (1, 10, 34)

    async def test_the_next_try_of_a_given_up_job(self, make: Make) -> None:
        checkpoint = make([make_line(1)])
        record = await play(
            checkpoint, await first(checkpoint), Reserved(1.0, 1), Accepted(2.0, HANDLE), GivenUp(3.0, PROBLEM)
        )
        again = await play(checkpoint, record, Resumed(9.0))
        assert (again.state, again.handle) == (State.WAITING, HANDLE)


def _on_disk(record: Record) -> tuple[Any, ...]:
    """A record without what only the looking process knows."""
    return (
        record.id, record.job, record.state, record.serial, record.attempts, record.due_at, record.held, record.cost,
        record.cost_known, record.sunk, record.handle, record.outputs, record.files, record.problem,
        record.submitted_at, record.accepted_at, record.finished_at,
    )  # fmt: skip
