"""What is learned from a run's jobs: how long one takes, how long the run still takes, how much the service slows it."""

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
from ..scheduling.polling import is_stalled
from ..scheduling.slowdown import Pace, TimeLeft, estimate_left
from .posts import Posts
from .slots import Slot, Slots

_LATELY = 30.0
_FEW = 4
"""Downloads under way at any moment of an undisturbed run."""
_UNSURE = 1.5
"""Factor by which the estimated time for the waiting downloads may be wrong."""


class Learning:
    """Keeps ``lifetimes`` and the queue's length (``slots.in_flight``) up to date. Times are seconds on the run's clock."""

    def __init__(self, lifetimes: Lifetimes, slots: Slots) -> None:
        self.lifetimes = lifetimes
        self._slots = slots
        self._resumed_at = -math.inf

    def restart(self, now: float) -> None:
        """The process was suspended until ``now``: the lifetimes of jobs that ran meanwhile are not known."""
        self._resumed_at = now

    def note_running(self, record: Record, slot: Slot, now: float, reply: StillRunning) -> float:
        """Learn from a poll that found the job not finished. Returns its age in seconds: 0 while it is queued."""
        accepted = _compute_accepted_at(record, now)
        if not reply.running:
            slot.since = now
            self._slots.in_flight.note_poll(
                now - accepted,
                0.0,
                reply.queue_position,
                now,
                in_use=len(self._slots.taken),
                waiting=True,
                accepted_at=accepted,
            )
            return 0.0
        slot.since = since = _compute_run_start(record, now)
        age = max(0.0, now - since)
        if self._was_seen_throughout(record):
            self.lifetimes.censored(age, since=max(0.0, record.polled_at - since))
        self._slots.in_flight.note_poll(
            _compute_queue_seconds(record, accepted),
            0.0,
            None,
            now,
            in_use=len(self._slots.taken),
            waiting=False,
            accepted_at=accepted,
        )
        return age

    def note_completed(self, record: Record, now: float) -> None:
        """A poll found the job done: it ended somewhere between the last poll and this one."""
        since = _compute_run_start(record, now)
        last = max(0.0, record.polled_at - since)
        if self._was_seen_throughout(record):
            self.lifetimes.finished(max(0.0, now - since), since=last)
        accepted = since if record.accepted_at is None else _compute_accepted_at(record, now)
        ran = max(0.0, (max(record.polled_at, since) + now) / 2 - since)
        queued = _compute_queue_seconds(record, accepted)
        self._slots.in_flight.note_poll(queued, ran, None, now, in_use=len(self._slots.taken), accepted_at=accepted)

    def _was_seen_throughout(self, record: Record) -> bool:
        """Was the process never suspended while this job ran? Else its lifetime is not known."""
        return record.accepted_at is None or record.accepted_at >= self._resumed_at


class Downloads:
    """Estimates how long the remaining downloads take from how many came lately. Times are seconds on the run's clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()  # when, and how many jobs were done by then

    def estimate_seconds(self, fetched: int, done: int, now: float) -> float | None:
        """Seconds until the files of ``fetched`` jobs are there; None where more than a few wait and none has come yet."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _LATELY:
            self._seen.popleft()
        since, done_before = self._seen[0]
        if fetched <= _FEW:
            return 0.0
        return fetched * (now - since) / (done - done_before) if done > done_before else None


class Outlook:
    """For progress displays: what is left, and what slows it. ``rate`` is the POSTs a second that --rate sets."""

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

    def estimate_eta(self, planned: int, fetched: int = 0, done: int = 0) -> tuple[float, float] | None:
        """Seconds until the run is over (p50, p90); None while nothing is known. ``fetched`` jobs have ended and are not
        ``done``: their files are still to be downloaded.
        """
        download_seconds = self._downloads.estimate_seconds(fetched, done, self._clock())
        if not self._lifetimes.observations or download_seconds is None:
            return None
        pace = self._find_pace()
        median, late = eta(self._lifetimes, self._slots.list_ages(), planned, pace.at_once, rate=pace.rate)
        return max(median, download_seconds), max(late, _UNSURE * download_seconds)

    def count_stalled(self) -> int:
        """Jobs in flight that take unusually long. They are still polled, not bought again."""
        if not self._lifetimes.observations:
            return 0
        return sum(is_stalled(self._lifetimes, age) for age in self._slots.list_ages())

    @property
    def slowed(self) -> Slowdown | None:
        """What slows the run now, and how much longer the whole run takes for it; None where nothing does."""
        return self._slowness.now

    @property
    def slowed_in_all(self) -> Slowdown | None:
        """What slowed the run last, and how much longer it has become; None where nothing ever did."""
        return self._slowness.in_all

    async def notice_slowdown(
        self, planned: Callable[[], Awaitable[int]], observer: Observer, *, stopped: Callable[[], bool]
    ) -> None:
        """Measure, once a beat, how the service slows the run; note what is new. ``planned`` counts the jobs still to buy."""
        now = self._clock()
        self._slowness.beat(now, held=now < self._posts.rate.held_until)
        limit, left = self._find_service_limit(), None
        if limit is not None and not stopped():
            with suppress(CheckpointError):  # the next write meets it too, and ends the run in order
                left = self._estimate_left(await planned())
        if not self._slowness.measure(now, limit, left):
            return
        if slowdown := self._slowness.now:
            observer.note("slowed", str(slowdown), **slowdown.as_json())
        else:
            observer.note("slowed_over", "the service slows this run no longer")

    def note_buying_ended(self) -> None:
        """Nothing is bought any more: the rest of the run is no longer slowed."""
        self._slowness.note_buying_ended()

    def _find_service_limit(self) -> Slowdown | None:
        """The limit that refusals have shown: of jobs at once, else of speed."""
        limit = self._slots.account.limit
        if limit is not None:
            return Slowdown(jobs_at_once=limit)
        rate = self._find_slowest_rate()
        return None if rate is None else Slowdown(posts_per_second=rate)

    def _find_slowest_rate(self) -> float | None:
        learned = self._posts.rate.learned
        return self._slowness.measure_rate() if learned is None else learned

    def _estimate_left(self, planned: int) -> TimeLeft | None:
        if not planned or not self._lifetimes.observations:
            return None
        requested = Pace(self._slots.in_flight.count_allowed(self._clock()), self._rate)
        return estimate_left(self._lifetimes, self._slots.list_ages(), planned, self._find_pace(), requested)

    def _find_pace(self) -> Pace:
        slowest = self._find_slowest_rate()
        return Pace(self._slots.count_allowed(), self._posts.rate.own if slowest is None else slowest)


def _compute_run_start(record: Record, now: float) -> float:
    """Where the clock of the job's run starts, after this poll (``now``) found it out of the queue."""
    if record.left_queue_at is not None:
        return record.left_queue_at
    if record.queued_at is not None:
        return (record.queued_at + now) / 2
    return _compute_accepted_at(record, now)


def _compute_accepted_at(record: Record, now: float) -> float:
    """When the service accepted the job; at most ``now``, as another machine's clock may have written it."""
    return now if record.accepted_at is None else min(record.accepted_at, now)


def _compute_queue_seconds(record: Record, accepted: float) -> float:
    """Seconds from the accept to the last poll that found the job in the queue.

    Not to the middle between that poll and the next, as for the job's own clock: the next one comes seconds later, and a
    wait of half a second would pass for a queue that is far too long.
    """
    return max(0.0, record.queued_at - accepted) if record.queued_at is not None else 0.0
