"""The run's own side of wishes: read each second, done at once, and written down as what they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from ..core.errors import BatcheditError, StoppedError
from ..core.money import format_usd
from ..core.policy import NO_CAP
from ..ledger.wishes import Wish, Wished, Wishes
from ..pool.pool import Pool

if TYPE_CHECKING:
    from .session import Session

LOOK_SECONDS = 1.0


class Heed:
    """Heeds what is wished of one run after this was made. A pause lasts over all purchases of the process."""

    def __init__(self, run: Session, set_cap: Callable[[], None]) -> None:
        """``set_cap`` makes the settings' ``max_cost`` the run's cap."""
        self._run, self._set_cap = run, set_cap
        self._wishes = Wishes(run.folder.path)
        self._seen = self._wishes.last()
        self._paused = False

    async def beside(self, pool: Pool) -> None:
        """Until it is cancelled. A file that can't be read is told once, and the run goes on."""
        if self._paused:
            pool.governor.switch.pause()
        told = False
        while True:
            try:
                for wished in await to_thread.run_sync(self._wishes.since, self._seen):
                    self._seen = wished.seq
                    await self._do(wished, pool)
            except BatcheditError as error:
                if not told:
                    self._run.observer.note("wish_failed", f"what is wished of this run can't be done: {error}")
                told = True
            await anyio.sleep(LOOK_SECONDS)

    async def _do(self, wished: Wished, pool: Pool) -> None:
        note = self._run.observer.note
        match wished.wish:
            case Wish.PAUSE | Wish.RESUME:
                self._pause(pool, wished, paused=wished.wish is Wish.PAUSE)
            case Wish.STOP:
                self._run.host.stop.throw(StoppedError(f"stopped, as {wished.who} wished", hint=""))
            case Wish.CONCURRENCY:
                at_once = wished.number or 0
                self._run.settings = replace(self._run.settings, concurrency=at_once)
                pool.governor.set_concurrency(at_once)
                words = f"{at_once:,}" if at_once else "as many as the service bears"
                note("concurrency_set", f"jobs at once: {words}, as {wished.who} wished", jobs_at_once=at_once)
            case Wish.MAX_COST:
                cap = wished.number
                self._run.settings = replace(self._run.settings, max_cost=NO_CAP if cap is None else cap)
                await to_thread.run_sync(self._set_cap)
                words = "none" if cap is None else format_usd(cap)
                note("cap_set", f"the cap is {words} now{pool.governor.switch.money}, as {wished.who} wished", cap=cap)
                pool.governor.slots.settled.give()

    def _pause(self, pool: Pool, wished: Wished, *, paused: bool) -> None:
        if paused == self._paused:
            return
        self._paused = paused
        if self._run.live is not None:
            self._run.live.pause(paused=paused)
        if paused:
            pool.governor.switch.pause()
            self._run.observer.note("paused", f"paused, as {wished.who} wished: what was bought is collected")
        else:
            pool.governor.switch.go_on()
            self._run.observer.note("unpaused", f"buying goes on, as {wished.who} wished")
