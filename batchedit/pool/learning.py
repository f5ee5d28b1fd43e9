"""What the jobs of a run teach: how long one takes, how long the run takes still, and how much the service slows it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ..core.errors import CheckpointError
from ..core.model import Record
from ..core.slowdown import Slowdown
from ..ports import Observer, StillRunning
from ..scheduling.eta import eta
from ..scheduling.lifetimes import Lifetimes
from ..scheduling.polling import stalled
from ..scheduling.slowdown import Allowed, Left, left
from .posts import Posts
from .slots import Slot, Slots

_LATELY = 30.0
_FEW = 4
"""Files that are on their way at any moment of a calm run."""
_UNSURE = 1.5
"""By how much the time for the files that wait may be wrong."""


class Learning:
    """Keeps ``lifetimes`` and the queue's length (``slots.in_flight``) up to date. Times are seconds on the run's clock."""

    def __init__(self, lifetimes: Lifetimes, slots: Slots) -> None:
        self.lifetimes = lifetimes
        self._slots = slots
        self._resumed_at = -math.inf

    def restart(self, now: float) -> None:
        """The process was suspended until ``now``: how long the jobs took that ran meanwhile is not known."""
        self._resumed_at = now

    def still_running(self, record: Record, slot: Slot, now: float, reply: StillRunning) -> float:
        """Learn from a poll that found the job not finished. How long it has run, in seconds: 0 while it is queued."""
        accepted = _accepted(record, now)
        if not reply.running:
            slot.since = now
            self._slots.in_flight.queued(
                now - accepted,
                0.0,
                reply.queue_position,
                now,
                in_use=len(self._slots.taken),
                waiting=True,
                accepted_at=accepted,
            )
            return 0.0
        slot.since = since = _began(record, now)
        age = max(0.0, now - since)
        if self._was_seen_throughout(record):
            self.lifetimes.censored(age, since=max(0.0, record.polled_at - since))
        self._slots.in_flight.queued(
            _surely_queued(record, accepted),
            0.0,
            None,
            now,
            in_use=len(self._slots.taken),
            waiting=False,
            accepted_at=accepted,
        )
        return age

    def completed(self, record: Record, now: float) -> None:
        """A poll found the job done: it ended somewhere between the last poll and this one."""
        since = _began(record, now)
        last = max(0.0, record.polled_at - since)
        if self._was_seen_throughout(record):
            self.lifetimes.finished(max(0.0, now - since), since=last)
        accepted = since if record.accepted_at is None else _accepted(record, now)
        ran = max(0.0, (max(record.polled_at, since) + now) / 2 - since)
        queued = _surely_queued(record, accepted)
        self._slots.in_flight.queued(queued, ran, None, now, in_use=len(self._slots.taken), accepted_at=accepted)

    def _was_seen_throughout(self, record: Record) -> bool:
        """Was the process never suspended while this job ran? Else nobody knows how long it took."""
        return record.accepted_at is None or record.accepted_at >= self._resumed_at


class Downloads:
    """How long the files take that are still to be had, by how many came lately. Times are seconds on the run's clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()  # when, and how many jobs were done by then

    def seconds(self, fetched: int, done: int, now: float) -> float | None:
        """Until the files of ``fetched`` jobs are there; None where so many wait that it matters and none has come yet."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _LATELY:
            self._seen.popleft()
        since, before = self._seen[0]
        if fetched <= _FEW:
            return 0.0
        return fetched * (now - since) / (done - before) if done > before else None


class Outlook:
    """For those who watch: what is left, and what slows it. ``rate`` is the POSTs a second that were wished for."""

    def __init__(
        self, rate: float | None, *, lifetimes: Lifetimes, slots: Slots, posts: Posts, clock: Callable[[], float]
    ) -> None:
        self._rate = rate
        self._lifetimes = lifetimes
        self._slots = slots
        self._posts = posts
        self._slowness = posts.slowness
        self._clock = clock
        self._downloads = Downloads()

    def eta(self, planned: int, fetched: int = 0, done: int = 0) -> tuple[float, float] | None:
        """Seconds until the run is over (p50, p90); None while nothing is known. ``fetched`` jobs have ended and are not
        ``done``, for their files are still to be had.
        """
        behind = self._downloads.seconds(fetched, done, self._clock())
        if not self._lifetimes.observations or behind is None:
            return None
        allowed = self._bears()
        half, most = eta(self._lifetimes, self._slots.ages(), planned, allowed.at_once, rate=allowed.rate)
        return max(half, behind), max(most, _UNSURE * behind)

    def stalled(self) -> int:
        """Jobs in flight that take unusually long. They are looked after, not bought again."""
        if not self._lifetimes.observations:
            return 0
        return sum(stalled(self._lifetimes, age) for age in self._slots.ages())

    @property
    def slowed(self) -> Slowdown | None:
        """What slows the run now, and how much longer it takes for that, all in all; None where nothing does."""
        return self._slowness.now

    @property
    def slowed_in_all(self) -> Slowdown | None:
        """What slowed the run last, and how much longer it has become; None where nothing ever did."""
        return self._slowness.in_all

    async def notice_slowdown(
        self, planned: Callable[[], Awaitable[int]], observer: Observer, *, stopped: Callable[[], bool]
    ) -> None:
        """Measure, once a beat, what the service slows; note what is new. ``planned`` says how many jobs are still to buy."""
        now = self._clock()
        self._slowness.beat(now, held=now < self._posts.rate.held_until)
        allows, left = self._allows(), None
        if allows is not None and not stopped():
            with suppress(CheckpointError):  # who writes to it will find out, and end the run in order
                left = self._left(await planned())
        if not self._slowness.measure(now, allows, left):
            return
        if slowdown := self._slowness.now:
            observer.note("slowed", str(slowdown), **slowdown.as_json())
        else:
            observer.note("slowed_over", "the service slows this run no longer")

    def over(self) -> None:
        """Nothing is bought any more: what is left is no longer slowed."""
        self._slowness.over()

    def _allows(self) -> Slowdown | None:
        """What the service lets through, where refusals told it."""
        limit = self._slots.account.limit
        if limit is not None:
            return Slowdown(jobs_at_once=limit)
        rate = self._slowest()
        return None if rate is None else Slowdown(posts_per_second=rate)

    def _slowest(self) -> float | None:
        learned = self._posts.rate.learned
        return self._slowness.pace() if learned is None else learned

    def _left(self, planned: int) -> Left | None:
        if not planned or not self._lifetimes.observations:
            return None
        wished = Allowed(self._slots.in_flight.allowed(self._clock()), self._rate)
        return left(self._lifetimes, self._slots.ages(), planned, self._bears(), wished)

    def _bears(self) -> Allowed:
        slowest = self._slowest()
        return Allowed(self._slots.allowed(), self._posts.rate.own if slowest is None else slowest)


def _began(record: Record, now: float) -> float:
    """Where the clock of the job's run starts, this poll (``now``) having found it out of the queue."""
    if record.left_queue_at is not None:
        return record.left_queue_at
    if record.queued_at is not None:
        return (record.queued_at + now) / 2
    return _accepted(record, now)


def _accepted(record: Record, now: float) -> float:
    """When the service took the job: not after ``now``, whatever clock wrote it down."""
    return now if record.accepted_at is None else min(record.accepted_at, now)


def _surely_queued(record: Record, accepted: float) -> float:
    """Seconds from the accept to the last poll that found the job in the queue.

    Not to the middle between that poll and the next, as for the job's own clock: the next one comes seconds later, and a
    wait of half a second would pass for a queue that is far too long.
    """
    return max(0.0, record.queued_at - accepted) if record.queued_at is not None else 0.0
