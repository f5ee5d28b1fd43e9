"""The loop for one job, and the work for all of them.

``run_job`` asks the lifecycle what to do, does it, writes down what happened, and asks again. A fresh job and one found
after a crash run through the same lines. Nothing in here decides about money: the table does, and ``buying.buy`` keeps its
one rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup

from ..core.actions import Reserve, Rest, Sleep, next_action, drop_future_due_at, recover
from ..core.approval import BUY_AGAIN
from ..core.events import Completed, Event, Released, Resumed
from ..core.lifecycle import FINAL, REMOTE
from ..core.model import Record, State
from .buying import buy
from .collecting import attempt, begin_watch
from .failures import gravest
from .pool import CHUNK, OTHERS_SECONDS, Pool, apply_event, others_changes, taken_in
from .slots import Slot

CLAIMS = 2
"""Jobs that a process takes at once from a shared ledger, for each free place: what it has nobody else can buy."""

IN_FLIGHT = frozenset({State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED})


async def run_all(pool: Pool, only: Sequence[Record] | None = None) -> None:
    """Collect what was bought, and buy those of the planned jobs that ``pool.approval`` admits: submitted ones first.

    ``only``: look for these alone, where so few were asked about that the rest need not be read.

    Returns when every job rests. Buying may have stopped before (``governor.switch.halted`` says why). Raises what ends a run
    at once: CheckpointError, OutputError, TokenError.
    """
    try:
        async with anyio.create_task_group() as lingering:
            lingering.start_soon(pool.governor.watch, lambda: _still_planned(pool))
            async with anyio.create_task_group() as tasks:
                fed = anyio.Event()
                await _each(pool, IN_FLIGHT, lambda record: _take_up(pool, record, tasks, lingering))
                if pool.checkpoint.shared:  # not before: what it takes over would be found a second time
                    tasks.start_soon(_adopt, pool, fed, tasks, lingering)
                if pool.approval.asked:
                    await _feed(pool, only, tasks, lingering)
                fed.set()
            lingering.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise gravest(group) from group


async def _adopt(pool: Pool, fed: anyio.Event, tasks: TaskGroup, lingering: TaskGroup) -> None:
    """Look after bought jobs whose process is gone, for as long as this one has work of its own; then ``run_all`` is over.
    What that process could not write down may lie elsewhere.

    The place that a job in doubt keeps is no work.
    """
    while not fed.is_set() or any(not slot.doubtful for slot in pool.governor.slots.taken):
        await anyio.sleep(OTHERS_SECONDS)
        found = await taken_in(pool) if pool.took_over else ()
        for record in (*found, *await pool.checkpoint.adopted(CHUNK)):
            await _take_up(pool, record, tasks, lingering)


async def _still_planned(pool: Pool) -> int:
    return (await pool.checkpoint.totals()).counts.of(State.PLANNED)


async def _take_up(pool: Pool, record: Record, tasks: TaskGroup, lingering: TaskGroup) -> None:
    """Drive a record that an earlier process left in flight, once what ``recover`` says of it is written down."""
    event = recover(record, pool.clock())
    if event is not None:
        record = await apply_event(pool, record, event)
    record = drop_future_due_at(begin_watch(pool, record), pool.clock())
    slot = Slot(pool.governor.slots)
    if record.state in REMOTE:
        slot.since = None if record.accepted_at is None else min(record.accepted_at, pool.clock())
        pool.governor.slots.take_now(slot)
    tasks.start_soon(_run, pool, record, slot, lingering)


async def _each(pool: Pool, states: frozenset[State], handle: Callable[[Record], Awaitable[None]]) -> None:
    """``handle`` each record in ``states``, a page at a time."""
    after = 0
    while records := await pool.checkpoint.unsettled(after, CHUNK, states):
        for record in records:
            await handle(record)
        after = records[-1].id


async def _feed(pool: Pool, only: Sequence[Record] | None, tasks: TaskGroup, lingering: TaskGroup) -> None:
    """Planned jobs, one for each free place: a million of them wait in the checkpoint, not in memory."""
    after = 0
    with pool.governor.switch.buying():
        while records := await pool.checkpoint.planned(after, _page(pool)) if only is None else only[after:]:
            for record in records:
                if not pool.approval.may_buy_job(record.id):
                    continue
                slot = Slot(pool.governor.slots)
                while pool.governor.slots.short_of_money:
                    await pool.governor.slots.settled.wait()
                await pool.governor.slots.take(slot)
                tasks.start_soon(_run, pool, record, slot, lingering)
            after = records[-1].id if only is None else len(only)
    pool.governor.gets.all_bought()


def _page(pool: Pool) -> int:
    return CHUNK if not pool.checkpoint.shared else max(1, min(CHUNK, CLAIMS * pool.governor.slots.places_left()))


async def resume(pool: Pool) -> None:
    """Take up what was given up: UNCOLLECTED → WAITING."""

    async def again(record: Record) -> None:
        with suppress(*others_changes(pool)):
            await apply_event(pool, record, Resumed(pool.clock()))

    await _each(pool, frozenset({State.UNCOLLECTED}), again)


async def _run(pool: Pool, record: Record, slot: Slot, lingering: TaskGroup) -> None:
    try:
        record = await run_job(pool, record, slot)
        if record.state is State.IN_DOUBT and pool.approval.may_buy_job_again(record.id):
            record = await run_job(pool, await apply_event(pool, record, Released(pool.clock(), BUY_AGAIN)), slot)
        if record.state in FINAL:
            pool.governor.switch.finished(record)
        if record.state is State.IN_DOUBT:
            seconds = pool.governor.slots.lingers(slot, record)
            if seconds > 0:
                pool.governor.slots.settled.give()  # its place stays taken, and nobody may wait for its money any longer
                lingering.start_soon(_linger, slot, seconds)
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
        action = next_action(record, pool.clock(), pool.governor.patience(pool.patience, record))
        match action:
            case Rest():
                return record
            case Reserve():
                bought = await buy(pool, record, slot)
                if bought is None:
                    return record
                record = bought
            case Sleep(until) if record.state is State.WAITING:
                if await pool.governor.gets.sleep_until_look(record, slot, until):
                    record = record._replace(due_at=0.0)
            case _:
                event = await attempt(pool, record, action, slot)
                if event is not None:
                    record = await _noted(pool, record, event, slot)
                elif record.state is State.PLANNED and pool.governor.switch.stopped():
                    return record
        if record.state not in REMOTE:
            slot.free()


async def _noted(pool: Pool, record: Record, event: Event, slot: Slot) -> Record:
    """``apply_event``; but when the service is done with the job, the next one has its place at once, so that its intention
    goes into the same commit: queued after the completion, so the budget check sees the released money and the cost.
    """
    if not isinstance(event, Completed):
        return await apply_event(pool, record, event)
    slot.free(quietly=True)
    record = await apply_event(pool, record, event)
    pool.governor.slots.settled.give()
    return record
