"""What every ledger must do for the pool (``ports.Ledger``): one behavioural suite, inherited by the tests of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from batchedit.core.errors import BudgetReachedError, KnownRequestError, StaleRecordError
from batchedit.core.events import (
    Accepted,
    CancelAsked,
    CancelConfirmed,
    Completed,
    Declined,
    Errored,
    Event,
    GivenUp,
    Gone,
    Lost,
    Priced,
    Refused,
    Released,
    Reserved,
    Resumed,
    RetryAsked,
    Reused,
    Saved,
    Spoiled,
    WrittenOff,
)
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Kind, Output, Problem, Record, ResultLine, SavedFile, State
from tests.support.factories import make_line

PROBLEM = Problem(Kind.LOST, "no answer", 502, None)
OUTPUTS = (Output("https://files.runcomfy.net/1.png"), Output("https://files.runcomfy.net/1.mp4", "video"))
FILES = (SavedFile("files/job-1.png", "ab" * 32, 1234, 1024, 768, "https://files.runcomfy.net/1.png"),)
HANDLE = Handle("req-1", "https://a/status", "https://a/result", "https://a/cancel")

Make = Callable[..., Any]
ALL_BUT_FINAL = frozenset({State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED, State.IN_DOUBT})


async def play(checkpoint: Any, record: Record, *events: Event) -> Record:
    for event in events:
        change = checkpoint.reserve if isinstance(event, Reserved) else checkpoint.save
        record = await change(advance(record, event), event)
    return record


async def first(checkpoint: Any) -> Record:
    return (await checkpoint.list_planned(0, 1))[0]


class LedgerSuite:
    """Subclasses give ``make``: ``make(lines, cap=None) -> checkpoint``."""

    pytestmark = pytest.mark.anyio

    async def test_what_is_planned_comes_out_in_order_and_in_pages(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 8)])
        page = await checkpoint.list_planned(0, 5)
        rest = await checkpoint.list_planned(page[-1].id, 5)
        assert [r.job.name for r in (*page, *rest)] == [f"job-{n}" for n in range(1, 8)]
        assert all(r.state is State.PLANNED and r.serial == 0 for r in page)

    async def test_rows_with_equal_inputs_share_one_job(self, make: Make) -> None:
        line = make_line(1)
        duplicate = ResultLine(row=2, id="other", job=line.job, name_hash=2, duplicate=True)
        assert len(await make([line, duplicate]).list_planned(0, 10)) == 1

    async def test_a_saved_record_comes_back_whole(self, make: Make) -> None:
        checkpoint = make([make_line(1)])
        saved = await play(
            checkpoint,
            await first(checkpoint),
            Reserved(10.0, 40_000),
            Accepted(11.0, HANDLE),
            Completed(30.0, OUTPUTS, 55_000),
        )
        (record,) = await checkpoint.list_unsettled(0, 10, ALL_BUT_FINAL)
        assert _on_disk(record) == _on_disk(saved)
        done = await play(checkpoint, saved, Spoiled(31.0, 35.0, PROBLEM), Completed(36.0, OUTPUTS), Saved(40.0, FILES))
        (record,) = await checkpoint.list_unsettled(0, 10, frozenset({State.DONE}))
        assert _on_disk(record) == _on_disk(done)
        assert record.files == FILES

    async def test_a_stale_record_is_refused_and_nothing_is_written(self, make: Make) -> None:
        checkpoint = make([make_line(1)])
        stale = await first(checkpoint)
        await play(checkpoint, stale, Reserved(10.0, 40_000))
        with pytest.raises(StaleRecordError):
            await play(checkpoint, stale, Reserved(10.0, 40_000))
        (record,) = await checkpoint.list_unsettled(0, 10, ALL_BUT_FINAL)
        assert (record.serial, (await checkpoint.totals()).money.reserved) == (1, 40_000)

    async def test_many_savers_at_once_and_only_the_stale_one_fails(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 41)])
        records: Sequence[Record] = await checkpoint.list_planned(0, 100)
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
        counts = (await checkpoint.totals()).counts
        assert (counts.of(State.WAITING), counts.of(State.SUBMITTING)) == (39, 1)

    async def test_unsettled_gives_only_the_states_asked_for_in_pages(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 6)])
        records = await checkpoint.list_planned(0, 10)
        await play(checkpoint, records[0], Reserved(1.0, 1), Lost(2.0, PROBLEM))
        await play(checkpoint, records[1], Reserved(1.0, 1), Accepted(2.0, HANDLE))
        await play(checkpoint, records[2], Reserved(1.0, 1), Accepted(2.0, Handle("req-2")), GivenUp(3.0, PROBLEM))
        await play(checkpoint, records[3], Reserved(1.0, 1), Refused(2.0, PROBLEM))
        seen = await checkpoint.list_unsettled(0, 10, frozenset({State.WAITING, State.UNCOLLECTED}))
        assert [r.id for r in seen] == [records[1].id, records[2].id]
        page = await checkpoint.list_unsettled(seen[0].id, 1, frozenset({State.WAITING, State.UNCOLLECTED}))
        assert [r.id for r in page] == [records[2].id]
        assert page[0].problem == PROBLEM

    async def test_counts_and_money_follow_every_move(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 5)])
        records = await checkpoint.list_planned(0, 10)
        await play(checkpoint, records[0], Reserved(1.0, 100), Lost(2.0, PROBLEM))
        await play(checkpoint, records[1], Reserved(1.0, 100), Accepted(2.0, HANDLE))
        failed = await play(
            checkpoint, records[2], Reserved(1.0, 100), Accepted(2.0, Handle("req-2")), Errored(3.0, PROBLEM, 130)
        )
        money = (await checkpoint.totals()).money
        assert (money.spent, money.reserved, money.in_doubt, money.cancellable) == (130, 200, 100, 100)
        assert (money.in_flight, money.doubts, checkpoint.top_price) == (1, 1, 130)
        assert (await checkpoint.totals()).counts.by_state == {
            State.PLANNED: 1, State.IN_DOUBT: 1, State.WAITING: 1, State.FAILED: 1
        }  # fmt: skip
        await play(checkpoint, failed, RetryAsked(4.0))
        assert (await checkpoint.totals()).money.spent == 130
        assert (await checkpoint.totals()).counts.of(State.PLANNED) == 2

    async def test_the_cap_is_never_passed_however_many_ask_at_once(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 31)], cap=100)
        records = await checkpoint.list_planned(0, 100)
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
        money = (await checkpoint.totals()).money
        assert done.spent == 10
        assert (money.spent + money.reserved, len(refused)) == (100, 20)
        assert sorted(r.id for r in await checkpoint.list_planned(0, 100)) == sorted(refused), (
            "nothing of it was written"
        )

    async def test_money_given_back_can_be_reserved_again(self, make: Make) -> None:
        checkpoint = make([make_line(1), make_line(2)], cap=10)
        one, two = await checkpoint.list_planned(0, 10)
        one = await play(checkpoint, one, Reserved(1.0, 10))
        with pytest.raises(BudgetReachedError):
            await play(checkpoint, two, Reserved(1.0, 10))
        await play(checkpoint, one, Declined(2.0, PROBLEM))
        await play(checkpoint, two, Reserved(3.0, 10))
        assert (await checkpoint.totals()).money.reserved == 10

    async def test_what_nobody_named_a_cost_for(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 5)])
        reported, untold, failed, _ = await checkpoint.list_planned(0, 10)
        reported, untold, failed = [
            await play(checkpoint, record, Reserved(1.0, 10), Accepted(2.0, Handle(f"req-{record.id}")))
            for record in (reported, untold, failed)
        ]
        await play(checkpoint, reported, Completed(3.0, OUTPUTS, 12), Saved(4.0, FILES))
        guess = await play(checkpoint, untold, Completed(3.0, OUTPUTS), Saved(4.0, FILES))
        await play(checkpoint, failed, Errored(3.0, PROBLEM))
        assert [r.id for r in await checkpoint.list_unpriced(0, 10)] == [untold.id, failed.id]
        assert ((await checkpoint.totals()).money.guesses, (await checkpoint.totals()).money.guessed) == (2, 20)
        await play(checkpoint, guess, Priced(9.0, 12))
        assert [r.id for r in await checkpoint.list_unpriced(0, 10)] == [failed.id]
        assert (
            (await checkpoint.totals()).money.guesses,
            (await checkpoint.totals()).money.guessed,
            (await checkpoint.totals()).money.spent,
        ) == (1, 10, 34)

    async def test_an_id_belongs_to_one_job_and_to_one_purchase(self, make: Make) -> None:
        """The service answered two POSTs with the same id: both jobs had the first one's picture, and both were paid."""
        checkpoint = make([make_line(1), make_line(2)])
        one, two = await checkpoint.list_planned(0, 10)
        failed = await play(
            checkpoint, one, Reserved(1.0, 10), Accepted(2.0, HANDLE), Errored(3.0, PROBLEM), RetryAsked(4.0)
        )
        for record in (two, failed):
            sent = await play(checkpoint, record, Reserved(5.0, 10))
            with pytest.raises(KnownRequestError, match="req-1 is already that of job-1"):
                await play(checkpoint, sent, Accepted(6.0, HANDLE))
            lost = await play(checkpoint, sent, Lost(6.0, PROBLEM))
            assert (lost.state, lost.handle) == (State.IN_DOUBT, None)

    async def test_of_two_accepts_of_one_id_at_once_the_first_has_it(self, make: Make) -> None:
        checkpoint = make([make_line(n) for n in range(1, 9)])
        refused: list[int] = []

        async def one(record: Record) -> None:
            try:
                await play(checkpoint, record, Accepted(2.0, HANDLE))
            except KnownRequestError:
                refused.append(record.id)

        sent = [await play(checkpoint, record, Reserved(1.0, 1)) for record in await checkpoint.list_planned(0, 10)]
        async with anyio.create_task_group() as tasks:
            for record in sent:
                tasks.start_soon(one, record)
        assert (len(refused), (await checkpoint.totals()).counts.by_state) == (
            7,
            {State.SUBMITTING: 7, State.WAITING: 1},
        )

    async def test_a_reused_picture_proves_no_price(self, make: Make) -> None:
        checkpoint = make([make_line(1), make_line(2)])
        one, two = await checkpoint.list_planned(0, 10)
        await play(checkpoint, one, Reused(1.0, HANDLE, FILES, "/runs/other"))
        assert not (await checkpoint.totals()).money.settled
        await play(checkpoint, two, Reserved(1.0, 10), Accepted(2.0, Handle("req-2")), Completed(3.0, OUTPUTS, 12))
        assert (await checkpoint.totals()).money.settled

    async def test_an_absent_request_keeps_its_money_and_is_asked_for_again(self, make: Make) -> None:
        """A 404 of a minute made it FAILED for good, and a retry bought it again."""
        checkpoint = make([make_line(1)])
        gone = await play(
            checkpoint, await first(checkpoint), Reserved(1.0, 100), Accepted(2.0, HANDLE), Gone(3.0, PROBLEM)
        )
        money = (await checkpoint.totals()).money
        assert (gone.state, money.reserved, money.spent, money.uncollected) == (State.UNCOLLECTED, 100, 0, 1)
        again = await play(checkpoint, gone, Resumed(9.0), Completed(10.0, OUTPUTS, 120), Saved(11.0, FILES))
        money = (await checkpoint.totals()).money
        assert (again.handle, money.reserved, money.spent, money.uncollected) == (HANDLE, 0, 120, 0)

    @pytest.mark.parametrize("decision", [WrittenOff(9.0, "a person"), Released(9.0, "a person")])
    async def test_what_a_person_decides_of_an_uncollected_job_counts_as_spent(
        self, make: Make, decision: Event
    ) -> None:
        checkpoint = make([make_line(1)])
        record = await play(
            checkpoint, await first(checkpoint), Reserved(1.0, 100), Accepted(2.0, HANDLE), GivenUp(3.0, PROBLEM)
        )
        await play(checkpoint, record, decision)
        money = (await checkpoint.totals()).money
        assert (money.reserved, money.spent, money.uncollected) == (0, 100, 0)

    async def test_a_cancelled_job_that_was_charged_is_in_the_books(self, make: Make) -> None:
        """The service charged $0.40 for a job that it had cancelled, under a cap of $0.12, and the books said $0.00."""
        checkpoint = make([make_line(n) for n in range(1, 4)])
        (charged,) = await checkpoint.list_planned(0, 1)
        await play(checkpoint, charged, Reserved(1.0, 100), Accepted(2.0, HANDLE), CancelConfirmed(3.0, 400))
        (untold,) = await checkpoint.list_planned(0, 1)
        record = await play(
            checkpoint, untold, Reserved(4.0, 100), Accepted(5.0, Handle("req-2")), CancelConfirmed(6.0)
        )
        money = (await checkpoint.totals()).money
        assert (money.spent, money.reserved, money.guessed, checkpoint.top_price) == (500, 0, 100, 400)
        assert [r.id for r in await checkpoint.list_unpriced(0, 10)] == [record.id]
        await play(checkpoint, record, Priced(9.0, 0))
        assert (await checkpoint.totals()).money.spent == 400

    async def test_a_cancelled_job_that_we_asked_for_is_free(self, make: Make) -> None:
        checkpoint = make([make_line(1)])
        record = await first(checkpoint)
        await play(
            checkpoint, record, Reserved(1.0, 100), Accepted(2.0, HANDLE), CancelAsked(3.0), CancelConfirmed(4.0)
        )
        assert (
            (await checkpoint.totals()).money.spent,
            (await checkpoint.totals()).money.reserved,
            (await checkpoint.totals()).money.guesses,
        ) == (0, 0, 0)

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
        record.id, record.job, record.state, record.serial, record.attempts, record.due_at, record.reserved, record.cost,
        record.cost_known, record.earlier_spent, record.handle, record.outputs, record.files, record.problem,
        record.submitted_at, record.accepted_at, record.finished_at,
    )  # fmt: skip
