"""Jobs between two polls, and which of them are polled early because the ends of other jobs make them likely to be done.

A gap is chosen by what is known when it begins. With thousands in flight it is long, since all share the GETs; and the
first jobs to end show how long the others take. So whenever an end is noticed, jobs that have meanwhile become likely to
be done are polled at once, the likeliest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from ..scheduling.lifetimes import Lifetimes
from ..scheduling.polling import find_overdue

WORTH_SECONDS = 2.0
"""Shorter gaps are slept through: waking early would cost more than it saves."""
_LEAST_PAUSE = 0.25  # seconds between two checks for overdue jobs
_CHECKED_A_SECOND = 10_000  # waiters at most, at 3 µs each


@dataclass(eq=False, slots=True)
class _Waiter:
    began: float
    polled_at: float
    woken: anyio.Event = field(default_factory=anyio.Event)


class PollWaiters:
    """All jobs whose next poll is more than WORTH_SECONDS away. Times are seconds on one clock."""

    def __init__(self) -> None:
        self._waiters: dict[_Waiter, None] = {}
        self._checked_at = -math.inf

    async def sleep(self, seconds: float, *, began: float, polled_at: float) -> bool:
        """Wait so long, or until woken: True if woken. The job runs since ``began``; ``polled_at`` is the last poll."""
        waiter = _Waiter(began, polled_at)
        self._waiters[waiter] = None
        try:
            with anyio.move_on_after(seconds):
                await waiter.woken.wait()
                return True
        finally:
            self._waiters.pop(waiter, None)
        return False

    def wake(self) -> None:
        """Wake all: the process was suspended, and any of the jobs may be over."""
        for waiter in self._waiters:
            waiter.woken.set()
        self._waiters.clear()

    def wake_overdue(self, lifetimes: Lifetimes, now: float, p: float) -> None:
        """An end was noticed: wake the overdue. The cap on GETs takes them in this order, the likeliest first."""
        pause = max(_LEAST_PAUSE, len(self._waiters) / _CHECKED_A_SECOND)
        if now - self._checked_at < pause or not self._waiters:
            return
        self._checked_at = now
        waiters: Sequence[_Waiter] = list(self._waiters)
        gaps = [(waiter.polled_at - waiter.began, now - waiter.began) for waiter in waiters]
        for n in find_overdue(lifetimes, gaps, p=p):
            waiters[n].woken.set()
            del self._waiters[waiters[n]]
