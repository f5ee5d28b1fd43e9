"""When a GET may go out, and when each job that runs is polled next."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random

import anyio

from ..core.model import Kind, Record
from ..ports import LookReply, NoAnswer, StillRunning
from ..scheduling.get_rate import GetRate
from ..scheduling.polling import AUTO_P, DEFAULT_P, next_poll_delay
from .learning import Learning
from .signal import Signal
from .slots import Slot, Slots
from .waiting import WORTH_SECONDS, PollWaiters

SILENCE_SECONDS = 10.0
"""A service that answers no question for so long is waited for."""


class Gets:
    """All GETs about a run's jobs. Times are seconds on ``clock``; ``poll_seconds`` is a gap that a person asked for.

    ``held_until``: until then the service wants no question about jobs, as it said to the latest one.
    """

    def __init__(
        self,
        per_second: float,
        concurrency: int,
        poll_seconds: float | None,
        *,
        clock: Callable[[], float],
        rng: Random,
        slots: Slots,
        learning: Learning,
    ) -> None:
        self.held_until = 0.0
        self._per_second = per_second
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._rng = rng
        self._slots = slots
        self._learning = learning
        self._waiters = PollWaiters()
        self._awake = Signal()
        self._last_crowd = 0  # in flight when the last job was bought
        self._asked = 0  # questions that are out
        self._unanswered_since: float | None = None  # when the first one went out of those behind the last answer
        self.limit(concurrency)

    def limit(self, concurrency: int) -> None:
        """Scale the limits with ``concurrency`` jobs in flight, 0 for ``auto``: one poll every 20 s about each, and twice as
        many of those about jobs that are likely to be done.
        """
        self._concurrency = concurrency
        self._polls_per_second = max(self._per_second, concurrency / 20)
        self._rate = GetRate(max(self._per_second, concurrency / 10))

    async def ask(self, look: Callable[[], Awaitable[LookReply]]) -> LookReply:
        """``look``, as soon as one GET may go out."""
        wait = self._rate.turn(self._clock())
        if wait > 0:
            await anyio.sleep(wait)
        self._asked += 1
        if self._unanswered_since is None:
            self._unanswered_since = self._clock()
        try:
            reply = await look()
        finally:
            self._asked -= 1
        if not (isinstance(reply, NoAnswer) and reply.problem.kind is Kind.UNREACHABLE):
            self._unanswered_since = self._clock() if self._asked else None
        return reply

    def silent_for(self, now: float) -> float:
        """Seconds for which the service has answered no question; 0 while that is not worth a word."""
        seconds = 0.0 if self._unanswered_since is None else now - self._unanswered_since
        return seconds if seconds > SILENCE_SECONDS else 0.0

    def wake(self) -> None:
        """Poll all that is in flight now: the process was suspended, and any of the jobs may be over."""
        if self._unanswered_since is not None:
            self._unanswered_since = self._clock()
        self._awake.give()
        self._waiters.wake()

    async def sleep_until_look(self, record: Record, slot: Slot, until: float) -> bool:
        """Wait for the next look at a job that runs. True if it is due sooner, by what was learned meanwhile."""
        now = self._clock()
        pause = max(0.0, until - now)
        if pause < WORTH_SECONDS or slot.since is None or record.problem is not None or self._poll_seconds:
            with anyio.move_on_after(pause):
                await self._awake.wait()
                return True
            return False
        return await self._waiters.sleep(pause, began=slot.since, looked=max(slot.since, record.polled_at))

    def first_look_in(self, slot: Slot, now: float) -> float:
        """Seconds from the accept to the first look."""
        slot.since = now
        scout = self._slots.in_flight.scout(now, len(self._slots.taken))
        return scout if scout is not None else self._next_look(0.0, now)

    def poll_again_in(self, record: Record, slot: Slot, now: float, reply: StillRunning) -> float:
        """Seconds until the next look, having learned from this one.

        A queued job can't be done sooner than one that starts now.
        """
        age = self._learning.still_running(record, slot, now, reply)
        self._slots.wake_next()
        return self._next_look(age, now)

    def completed(self, record: Record, now: float) -> None:
        """A look found the job done: what it tells may make others due at once."""
        self._learning.completed(record, now)
        self._waiters.learned(self._learning.lifetimes, now, self._chance())
        self._slots.wake_next()

    def all_bought(self) -> None:
        """Nothing is left to buy: from here on the jobs in flight decide when the run ends."""
        self._last_crowd = len(self._slots.taken)

    def _chance(self) -> float:
        """The chance that a gap between looks carries.

        While more jobs are to be bought, a late look holds up one place of many. When no more come it holds up the end
        of the run if it is the last job's: the fewer are left, the likelier that is. A gap that is to cost as much as it
        saves goes with the root of that (Keller, "Optimum checking schedules", Management Science 21, 1974). With ``-j``
        given only the last quarter is looked at more often: before that it costs GETs and gains nothing
        (``benchmarks/LOG.md``). Under ``-j auto`` a late look costs nothing while a short queue keeps the service busy.
        """
        left = len(self._slots.taken) / self._last_crowd if self._last_crowd else 1.0
        if self._concurrency:
            return DEFAULT_P * math.sqrt(min(1.0, 4.0 * left))
        return AUTO_P * math.sqrt(min(1.0, left))

    def _next_look(self, age: float, now: float) -> float:
        return next_poll_delay(
            self._learning.lifetimes,
            age,
            p=self._chance(),
            rng=self._rng,
            now=now,
            fixed=self._poll_seconds,
            floor=self._least_gap(),
        )

    def _least_gap(self) -> float:
        """Seconds between two looks at one job: with thousands in flight not shorter than the cap on GETs lets all have.

        Do not schedule polls faster than the GET limit allows: they would tell no more, and hold up the last ones.
        """
        return 0.2 if self._poll_seconds else max(0.2, len(self._slots.taken) / self._polls_per_second - 1.0)
