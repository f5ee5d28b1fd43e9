"""The loop for one job, and the work for all of them.

``drive`` asks the lifecycle what to do, does it, writes down what happened, and asks again. A fresh job and one found
after a crash run through the same lines. Nothing in here decides about money: the table does, and ``buy`` keeps its one
rule — intention on disk, then the POST, then its answer on disk, with nobody able to cut in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import assert_never

import anyio
from anyio.abc import TaskGroup

from ..core.errors import BatcheditError, BudgetReachedError, CheckpointError
from ..core.lifecycle import (
    FINAL,
    REMOTE,
    Accepted,
    Action,
    Cancel,
    CancelAsked,
    CancelDenied,
    Completed,
    Declined,
    Download,
    Errored,
    Event,
    GivenUp,
    GiveUp,
    Gone,
    Missed,
    Patience,
    Pending,
    Poll,
    Priced,
    Released,
    Reserve,
    Reserved,
    Rest,
    Resumed,
    Saved,
    Sleep,
    Spoiled,
    Submit,
    advance,
    next_action,
    recover,
)
from ..core.model import Record, SavedFile, State
from ..core.policy import RetryLimits, after_decline, backoff
from ..ports import Api, Broken, Checkpoint, Files, NoAnswer, Observer, StillRunning
from .governor import Clock, Governor, Slot

CHUNK = 500
ABSENT_LOOKS = 6
"""404 is believed after so many looks in a row: the service may need a moment to know its own request."""
ABSENT_SECONDS = 20.0
SILENT = 4
"""So many times in a row a cost was asked for and not told: the service does not tell."""
FIRST_COST_SECONDS = 5.0
BUY_AGAIN = "--on-doubt buy-again"
DOWNLOADS = 8
"""Files under way at once: a limit of their own, so that a slow file host holds no place among the jobs in flight."""

IN_FLIGHT = frozenset({State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED})


@dataclass
class Pool:
    """What all jobs of a run share.

    ``price`` is the estimate for one job in micro-dollars, 0 if unknown. ``buy_again`` is ``--on-doubt buy-again``.
    ``prepare`` makes a job's request ready to be sent: it is waited for before the intention is written.
    """

    api: Api
    checkpoint: Checkpoint
    files: Files
    observer: Observer
    governor: Governor
    clock: Clock
    rng: Random
    price: int = 0
    patience: Patience = field(default_factory=Patience)
    retries: RetryLimits = field(default_factory=RetryLimits)
    buy_again: bool = False
    prepare: Callable[[Record], Awaitable[None]] | None = None
    asked_in_vain: int = 0
    pricing: anyio.Lock = field(default_factory=anyio.Lock)
    first_cost: anyio.Lock = field(default_factory=anyio.Lock)
    downloads: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(DOWNLOADS, fast_acquire=True))


async def work(pool: Pool, *, buy: bool, only: Sequence[Record] | None = None) -> None:
    """Collect what was bought and, with ``buy``, buy what is planned, or ``only`` that: submitted ones first.

    Returns when every job rests. Buying may have stopped before (``pool.governor.halted`` says why). Raises what ends a
    run at once: CheckpointError, OutputError, TokenError.
    """
    try:
        async with anyio.create_task_group() as lingering:
            async with anyio.create_task_group() as tasks:
                await _each(pool, IN_FLIGHT, lambda record: _take_up(pool, record, tasks, lingering))
                if buy:
                    await _feed(pool, only, tasks, lingering)
            lingering.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise gravest(group) from group


async def _take_up(pool: Pool, record: Record, tasks: TaskGroup, lingering: TaskGroup) -> None:
    """Drive a record that an earlier process left in flight, once what ``recover`` says of it is written down."""
    event = recover(record, pool.clock())
    if event is not None:
        record = await step(pool, record, event)
    record = _watched(pool, record)
    slot = Slot(pool.governor)
    if record.state in REMOTE:
        pool.governor.take_now(slot)
        slot.since = record.accepted_at
    tasks.start_soon(_drive, pool, record, slot, lingering)


def _watched(pool: Pool, record: Record) -> Record:
    """A record as it came from disk knows nothing of looks: this process's patience with it begins now."""
    return record if record.watched_from else record._replace(watched_from=pool.clock())


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
    with pool.governor.buying():
        while records := await pool.checkpoint.planned(after, CHUNK) if only is None else only[after:]:
            for record in records:
                slot = Slot(pool.governor)
                while pool.governor.short_of_money:
                    await pool.governor.settlement()
                await pool.governor.take(slot)
                tasks.start_soon(_drive, pool, record, slot, lingering)
            after = records[-1].id if only is None else len(only)
    pool.governor.all_bought()


async def resume(pool: Pool) -> None:
    """Take up what was given up: UNCOLLECTED → WAITING."""

    async def again(record: Record) -> None:
        await step(pool, record, Resumed(pool.clock()))

    await _each(pool, frozenset({State.UNCOLLECTED}), again)


