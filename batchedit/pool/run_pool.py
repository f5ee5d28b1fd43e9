"""Runs the pool: submit, poll and download, with the tasks beside it (progress, prices, lease, pace)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import Any

import anyio

from ..core.errors import BatcheditError
from ..core.model import Record, State
from ..ports import Snapshot, Stop
from ..scheduling.shared_rate import SharedRate
from .gravest_error import find_gravest
from .pool import Pool, take_in_left_ids
from .prices import ask_prices
from .worker import resume, run_all

REFRESH_SECONDS = 0.5
PRICES_SECONDS = 20.0
"""How often a run asks for costs that the results did not tell."""
PACE_SECONDS = 1.0
"""How often the workers of an account exchange how fast they send."""
OTHERS_SECONDS = 1.0
"""How often a process without work checks what the others have left."""


async def run_pool(
    pool: Pool,
    *,
    stop: Stop,
    refresh: Callable[[Snapshot], None] | None = None,
    only: Sequence[Record] | None = None,
    side_task: Callable[[Pool], Coroutine[Any, Any, None]] | None = None,
    resume_uncollected: bool = True,
) -> None:
    """Run all jobs. Returns when every job rests, buying has stopped, or ``stop`` was thrown.

    ``pool.approval`` says what may be bought; ``only`` lists those records where they are few. ``refresh`` is None where no
    progress is shown. ``side_task`` runs as long as the pool does, and is cancelled at its end: it may steer the pool.
    ``resume_uncollected``: also take up what was given up before.

    ``stop`` ends polling and downloading at once; the answer to a POST on the wire is still awaited and recorded.
    """
    with anyio.CancelScope() as scope:

        def end_run(reason: BatcheditError) -> None:
            pool.governor.switch.halt(reason)
            scope.cancel()

        stop.listen(end_run)
        try:
            async with anyio.create_task_group() as side_tasks:
                if refresh is not None:
                    side_tasks.start_soon(_refresh_regularly, pool, refresh)
                side_tasks.start_soon(_ask_prices_regularly, pool)
                if side_task is not None:
                    side_tasks.start_soon(side_task, pool)
                if resume_uncollected:
                    await resume(pool)
                await run_all(pool, only)
                await ask_prices(pool)
                side_tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise find_gravest(group) from group
        finally:
            stop.listen(None)
    if refresh is not None:
        refresh(await take_snapshot(pool))


async def collect_with_others(
    pool: Pool,
    *,
    stop: Stop,
    refresh: Callable[[Snapshot], None] | None = None,
    only: Sequence[Record] | None = None,
    side_task: Callable[[Pool], Coroutine[Any, Any, None]] | None = None,
    resume_uncollected: bool = True,
) -> None:
    """``run_pool``; and where other workers share the run, again for what they leave, until no worker has a job under way.

    What was given up is asked for again in the first pass alone, which a person's command began. What is given up later,
    here or by another worker, is left so: two workers would pass a stuck job to and fro without end.
    """
    ledger = pool.checkpoint
    if not ledger.shared:
        await run_pool(
            pool, stop=stop, refresh=refresh, only=only, side_task=side_task, resume_uncollected=resume_uncollected
        )
        return
    try:
        async with anyio.create_task_group() as side_tasks:
            side_tasks.start_soon(_keep_alive, pool, stop)
            side_tasks.start_soon(_share_pace, pool)
            while True:
                await run_pool(
                    pool, stop=stop, refresh=refresh, side_task=side_task, resume_uncollected=resume_uncollected
                )
                resume_uncollected = False
                if stop.reason or pool.governor.switch.halted:
                    break
                at_rest = await ledger.is_at_rest()
                if (at_rest or pool.took_over) and await take_in_left_ids(pool):
                    continue
                if at_rest:
                    break
                await anyio.sleep(OTHERS_SECONDS)
            side_tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise find_gravest(group) from group


async def _keep_alive(pool: Pool, stop: Stop) -> None:
    """Renew the lease. A worker that has lost it stops: the answers to its POSTs on the wire are still recorded."""
    try:
        while True:
            pool.took_over = bool(await pool.checkpoint.beat()) or pool.took_over
            pool.beat_at = monotonic()
            await anyio.sleep(pool.checkpoint.beat_seconds)
    except BatcheditError as error:
        pool.governor.switch.halt(error)
        stop.throw(error)


async def _share_pace(pool: Pool) -> None:
    """Exchange with the account's other workers how fast the service takes POSTs; the latest exchange holds."""
    posts = pool.governor.posts
    if not isinstance(posts.rate, SharedRate):
        return
    while True:
        if (account_pace := await pool.checkpoint.share_pace(posts.report(posts.rate))) is not None:
            posts.apply_account_pace(posts.rate, account_pace)
        await anyio.sleep(PACE_SECONDS)


async def _ask_prices_regularly(pool: Pool) -> None:
    """While the run goes on, so that the budget is checked against real costs."""
    while True:
        await anyio.sleep(PRICES_SECONDS)
        await ask_prices(pool)


async def _refresh_regularly(pool: Pool, refresh: Callable[[Snapshot], None]) -> None:
    while True:
        began = anyio.current_time()
        refresh(await take_snapshot(pool))
        # With thousands in flight a snapshot takes its time: never more than a fiftieth of all.
        await anyio.sleep(max(REFRESH_SECONDS, 50 * (anyio.current_time() - began)))


async def take_snapshot(pool: Pool) -> Snapshot:
    """The state of the run now."""
    counts, money = await pool.checkpoint.totals()
    outlook = pool.governor.outlook
    eta = outlook.estimate_eta(counts.of(State.PLANNED), counts.of(State.FETCHED), counts.of(State.DONE))
    return Snapshot(
        counts,
        money,
        eta,
        outlook.count_stalled(),
        pool.governor.describe_pause(),
        outlook.slowed,
        pool.commits,
        pool.beat_at,
    )
