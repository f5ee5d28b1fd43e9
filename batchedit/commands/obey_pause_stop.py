"""Carries out the wishes of a person in the run's own process: they are read each second, done at once and logged."""

from __future__ import annotations

from dataclasses import replace

import anyio
from anyio import to_thread

from ..core.budget import NO_CAP
from ..core.errors import BatcheditError, StoppedError
from ..core.money import format_usd
from ..ledger.pause_stop_wishes import Wish, WishRecord
from ..pool.pool import Pool
from .session import Session, set_cap

READ_SECONDS = 1.0


async def follow_wishes(run: Session, pool: Pool) -> None:
    """Carry out the run's wishes until cancelled. A file that can't be read is reported once, and the run goes on."""
    if run.paused:
        pool.governor.switch.pause()
    is_reported = False
    while True:
        try:
            for wished in await to_thread.run_sync(run.wishes.since, run.last_handled_wish):
                run.last_handled_wish = wished.seq
                await _fulfil(run, wished, pool)
        except BatcheditError as error:
            if not is_reported:
                run.observer.note("wish_failed", f"what is wished of this run can't be done: {error}")
            is_reported = True
        await anyio.sleep(READ_SECONDS)


async def _fulfil(run: Session, wished: WishRecord, pool: Pool) -> None:
    note = run.observer.note
    match wished.wish:
        case Wish.PAUSE | Wish.RESUME:
            _set_paused(run, pool, wished, paused=wished.wish is Wish.PAUSE)
        case Wish.STOP:
            run.host.stop.throw(StoppedError(f"stopped, as {wished.who} wished", hint=""))
        case Wish.CONCURRENCY:
            concurrency = wished.number or 0
            run.settings = replace(run.settings, concurrency=concurrency)
            pool.governor.set_concurrency(concurrency)
            text = f"{concurrency:,}" if concurrency else "as many as the service bears"
            note("concurrency_set", f"jobs at once: {text}, as {wished.who} wished", jobs_at_once=concurrency)
        case Wish.MAX_COST:
            cap = wished.number
            run.settings = replace(run.settings, max_cost=NO_CAP if cap is None else cap)
            await to_thread.run_sync(set_cap, run)
            text = "none" if cap is None else format_usd(cap)
            note("cap_set", f"the cap is {text} now{pool.governor.switch.money}, as {wished.who} wished", cap=cap)
            pool.governor.slots.settled.give()


def _set_paused(run: Session, pool: Pool, wished: WishRecord, *, paused: bool) -> None:
    if paused == run.paused:
        return
    run.paused = paused
    if run.live is not None:
        run.live.pause(paused=paused)
    if paused:
        pool.governor.switch.pause()
        run.observer.note("paused", f"paused, as {wished.who} wished: what was bought is collected")
    else:
        pool.governor.switch.go_on()
        run.observer.note("unpaused", f"buying goes on, as {wished.who} wished")
