"""How fast one of several workers of an account may send POSTs. A decision only, as ``post_rate``: the pool does the rest."""

from __future__ import annotations

import math
from collections import deque
from random import Random

from ..core.pace import AccountPace, PaceReport
from .post_rate import KEPT, PROBE_LOW_SECONDS, SPARE, PostRate
from .stretch import Sample, Stretch

FRESH_SECONDS = 60.0
"""How long a published rate holds without the worker that published it."""
SENDS_SECONDS = 5.0
"""A worker that has sent a POST within this time counts as sending."""


class SharedRate(PostRate):
    """``PostRate`` for one of ``workers``: all of them send at the same rate, which the leader learns and publishes.

    ``rate`` and all that is learned is the account's, of which each worker takes its share. A follower learns nothing: it
    sends at its share of the published rate. When nothing was published for FRESH_SECONDS, it begins to learn, alone, with
    its share as the limit. Where no limit is known, every worker learns. A ``--rate`` is divided as well, so that it holds
    for all workers together.

    The leader learns from its own POSTs and from those of the others, which report once a second how many were accepted and
    how many refused. Three rules keep it from a limit that is far too low, which a probe would correct half a minute later:
    - the others are assumed to have delivered at the same rate since their last report;
    - they send while the leader is held, so the bucket of the service is not taken to be full after a hold;
    - a short stretch, or one from the time in which a worker came or went, shows only that growth has gone too far.
    So that this does not go on for ever, the limit is also derived from what all delivered over several seconds, holds
    included, between repeated refusals.
    """

    def __init__(self, rate: float | None, burst: int = 5) -> None:
        self._workers = 1
        super().__init__(rate, burst)
        self._leads = False
        self._first_report_at: float | None = None  # when this worker reported for the first time
        self._published: float | None = None  # the rate that the leader published
        self._published_until = -math.inf
        self._reported_at: float | None = None
        self._known_at = -math.inf
        self._changed_at = -math.inf  # when a worker came or went
        self._others_refused: int | None = None
        self._others_accepted: int | None = None
        self._others_per_second = 0.0  # POSTs of the others that are accepted, a second
        self._credited = 0  # of those, how many are counted although not reported yet
        self._refused = 0
        self._accepted = 0
        self._others_delivered = 0
        self._refusals: deque[tuple[float, int]] = deque(
            maxlen=16
        )  # refusals: when, and what all had delivered by then
        self._own_refused = 0  # of this worker's refusals, how many are among them

    @property
    def is_free(self) -> bool:
        """Never: the others may send at the same moment, and each worker hears of them a second later."""
        return False

    # --- the exchange with the other workers ---

    def report(self, now: float, *, in_flight: int, waits: bool) -> PaceReport:
        """The report for the others; ``in_flight`` and ``waits`` as in ``PaceReport``."""
        if self._first_report_at is None:
            self._first_report_at = now
        return PaceReport(
            waits or now - max(self._taken_at, self._first_report_at) < SENDS_SECONDS,
            None if self._is_following(now) or self.learned is None else self.rate,
            self._accepted,
            self._refused,
            max(0.0, self._held_until - now),
            in_flight,
            waits,
        )

    def apply_account_pace(self, now: float, pace: AccountPace, rng: Random) -> None:
        """Take over the reports of the others."""
        self._count(now, pace)
        is_fresh = pace.rate is not None and pace.age is not None and pace.age < FRESH_SECONDS
        published = pace.rate if is_fresh else None
        if pace.leads and not self._leads:
            self._start_leading(now, published)
        elif not pace.leads:
            self._published = published
            self._published_until = now + FRESH_SECONDS - (pace.age or 0.0) if published is not None else -math.inf
            if published is not None:
                self.restart()
                self._limit = None
                self._set_rate(published)
        self._leads = pace.leads
        news = pace.refused - (pace.refused if self._others_refused is None else self._others_refused)
        self._others_refused = pace.refused
        if news > 0 or self._refused > self._own_refused:
            self._own_refused = self._refused
            self._sum_up(now)
        if pace.held > 0:
            self._hold(now, pace.held, rng, same_episode=True)
        # The refusal came up to two seconds ago: it does not end a stretch that began since.
        if pace.leads and news > 0 and self._stretch is not None and now - self._stretch.began > _LATE_SECONDS:
            super().throttled(now, 0.0, rng, sent_at=now)

    def _count(self, now: float, pace: AccountPace) -> None:
        """Count the workers, and what the others have delivered since their last report."""
        if pace.workers > self._workers and now - self._known_at < _UNSETTLED_SECONDS:
            # A new worker has sent before its first report came: the limit is sought again, from the present rate.
            self._limit = None
        if pace.workers != self._workers:
            self._changed_at = now
        if self._others_accepted is not None and self._reported_at is not None and now > self._reported_at:
            elapsed = now - self._reported_at
            delivered = max(0, pace.accepted - self._others_accepted)
            if pace.workers > self._workers:
                # A new worker has sent a burst; the count of one that comes back contains POSTs accepted long before.
                delivered = min(delivered, round(self._others_per_second * elapsed) + self._burst)
            self._others_per_second = delivered / elapsed
            self._others_delivered += delivered
            self._credit(self._reported_at, now, delivered - self._credited)
        self._credited = 0
        self._workers = pace.workers
        self._others_accepted = pace.accepted
        self._reported_at = now

    def _credit(self, begin: float, end: float, posts: int) -> None:
        """The others delivered ``posts`` in this time, evenly."""
        if self._stretch is None:
            return
        for n in range(posts):
            sent_at = begin + (n + 0.5) / posts * (end - begin)
            if sent_at >= self._stretch.began:
                self._stretch.accept(sent_at)

    def _is_following(self, now: float) -> bool:
        return not self._leads and self._published is not None and now < self._published_until

    def _start_leading(self, now: float, rate: float | None) -> None:
        """No other worker publishes a rate any more: learn from ``rate`` on."""
        self._published, self._published_until = None, -math.inf
        if rate is not None:
            self.adopt_limit(now, rate / KEPT)

    def take(self, now: float) -> None:
        """See ``PostRate.take``."""
        self._notice_idle(now)
        super().take(now)

    def _notice_idle(self, now: float) -> None:
        """Forget the refusals if no POST was sent that could go out: neither the service nor the pace set the rate then."""
        if self.own is not None and now - max(self._taken_at, self._held_until) > _IDLE_SECONDS + 1.0 / self.own:
            self._refusals.clear()

    # --- as in ``PostRate`` ---

    def wait(self, now: float) -> float:
        """See ``PostRate.wait``."""
        if self._published is not None and not self._leads and now >= self._published_until:
            share = self._published / self._workers
            self._workers, self._others_per_second = 1, 0.0
            self._start_leading(now, share)
        return super().wait(now)

    def accepted(self, now: float, *, sent_at: float | None = None) -> None:
        """See ``PostRate.accepted``."""
        self._accepted += 1
        if self._is_following(now):
            self._unanswered = 0
        else:
            super().accepted(now, sent_at=sent_at)

    def throttled(self, now: float, retry_after: float | None, rng: Random, *, sent_at: float | None = None) -> None:
        """See ``PostRate.throttled``. A follower keeps the pause that the answer asks for; the leader learns from it."""
        self._refused += 1
        if self._is_following(now):
            self._unanswered += 1
            self._hold(now, retry_after, rng, same_episode=False)
        else:
            super().throttled(now, retry_after, rng, sent_at=sent_at)

    # --- learning from all workers ---

    def _judge(self, now: float, sent_at: float) -> None:
        if self._reported_at is not None and self._workers > 1:
            unreported_from = self._reported_at - _LAG_SECONDS
            expected = max(0, round(self._others_per_second * (now - unreported_from)) - self._credited)
            self._credit(unreported_from, now, expected)
            self._credited += expected
        super()._judge(now, sent_at)

    def _sum_up(self, now: float) -> None:
        """Derive a limit that is still sought from what all delivered between earlier refusals and these.

        The bucket of the service was empty then: the limit allows what was accepted since, holds included. It allows some
        more, since a bucket that is full before a hold is over does not fill further.
        """
        self._notice_idle(now)
        delivered = self._accepted + self._others_delivered
        self._refusals.append((now, delivered))
        if self._workers == 1 or not self._leads or self.rate is None or self._limit is not None:
            return
        growths = [(now - at, delivered - before) for at, before in self._refusals]
        rates = [posts / elapsed for elapsed, posts in growths if _SUMMED_SECONDS <= elapsed <= _LONGEST_SUMMED_SECONDS]
        if rates:
            self._probe_gap = PROBE_LOW_SECONDS
            self._set_limit(now, _UNSEEN * max(rates))

    def _set_limit(self, now: float, limit: float) -> None:
        self._known_at = now
        super()._set_limit(now, limit)

    def _make_stretch(self, now: float, held: float) -> Stretch:
        if self._workers > 1 and self.rate is not None:  # about half full: the others have gone on sending
            return Stretch(now, self._burst, self._burst // 2, spent=True)
        return super()._make_stretch(now, held)

    def _is_sufficient(self, sample: Sample) -> bool:
        return self._workers == 1 or (sample.is_precise and sample.at - self._changed_at > _UNSETTLED_SECONDS)

    def _count_needed_chances(self) -> int:
        # The times of the others' POSTs are known only to the second: a refusal by a limit looks like chance at times.
        return super()._count_needed_chances() + (self._workers > 1)

    # --- this worker's share ---

    def _compute_growth(self) -> float:
        return super()._compute_growth() * self._workers

    @property
    def own(self) -> float | None:
        """See ``PostRate.own``."""
        return None if self.rate is None else self.rate / self._workers

    def _refill_rate(self) -> float:
        return super()._refill_rate() if self.own is None else self.own

    def _bucket(self) -> int:
        return max(1, self._burst // self._workers - SPARE)


_IDLE_SECONDS = 1.0
_UNSETTLED_SECONDS = 3.0
_LAG_SECONDS = 0.5
"""The average age of a report when it arrives."""
_LATE_SECONDS = 2.0
_SUMMED_SECONDS = 4.0
"""Long enough that a second of POSTs not reported yet is a small part of it."""
_LONGEST_SUMMED_SECONDS = 15.0
_UNSEEN = 1.1