async def ask_prices(pool: Pool) -> None:
    """Ask again what jobs cost where the result did not say: the cost may appear a while later [contract].

    Stops at the first that still isn't told, so that a service that never tells costs one call. Asked in vain SILENT
    times, it is taken to be one of those, and a capped run that waits for a first cost goes on with the estimate.
    """
    after = 0
    async with pool.pricing:
        while pool.checkpoint.money().guesses and (records := await pool.checkpoint.unpriced(after, CHUNK)):
            for record in records:
                await pool.governor.get_turn()
                reply = await pool.api.look(record)
                cost = reply.cost if isinstance(reply, Completed | Errored) else None
                if cost is None:
                    pool.asked_in_vain += isinstance(reply, Completed | Errored)
                    pool.checkpoint.believes_estimate = pool.asked_in_vain >= SILENT
                    return
                await step(pool, record, Priced(pool.clock(), cost))
            after = records[-1].id


async def cancel(pool: Pool, records: Sequence[Record]) -> None:
    """Ask the service to cancel each of ``records``, which are bought; those that run already stay WAITING."""

    async def one(record: Record) -> None:
        """Ask for one, until the service has said what became of it."""
        if record.state is State.UNCOLLECTED:
            record = await step(pool, record, Resumed(pool.clock()))
        asked = _watched(pool, record)
        if asked.state is State.WAITING:
            asked = await step(pool, asked, CancelAsked(pool.clock()))
        while asked.state is State.CANCELLING:
            action = next_action(asked, pool.clock(), pool.patience)
            event = await _perform(pool, asked, action, Slot(pool.governor))
            asked = asked if event is None else await step(pool, asked, event)

    try:
        async with anyio.create_task_group() as tasks:
            for record in records:
                tasks.start_soon(one, record)
    except BaseExceptionGroup as group:
        raise gravest(group) from group


async def _drive(pool: Pool, record: Record, slot: Slot, lingering: TaskGroup) -> None:
    try:
        record = await drive(pool, record, slot)
        if record.state is State.IN_DOUBT and pool.buy_again:
            record = await drive(pool, await step(pool, record, Released(pool.clock(), BUY_AGAIN)), slot)
        if record.state in FINAL:
            pool.governor.finished(record)
        if record.state is State.IN_DOUBT:
            seconds = pool.governor.lingers(slot, record)
            if seconds > 0:
                lingering.start_soon(_linger, slot, seconds)
                slot = Slot(pool.governor)
    finally:
        slot.free()


async def _linger(slot: Slot, seconds: float) -> None:
    try:
        await anyio.sleep(seconds)
    finally:
        slot.free()


async def drive(pool: Pool, record: Record, slot: Slot) -> Record:
    """Run one job until it rests, or until buying has stopped and it has not been bought."""
    while True:
        action = next_action(record, pool.clock(), pool.patience)
        match action:
            case Rest():
                return record
            case Reserve():
                bought = await buy(pool, record, slot)
                if bought is None:
                    return record
                record = bought
            case Sleep(until) if record.state is State.WAITING:
                if await pool.governor.sleep_until_look(record, slot, until):
                    record = record._replace(due_at=0.0)
            case _:
                event = await _perform(pool, record, action, slot)
                if event is not None:
                    record = await _noted(pool, record, event, slot)
                elif record.state is State.PLANNED and pool.governor.stopped():
                    return record
        if record.state not in REMOTE:
            slot.free()


async def _noted(pool: Pool, record: Record, event: Event, slot: Slot) -> Record:
    """``step``; but when the service is done with the job, the next one has its place at once, so that its intention goes
    into the same commit: behind the end, so it is weighed with the money that the end sets free and the price it tells.
    """
    if not isinstance(event, Completed):
        return await step(pool, record, event)
    slot.free(quietly=True)
    record = await step(pool, record, event)
    pool.governor.money_changed()
    return record


async def buy(pool: Pool, record: Record, slot: Slot) -> Record | None:
    """Reserve, submit, and note the answer: the only way to spend money. None if buying has stopped.

    Everything that may take time — a place, a connection, a turn — is waited for before the intention is written. From
    there to the answer nothing can cancel it from inside; what a crash cuts off there is in doubt.
    """
    governor, in_vain = pool.governor, False
    with governor.buying():
        while not governor.stopped():
            await governor.take(slot)
            async with pool.api.post_permit():
                if pool.prepare is not None:
                    await pool.prepare(record)
                await governor.post_turn()
                with anyio.CancelScope(shield=True):
                    if governor.stopped():
                        return None
                    try:
                        record = await step(pool, record, Reserved(pool.clock(), _price(pool)))
                    except BudgetReachedError as reached:
                        governor.turn_unused()
                        budget = reached
                    else:
                        return await _submit(pool, record, slot)
            slot.free(quietly=True)
            money = pool.checkpoint.money()
            if money.in_flight:
                await governor.money_to_come_free()
            elif money.guesses and not money.settled:
                await _first_cost(pool)
            elif in_vain:
                governor.halt(budget)
            in_vain = not money.in_flight  # once more: the last one in flight may have ended since the refusal
    return None


