"""Asks what jobs cost, where the result did not tell."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import anyio

from ..core.events import CancelConfirmed, Completed, Errored, Priced
from .pool import CHUNK, Pool, apply_event, list_conflict_errors

SILENT = 4
"""After so many costs that were asked for and not told, the service is taken not to tell costs."""
FIRST_COST_SECONDS = 5.0


async def ask_prices(pool: Pool) -> None:
    """Ask again what jobs cost where the result did not tell: the cost may appear a while later [contract].

    Stops at the first that still isn't told, so that a service that never tells costs one call. After SILENT such calls
    it is taken to be one of those, and a capped run that waits for a first cost goes on with the estimate.
    """
    after = 0
    async with pool.pricing:
        while (await pool.checkpoint.totals()).money.guesses:
            records = await pool.checkpoint.list_unpriced(after, CHUNK)
            if not records:
                return
            for record in records:
                reply = await pool.governor.gets.ask(partial(pool.api.poll, record))
                has_ended = isinstance(reply, Completed | Errored | CancelConfirmed)
                cost = reply.cost if isinstance(reply, Completed | Errored | CancelConfirmed) else None
                if cost is None:
                    pool.costs_not_told += has_ended
                    pool.checkpoint.believes_estimate = pool.costs_not_told >= SILENT
                    return
                with suppress(*list_conflict_errors(pool)):
                    await apply_event(pool, record, Priced(pool.clock(), cost))
            after = records[-1].id


async def wait_for_first_cost(pool: Pool) -> None:
    """Nothing is in flight and no cost is known: the next purchase waits until the service tells one, or surely does not."""
    async with pool.first_cost:
        if not (await pool.checkpoint.totals()).money.awaits_cost:
            return
        await ask_prices(pool)
        if (await pool.checkpoint.totals()).money.awaits_cost:
            await anyio.sleep(FIRST_COST_SECONDS)
