"""The sentence: manifest → jobs → checkpoint → pool (submit, poll, download) → results."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import Any

import anyio

from ..core.errors import BatcheditError
from ..core.model import Record, State
from ..ports import Snapshot, Stop
from ..scheduling.shared_rate import SharedRate
from .failures import gravest
from .pool import Pool, taken_in
from .prices import ask_prices
from .worker import resume, run_all

REFRESH_SECONDS = 0.5
PRICES_SECONDS = 20.0
"""How often a run asks for costs that came without the result."""
PACE_SECONDS = 1.0
"""How often the workers of an account tell each other how fast they send."""
OTHERS_SECONDS = 1.0
"""So long a process without work waits until it looks what others have left."""


async def run_pool(
    pool: Pool,
    *,
    stop: Stop,
    refresh: Callable[[Snapshot], None] | None = None,
    only: Sequence[Record] | None = None,
    beside: Callable[[Pool], Coroutine[Any, Any, None]] | None = None,
    asks_again: bool = True,
) -> None:
    """The pool's part. Returns when every job rests, buying has stopped, or ``stop`` was thrown.

    ``pool.approval`` says what may be bought; ``only`` names it where it is little. ``refresh`` is None where nobody watches.
    ``beside`` goes on as long as the pool does, and ends with it: whoever steers it from outside. ``asks_again``: also after
    what was given up before.

    ``stop`` ends polling and downloading at once; a POST on the wire is waited for and its answer written down.
    """
    with anyio.CancelScope() as scope:

        def end(reason: BatcheditError) -> None:
            pool.governor.switch.halt(reason)
            scope.cancel()

        stop.listen(end)
        try:
            async with anyio.create_task_group() as around:
                if refresh is not None:
                    around.start_soon(_show, pool, refresh)
                around.start_soon(_ask_prices_now_and_then, pool)
                if beside is not None:
                    around.start_soon(beside, pool)
                if asks_again:
                    await resume(pool)
                await run_all(pool, only)
                await ask_prices(pool)
                around.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise gravest(group) from group
        finally:
            stop.listen(None)
    if refresh is not None:
        refresh(await snapshot(pool))


async def collect_with_others(
    pool: Pool,
    *,
    stop: Stop,
    refresh: Callable[[Snapshot], None] | None = None,
    only: Sequence[Record] | None = None,
    beside: Callable[[Pool], Coroutine[Any, Any, None]] | None = None,
    asks_again: bool = True,
) -> None:
    """``run_pool``; and where others work on the same run, once more for what they leave, until nobody has anything
    under way.

    What was given up is asked for again in the first pass alone, where a person's command began it. What is given up later,
    here or by another worker, is left so: two workers would hand a stuck job to and fro without end.
    """
    ledger = pool.checkpoint
    if not ledger.shared:
        await run_pool(pool, stop=stop, refresh=refresh, only=only, beside=beside, asks_again=asks_again)
        return
    try:
        async with anyio.create_task_group() as around:
            around.start_soon(_live, pool, stop)
            around.start_soon(_share_pace, pool)
            while True:
                await run_pool(pool, stop=stop, refresh=refresh, beside=beside, asks_again=asks_again)
                asks_again = False
                if stop.reason or pool.governor.switch.halted:
                    break
                rests = await ledger.is_at_rest()
                if (rests or pool.took_over) and await taken_in(pool):
                    continue
                if rests:
                    break
                await anyio.sleep(OTHERS_SECONDS)
            around.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise gravest(group) from group


async def _live(pool: Pool, stop: Stop) -> None:
    """Beat. A worker that was taken for dead stops: what it has on the wire is still written down."""
    try:
        while True:
            pool.took_over = bool(await pool.checkpoint.beat()) or pool.took_over
            pool.beat_at = monotonic()
            await anyio.sleep(pool.checkpoint.beat_seconds)
    except BatcheditError as error:
        pool.governor.switch.halt(error)
        stop.throw(error)


async def _share_pace(pool: Pool) -> None:
    """Tell the account's other workers how fast the service takes POSTs, and hear it; what was heard last holds."""
    posts = pool.governor.posts
    if not isinstance(posts.rate, SharedRate):
        return
    while True:
        if (told := await pool.checkpoint.share_pace(posts.report(posts.rate))) is not None:
            posts.hear(posts.rate, told)
        await anyio.sleep(PACE_SECONDS)


async def _ask_prices_now_and_then(pool: Pool) -> None:
    """While the run goes on, so that the budget knows what the wire really costs."""
    while True:
        await anyio.sleep(PRICES_SECONDS)
        await ask_prices(pool)


async def _show(pool: Pool, refresh: Callable[[Snapshot], None]) -> None:
    while True:
        began = anyio.current_time()
        refresh(await snapshot(pool))
        # With thousands in flight a snapshot takes its time: never more than a fiftieth of all.
        await anyio.sleep(max(REFRESH_SECONDS, 50 * (anyio.current_time() - began)))


async def snapshot(pool: Pool) -> Snapshot:
    """How the run stands now."""
    counts, money = await pool.checkpoint.totals()
    outlook = pool.governor.outlook
    eta = outlook.eta(counts.of(State.PLANNED), counts.of(State.FETCHED), counts.of(State.DONE))
    return Snapshot(
        counts, money, eta, outlook.stalled(), pool.governor.paused(), outlook.slowed, pool.commits, pool.beat_at
    )
