"""The loop for one job, and the loop over all jobs.

``run_job`` asks the lifecycle for the next action, performs it, records the event, and repeats. A fresh job and one found
after a crash take the same path. Nothing in here decides about money: the lifecycle's table does, and ``buying.buy`` keeps
the order of intention and POST.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup

from ..core.actions import Reserve, Rest, Sleep, drop_future_due_at, next_action, recover
from ..core.approved_purchases import BUY_AGAIN
from ..core.events import Completed, Event, Released, Resumed
from ..core.lifecycle import FINAL, REMOTE
from ..core.model import Record, State
from .buying import buy
from .collecting import attempt, begin_watch
from .gravest_error import find_gravest
from .pool import CHUNK, OTHERS_SECONDS, Pool, apply_event, list_conflict_errors, take_in_left_ids
from .slots import Slot

CLAIMS = 2
"""Jobs that a process claims at once from a shared ledger, per free slot: no other process can buy those it has claimed."""

IN_FLIGHT = frozenset({State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED})


async def run_all(pool: Pool, only: Sequence[Record] | None = None) -> None:
    """Collect what was bought, and buy those of the planned jobs that ``pool.approval`` admits: submitted ones first.

    ``only``: the planned jobs, where they are so few that the ledger need not be searched for them.

    Returns when every job rests. Buying may have stopped before (``governor.switch.halted`` says why). Raises what ends a run
    at once: CheckpointError, OutputError, TokenError.
    """
    try:
        async with anyio.create_task_group() as background:
            background.start_soon(pool.governor.watch, lambda: _count_planned(pool))
            async with anyio.create_task_group() as tasks:
                all_started = anyio.Event()
                await _for_each(pool, IN_FLIGHT, lambda record: _take_up(pool, record, tasks, background))
                if pool.checkpoint.shared:  # not before: ``_for_each`` would find what it takes over a second time
                    tasks.start_soon(_adopt_repeatedly, pool, all_started, tasks, background)
                if pool.approval.asked:
                    await _start_planned(pool, only, tasks, background)
                all_started.set()
            background.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise find_gravest(group) from group


async def _adopt_repeatedly(pool: Pool, all_started: anyio.Event, tasks: TaskGroup, background: TaskGroup) -> None:
    """Take over bought jobs whose process is gone, as long as this process has work of its own; then ``run_all`` is over.
    Ids that the other process could not record may lie elsewhere.

    The slot that a job in doubt keeps is no work.
    """
    while not all_started.is_set() or any(not slot.doubtful for slot in pool.governor.slots.taken):
        await anyio.sleep(OTHERS_SECONDS)
        rescued = await take_in_left_ids(pool) if pool.took_over else ()
        for record in (*rescued, *await pool.checkpoint.adopt_jobs(CHUNK)):
            await _take_up(pool, record, tasks, background)


async def _count_planned(pool: Pool) -> int:
    return (await pool.checkpoint.totals()).counts.of(State.PLANNED)


async def _take_up(pool: Pool, record: Record, tasks: TaskGroup, background: TaskGroup) -> None:
    """Run a record that an earlier process left in flight, after the event that ``recover`` gives for it is recorded."""
    event = recover(record, pool.clock())
    if event is not None:
        record = await apply_event(pool, record, event)
    record = drop_future_due_at(begin_watch(pool, record), pool.clock())
    slot = Slot(pool.governor.slots)
    if record.state in REMOTE:
        slot.since = None if record.accepted_at is None else min(record.accepted_at, pool.clock())
        pool.governor.slots.take_now(slot)
    tasks.start_soon(_run, pool, record, slot, background)


async def _for_each(pool: Pool, states: frozenset[State], handle: Callable[[Record], Awaitable[None]]) -> None:
    """``handle`` each record in ``states``, a page at a time."""
    after = 0
    while records := await pool.checkpoint.list_unsettled(after, CHUNK, states):
        for record in records:
            await handle(record)
        after = records[-1].id


async def _start_planned(pool: Pool, only: Sequence[Record] | None, tasks: TaskGroup, background: TaskGroup) -> None:
    """Start planned jobs, one for each free slot: the rest, maybe a million, wait in the checkpoint, not in memory."""
    after = 0
    with pool.governor.switch.open_buying_scope():
        while (
            records := await pool.checkpoint.list_planned(after, _choose_page_size(pool))
            if only is None
            else only[after:]
        ):
            for record in records:
                if not pool.approval.may_buy_job(record.id):
                    continue
                slot = Slot(pool.governor.slots)
                while pool.governor.slots.short_of_money:
                    await pool.governor.slots.settled.wait()
                await pool.governor.slots.take(slot)
                tasks.start_soon(_run, pool, record, slot, background)
            after = records[-1].id if only is None else len(only)
    pool.governor.gets.note_all_bought()


def _choose_page_size(pool: Pool) -> int:
    return CHUNK if not pool.checkpoint.shared else max(1, min(CHUNK, CLAIMS * pool.governor.slots.count_free()))


async def resume(pool: Pool) -> None:
    """Take up what was given up: UNCOLLECTED → WAITING."""

    async def resume_one(record: Record) -> None:
        with suppress(*list_conflict_errors(pool)):
            await apply_event(pool, record, Resumed(pool.clock()))

    await _for_each(pool, frozenset({State.UNCOLLECTED}), resume_one)


async def _run(pool: Pool, record: Record, slot: Slot, background: TaskGroup) -> None:
    try:
        record = await run_job(pool, record, slot)
        if record.state is State.IN_DOUBT and pool.approval.may_buy_job_again(record.id):
            record = await run_job(pool, await apply_event(pool, record, Released(pool.clock(), BUY_AGAIN)), slot)
        if record.state in FINAL:
            pool.governor.switch.count_finished(record)
        if record.state is State.IN_DOUBT:
            seconds = pool.governor.slots.keep_in_doubt(slot, record)
            if seconds > 0:
                pool.governor.slots.settled.give()  # its slot stays taken, and no task need wait for its money any longer
                background.start_soon(_linger, slot, seconds)
                slot = Slot(pool.governor.slots)
    finally:
        slot.free()


async def _linger(slot: Slot, seconds: float) -> None:
    try:
        await anyio.sleep(seconds)
    finally:
        slot.free()


async def run_job(pool: Pool, record: Record, slot: Slot) -> Record:
    """Run one job until it rests, or until buying has stopped and it has not been bought."""
    record = drop_future_due_at(record, pool.clock())
    while True:
        action = next_action(record, pool.clock(), pool.governor.extend_patience(pool.patience, record))
        match action:
            case Rest():
                return record
            case Reserve():
                bought = await buy(pool, record, slot)
                if bought is None:
                    return record
                record = bought
            case Sleep(until) if record.state is State.WAITING:
                if await pool.governor.gets.sleep_until_poll(record, slot, until):
                    record = record._replace(due_at=0.0)
            case _:
                event = await attempt(pool, record, action, slot)
                if event is not None:
                    record = await _apply_and_free_slot(pool, record, event, slot)
                elif record.state is State.PLANNED and pool.governor.switch.is_stopped():
                    return record
        if record.state not in REMOTE:
            slot.free()


async def _apply_and_free_slot(pool: Pool, record: Record, event: Event, slot: Slot) -> Record:
    """``apply_event``; but when the service is done with the job, its slot is freed at once, so that the next job's intention
    goes into the same commit: queued after the completion, so that the budget check sees the released money and the cost.
    """
    if not isinstance(event, Completed):
        return await apply_event(pool, record, event)
    slot.free(quietly=True)
    record = await apply_event(pool, record, event)
    pool.governor.slots.settled.give()
    return record
