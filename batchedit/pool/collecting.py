"""The actions that buy nothing: polls, downloads, cancels and the waits between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import assert_never

import anyio

from ..core.actions import (
    Action,
    Cancel,
    Download,
    GiveUp,
    Poll,
    Reserve,
    Rest,
    Sleep,
    Submit,
    drop_future_due_at,
    next_action,
)
from ..core.backoff import backoff
from ..core.errors import BatcheditError
from ..core.events import (
    CancelAsked,
    CancelDenied,
    Completed,
    Event,
    GivenUp,
    Gone,
    Missed,
    Pending,
    Resumed,
    Saved,
    Spoiled,
)
from ..core.lifecycle import BOUGHT
from ..core.model import Record, SavedFile, State
from ..ports import Broken, NoAnswer, StillRunning
from .gravest_error import find_gravest
from .pool import Pool, apply_event, describe_unforeseen
from .slots import Slot

ABSENT_POLLS = 6
"""A 404 is believed after so many polls in a row: the service may need a moment to know its own request."""
ABSENT_SECONDS = 20.0


async def attempt(pool: Pool, record: Record, action: Action, slot: Slot) -> Event | None:
    """``_perform``; but an unexpected error about one job that is bought affects that job alone.

    The job becomes UNCOLLECTED with the error's type in its row, and later runs ask again.
    """
    try:
        return await _perform(pool, record, action, slot)
    except BatcheditError:
        raise
    except Exception as error:
        if record.state not in BOUGHT:
            raise
        return GivenUp(pool.clock(), describe_unforeseen(error))


async def _perform(pool: Pool, record: Record, action: Action, slot: Slot) -> Event | None:
    """Any action except those that buy. None where no event follows from it."""
    match action:
        case Sleep(until):
            await _sleep(pool, record, until)
            return None
        case Poll():
            return await _poll(pool, record, slot)
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
    with pool.governor.switch.open_buying_scope():
        await anyio.sleep(pause)


async def _poll(pool: Pool, record: Record, slot: Slot) -> Event:
    reply = await pool.governor.gets.ask(partial(pool.api.poll, record))
    pool.governor.notice_suspension()
    now = pool.clock()
    match reply:
        case StillRunning(word, running, position):
            pause = pool.governor.gets.schedule_next_poll(record, slot, now, reply)
            return Pending(now, now + pause, running, word, position, reply.problem)
        case NoAnswer():
            return _judge_missed(pool, record, reply, now)
        case Completed() if record.state is State.WAITING:
            pool.governor.gets.note_completed(record, now)
    return reply


async def _cancel(pool: Pool, record: Record) -> Event:
    """A 404 of this call says nothing about the job (it may be done, or the route missing): a poll decides."""
    reply = await pool.api.cancel(record)
    now = pool.clock()
    if isinstance(reply, NoAnswer):
        return CancelDenied(now) if reply.absent else _judge_missed(pool, record, reply, now)
    return reply


def _judge_missed(pool: Pool, record: Record, reply: NoAnswer, now: float) -> Missed | Gone:
    """A 404 is believed after several in a row over some time. It does not end the job: later runs ask again."""
    since = record.watched_from or record.accepted_at or now
    if (
        reply.absent
        and record.absent + 1 >= ABSENT_POLLS
        and pool.governor.beats.count_awake(since, now) >= ABSENT_SECONDS
    ):
        return Gone(now, reply.problem)
    pause = reply.retry_after if reply.retry_after is not None else 1.0 + backoff(record.absent + 2, pool.rng, cap=30.0)
    if reply.retry_after is not None:
        pool.governor.gets.held_until = max(pool.governor.gets.held_until, now + pause)
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


async def cancel(pool: Pool, records: Sequence[Record]) -> None:
    """Ask the service to cancel each of ``records``, which are bought; those that already run stay WAITING."""

    async def cancel_one(record: Record) -> None:
        """Ask until the service has told the outcome."""
        if record.state is State.UNCOLLECTED:
            record = await apply_event(pool, record, Resumed(pool.clock()))
        watched = drop_future_due_at(begin_watch(pool, record), pool.clock())
        if watched.state is State.WAITING:
            watched = await apply_event(pool, watched, CancelAsked(pool.clock()))
        while watched.state is State.CANCELLING:
            action = next_action(watched, pool.clock(), pool.patience)
            event = await attempt(pool, watched, action, Slot(pool.governor.slots))
            watched = watched if event is None else await apply_event(pool, watched, event)

    try:
        async with anyio.create_task_group() as tasks:
            for record in records:
                tasks.start_soon(cancel_one, record)
    except BaseExceptionGroup as group:
        raise find_gravest(group) from group


def begin_watch(pool: Pool, record: Record) -> Record:
    """A record from disk has no time of a poll: the time after which this process gives it up begins now."""
    return record if record.watched_from else record._replace(watched_from=pool.clock())