async def _first_cost(pool: Pool) -> None:
    """Nothing is in flight and no cost is known: the next purchase waits until one is told, or surely is not."""
    async with pool.first_cost:
        if pool.checkpoint.money().settled:
            return
        await ask_prices(pool)
        if not pool.checkpoint.money().settled:
            await anyio.sleep(FIRST_COST_SECONDS)


async def _submit(pool: Pool, record: Record, slot: Slot) -> Record:
    event = await pool.api.submit(record)
    pool.governor.heard(event, record.submitted_at)
    if isinstance(event, Declined):
        event = after_decline(record, event, pool.retries, pool.rng, pool.clock())
    record = await step(pool, record, event)
    if record.state is State.WAITING:
        now = pool.clock()
        return record._replace(due_at=now + pool.governor.first_look_in(slot, now))
    return record


def _price(pool: Pool) -> int:
    """What to put aside: the estimate, or more once the service has charged more."""
    return max(pool.price, pool.checkpoint.top_price)


async def step(pool: Pool, record: Record, event: Event) -> Record:
    """The record after ``event``, on disk if the event is a durable one."""
    after = advance(record, event)
    if event.durable:
        try:
            after = await pool.checkpoint.save(after, event)
        except BaseException as error:  # a KeyboardInterrupt, too, may come while an id is written down
            if isinstance(event, Accepted):
                pool.checkpoint.rescue(after, event)
            if isinstance(error, CheckpointError):
                pool.governor.halt(error)  # nobody buys on while this one's error is on its way up
            raise
    pool.observer.saw(after, event)
    return after


async def _perform(pool: Pool, record: Record, action: Action, slot: Slot) -> Event | None:
    """One action but the buying ones. None where there is nothing to note."""
    match action:
        case Sleep(until):
            await _sleep(pool, record, until)
            return None
        case Poll():
            return await _look(pool, record, slot)
        case Cancel():
            return await _cancel(pool, record)
        case Download():
            return await _download(pool, record)
        case GiveUp(problem):
            return GivenUp(pool.clock(), problem)
        case Reserve() | Submit() | Rest():
            raise AssertionError(f"{action} is not performed here")
        case _:
            assert_never(action)


async def _sleep(pool: Pool, record: Record, until: float) -> None:
    pause = max(0.0, until - pool.clock())
    if record.state is not State.PLANNED:
        await anyio.sleep(pause)
        return
    with pool.governor.buying():
        await anyio.sleep(pause)


async def _look(pool: Pool, record: Record, slot: Slot) -> Event:
    await pool.governor.get_turn()
    reply = await pool.api.look(record)
    now = pool.clock()
    if not isinstance(reply, NoAnswer | Gone):
        pool.governor.known_at = now
    match reply:
        case StillRunning(word, running, position):
            pause = pool.governor.look_again_in(record, slot, now, reply)
            return Pending(now, now + pause, running, word, position)
        case NoAnswer():
            return _missed(pool, record, reply, now)
        case Completed() if record.state is State.WAITING:
            pool.governor.completed(record, now)
    return reply


async def _cancel(pool: Pool, record: Record) -> Event:
    """A 404 of this call says nothing about the job (it may be done, or the route missing): a look decides."""
    reply = await pool.api.cancel(record)
    now = pool.clock()
    if isinstance(reply, NoAnswer):
        return CancelDenied(now) if reply.absent else _missed(pool, record, reply, now)
    return reply


def _missed(pool: Pool, record: Record, reply: NoAnswer, now: float) -> Missed | Gone | GivenUp:
    """A 404 is believed after several in a row, and while the service knows other requests: else it has lost its mind,
    or the token is another account's, and what was bought is kept.
    """
    since = record.watched_from or record.accepted_at or now
    if reply.absent and record.absent + 1 >= ABSENT_LOOKS and now - since >= ABSENT_SECONDS:
        return Gone(now, reply.problem) if pool.governor.knew_another(now) else GivenUp(now, reply.problem)
    pause = reply.retry_after if reply.retry_after is not None else 1.0 + backoff(record.absent + 2, pool.rng, cap=30.0)
    return Missed(now, now + pause, reply.problem, reply.absent)


async def _download(pool: Pool, record: Record) -> Event:
    saved: list[SavedFile] = []
    async with pool.downloads:
        for index, output in enumerate(record.outputs):
            file = await pool.files.save(record, output, index)
            if isinstance(file, Broken):
                now = pool.clock()
                return Spoiled(now, now + backoff(record.spoils, pool.rng, cap=60.0), file.problem)
            saved.append(file)
    return Saved(pool.clock(), tuple(saved))


def gravest(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of what several tasks raised at once, the one to tell: a failing checkpoint before anything else."""
    leaves = list(_leaves(group))
    for wanted in (CheckpointError, BatcheditError):
        for leaf in leaves:
            if isinstance(leaf, wanted):
                return leaf
    return leaves[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
