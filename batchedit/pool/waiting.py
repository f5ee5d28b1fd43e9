"""Jobs between two looks, and who of them is called before the time: what others told may have made it too late.

A gap is chosen by what is known when it begins. With thousands in flight it is long, for all share the GETs that there
are; and the first jobs to end tell of all the others. So whenever an end is noticed, jobs that have meanwhile become
likely to be done are looked at at once, the likeliest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from ..scheduling.lifetimes import Lifetimes
from ..scheduling.polling import overdue

WORTH_SECONDS = 2.0
"""Shorter gaps are slept through: calling would cost more than it saves."""
_LEAST_PAUSE = 0.25  # seconds between two calls
_JUDGED_A_SECOND = 10_000  # sleepers at most, at 3 µs each


@dataclass(eq=False, slots=True)
class _Waiter:
    began: float
    looked: float
    call: anyio.Event = field(default_factory=anyio.Event)


class PollWaiters:
    """All jobs whose next look is more than WORTH_SECONDS away. Times are seconds on one clock."""

    def __init__(self) -> None:
        self._sleepers: dict[_Waiter, None] = {}
        self._called_at = -math.inf

    async def sleep(self, seconds: float, *, began: float, looked: float) -> bool:
        """Wait so long, or until called: was it called? The job runs since ``began``; ``looked`` is the last look."""
        sleeper = _Waiter(began, looked)
        self._sleepers[sleeper] = None
        try:
            with anyio.move_on_after(seconds):
                await sleeper.call.wait()
                return True
        finally:
            self._sleepers.pop(sleeper, None)
        return False

    def wake(self) -> None:
        """Call everybody: the process was suspended, and any of the jobs may be over."""
        for sleeper in self._sleepers:
            sleeper.call.set()
        self._sleepers.clear()

    def learned(self, lifetimes: Lifetimes, now: float, p: float) -> None:
        """An end was noticed: call who is overdue. The cap on GETs takes them in this order, the likeliest first."""
        pause = max(_LEAST_PAUSE, len(self._sleepers) / _JUDGED_A_SECOND)
        if now - self._called_at < pause or not self._sleepers:
            return
        self._called_at = now
        sleepers: Sequence[_Waiter] = list(self._sleepers)
        gaps = [(one.looked - one.began, now - one.began) for one in sleepers]
        for n in overdue(lifetimes, gaps, p=p):
            sleepers[n].call.set()
            del self._sleepers[sleepers[n]]
