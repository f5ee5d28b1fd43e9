"""When a GET may go out, and when each job that runs is polled next."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random

import anyio

from ..core.model import Kind, Record
from ..ports import NoAnswer, PollReply, StillRunning
from ..scheduling.get_rate import GetRate
from ..scheduling.polling import AUTO_P, DEFAULT_P, next_poll_delay
from .learning import Learning
from .slots import Slot, Slots
from .waiting import WORTH_SECONDS, PollWaiters
from .wake_signal import Signal

SILENCE_SECONDS = 10.0
"""After so long without an answer the run counts as waiting for the service."""


class Gets:
    """All GETs about a run's jobs. Times are seconds on ``clock``; ``poll_seconds`` is the gap set by --poll-seconds.

    ``held_until``: until then the service wants no GETs about jobs, by the latest Retry-After.
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
        self._in_flight_at_last_purchase = 0  # in flight when the last job was bought
        self._open_questions = 0  # GETs without an answer yet
        self._unanswered_since: float | None = None  # when the first GET since the last answer went out
        self.set_concurrency(concurrency)

    def set_concurrency(self, concurrency: int) -> None:
        """Scale the limits with ``concurrency`` jobs in flight, 0 for ``auto``: one poll every 20 s per job, and twice that
        for jobs that are likely to be done.
        """
        self._concurrency = concurrency
        self._polls_per_second = max(self._per_second, concurrency / 20)
        self._rate = GetRate(max(self._per_second, concurrency / 10))

    async def ask(self, poll: Callable[[], Awaitable[PollReply]]) -> PollReply:
        """Await ``poll`` as soon as one GET may go out."""
        wait = self._rate.take_turn(self._clock())
        if wait > 0:
            await anyio.sleep(wait)
        self._open_questions += 1
        if self._unanswered_since is None:
            self._unanswered_since = self._clock()
        try:
            reply = await poll()
        finally:
            self._open_questions -= 1
        if not (isinstance(reply, NoAnswer) and reply.problem.kind is Kind.UNREACHABLE):
            self._unanswered_since = self._clock() if self._open_questions else None
        return reply

    def measure_silence(self, now: float) -> float:
        """Seconds since the service stopped answering GETs; 0 up to SILENCE_SECONDS."""
        seconds = 0.0 if self._unanswered_since is None else now - self._unanswered_since
        return seconds if seconds > SILENCE_SECONDS else 0.0

    def wake(self) -> None:
        """Poll all that is in flight now: the process was suspended, and any of the jobs may be over."""
        if self._unanswered_since is not None:
            self._unanswered_since = self._clock()
        self._awake.give()
        self._waiters.wake()

    async def sleep_until_poll(self, record: Record, slot: Slot, until: float) -> bool:
        """Wait for the next poll of a job that runs. True if it became due sooner, by what was learned meanwhile."""
        now = self._clock()
        pause = max(0.0, until - now)
        if pause < WORTH_SECONDS or slot.since is None or record.problem is not None or self._poll_seconds:
            with anyio.move_on_after(pause):
                await self._awake.wait()
                return True
            return False
        return await self._waiters.sleep(pause, began=slot.since, polled_at=max(slot.since, record.polled_at))

    def schedule_first_poll(self, slot: Slot, now: float) -> float:
        """Seconds from the accept to the first poll."""
        slot.since = now
        early_poll = self._slots.in_flight.plan_early_poll(now, len(self._slots.taken))
        return early_poll if early_poll is not None else self._compute_next_delay(0.0, now)

    def schedule_next_poll(self, record: Record, slot: Slot, now: float, reply: StillRunning) -> float:
        """Learn from a poll that found the job unfinished; seconds until the next poll.

        A queued job can't be done sooner than one that starts now.
        """
        age = self._learning.note_running(record, slot, now, reply)
        self._slots.wake_next()
        return self._compute_next_delay(age, now)

    def note_completed(self, record: Record, now: float) -> None:
        """A poll found the job done: the new lifetime may make other jobs due at once."""
        self._learning.note_completed(record, now)
        self._waiters.wake_overdue(self._learning.lifetimes, now, self._compute_poll_chance())
        self._slots.wake_next()

    def note_all_bought(self) -> None:
        """Nothing is left to buy: from here on the jobs in flight decide when the run ends."""
        self._in_flight_at_last_purchase = len(self._slots.taken)

    def _compute_poll_chance(self) -> float:
        """The chance of the job's end that a gap between polls carries.

        While more jobs are to be bought, a late poll holds up one slot of many. When no more come it holds up the end
        of the run if it is the last job's: the fewer are left, the likelier that is. A gap that is to cost as much as it
        saves goes with the root of that (Keller, "Optimum checking schedules", Management Science 21, 1974). With ``-j``
        given only the last quarter is polled more often: before that it costs GETs and gains nothing
        (``benchmarks/LOG.md``). Under ``-j auto`` a late poll costs nothing while a short queue keeps the service busy.
        """
        share_left = (
            len(self._slots.taken) / self._in_flight_at_last_purchase if self._in_flight_at_last_purchase else 1.0
        )
        if self._concurrency:
            return DEFAULT_P * math.sqrt(min(1.0, 4.0 * share_left))
        return AUTO_P * math.sqrt(min(1.0, share_left))

    def _compute_next_delay(self, age: float, now: float) -> float:
        return next_poll_delay(
            self._learning.lifetimes,
            age,
            p=self._compute_poll_chance(),
            rng=self._rng,
            now=now,
            fixed=self._poll_seconds,
            floor=self._compute_least_gap(),
        )

    def _compute_least_gap(self) -> float:
        """Least seconds between two polls of one job: with thousands in flight, as long as the cap on GETs requires.

        Polls faster than the GET limit would only queue, and delay the last jobs.
        """
        return 0.2 if self._poll_seconds else max(0.2, len(self._slots.taken) / self._polls_per_second - 1.0)
