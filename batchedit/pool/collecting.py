"""The actions that buy nothing: polls, downloads, cancels and the waits between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import assert_never

import anyio

from ..core.actions import Action, Cancel, Download, GiveUp, Poll, Reserve, Rest, Sleep, Submit, next_action, drop_future_due_at
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
from ..core.policy import backoff
from ..ports import Broken, NoAnswer, StillRunning
from .failures import gravest
from .pool import Pool, apply_event, unforeseen
from .slots import Slot

ABSENT_LOOKS = 6
"""404 is believed after so many looks in a row: the service may need a moment to know its own request."""
ABSENT_SECONDS = 20.0


async def attempt(pool: Pool, record: Record, action: Action, slot: Slot) -> Event | None:
    """``_perform``; but an error that nobody foresaw, about one job that is bought, harms that job alone.

    It is UNCOLLECTED with the error's type in its row, and later runs ask again.
    """
    try:
        return await _perform(pool, record, action, slot)
    except BatcheditError:
        raise
    except Exception as error:
        if record.state not in BOUGHT:
            raise
        return GivenUp(pool.clock(), unforeseen(error))


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
    with pool.governor.switch.buying():
        await anyio.sleep(pause)


async def _look(pool: Pool, record: Record, slot: Slot) -> Event:
    reply = await pool.governor.gets.ask(partial(pool.api.look, record))
    pool.governor.notice_suspension()
    now = pool.clock()
    match reply:
        case StillRunning(word, running, position):
            pause = pool.governor.gets.poll_again_in(record, slot, now, reply)
            return Pending(now, now + pause, running, word, position, reply.problem)
        case NoAnswer():
            return _missed(pool, record, reply, now)
        case Completed() if record.state is State.WAITING:
            pool.governor.gets.completed(record, now)
    return reply


async def _cancel(pool: Pool, record: Record) -> Event:
    """A 404 of this call says nothing about the job (it may be done, or the route missing): a look decides."""
    reply = await pool.api.cancel(record)
    now = pool.clock()
    if isinstance(reply, NoAnswer):
        return CancelDenied(now) if reply.absent else _missed(pool, record, reply, now)
    return reply


def _missed(pool: Pool, record: Record, reply: NoAnswer, now: float) -> Missed | Gone:
    """A 404 is believed after several in a row over some time. It is no end: later runs ask again."""
    since = record.watched_from or record.accepted_at or now
    if reply.absent and record.absent + 1 >= ABSENT_LOOKS and pool.governor.beats.waited(since, now) >= ABSENT_SECONDS:
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
    """Ask the service to cancel each of ``records``, which are bought; those that run already stay WAITING."""

    async def one(record: Record) -> None:
        """Ask for one, until the service has said what became of it."""
        if record.state is State.UNCOLLECTED:
            record = await apply_event(pool, record, Resumed(pool.clock()))
        asked = drop_future_due_at(begin_watch(pool, record), pool.clock())
        if asked.state is State.WAITING:
            asked = await apply_event(pool, asked, CancelAsked(pool.clock()))
        while asked.state is State.CANCELLING:
            action = next_action(asked, pool.clock(), pool.patience)
            event = await attempt(pool, asked, action, Slot(pool.governor.slots))
            asked = asked if event is None else await apply_event(pool, asked, event)

    try:
        async with anyio.create_task_group() as tasks:
            for record in records:
                tasks.start_soon(one, record)
    except BaseExceptionGroup as group:
        raise gravest(group) from group


def begin_watch(pool: Pool, record: Record) -> Record:
    """A record as it came from disk knows nothing of looks: this process's patience with it begins now."""
    return record if record.watched_from else record._replace(watched_from=pool.clock())
