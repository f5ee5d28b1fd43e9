"""How fast one of several workers of an account may send POSTs. A decision only, as ``post_rate``: the pool does the rest."""

from __future__ import annotations

import math
from collections import deque
from random import Random

from ..core.pace import AccountPace, PaceReport
from .post_rate import KEPT, PROBE_LOW_SECONDS, SPARE, PostRate
from .stretch import Sample, Stretch

FRESH_SECONDS = 60.0
"""So long a pace that was published holds without the one who published it."""
SENDS_SECONDS = 5.0
"""Whoever has sent a POST within this time counts as one that sends."""


class SharedRate(PostRate):
    """``PostRate`` for one of ``workers``: all of them send at the same rate, which the leader learns and publishes.

    ``rate`` and all that is learned is the account's, of which each worker takes its part. A follower learns nothing: it
    sends at its part of what was published. When nothing was published for FRESH_SECONDS, it begins to learn, alone, with its
    part as the limit. Where no limit is known, everybody learns. A ``--rate`` is divided as well, so that it holds for all
    workers together.

    The leader learns from its own POSTs and from those of the others, who tell it once a second how many were accepted and
    how many refused. Three things keep it from a limit that is far too low, which a probe would correct half a minute later:
    - what the others have delivered since they told it last is taken to go on as before;
    - they send while the leader is held, so that the bucket of the service is not full behind a hold;
    - a short stretch, or one from the time in which a worker came or went, tells only that growth has gone too far.
    So that this does not go on for ever, the limit is also known by what all delivered over several seconds, holds included,
    in which refusals were met again and again.
    """

    def __init__(self, rate: float | None, burst: int = 5) -> None:
        self._workers = 1
        super().__init__(rate, burst)
        self._leads = False
        self._began: float | None = None  # when it told of itself for the first time
        self._told: float | None = None  # what was published
        self._told_until = -math.inf
        self._heard_at: float | None = None
        self._known_at = -math.inf
        self._changed_at = -math.inf  # when a worker came or went
        self._others_refused: int | None = None
        self._others_accepted: int | None = None
        self._others_rate = 0.0  # POSTs of the others that are accepted, a second
        self._credited = 0  # of those, how many are counted although nobody has told them yet
        self._refused = 0
        self._accepted = 0
        self._others_delivered = 0
        self._met: deque[tuple[float, int]] = deque(maxlen=16)  # refusals: when, and what all had delivered by then
        self._own_refused = 0  # of which that is so

    # --- what others hear, and what is heard of them ---

    def report(self, now: float, *, in_flight: int, waits: bool) -> PaceReport:
        """For the others; ``in_flight`` and ``waits`` as there."""
        if self._began is None:
            self._began = now
        return PaceReport(
            waits or now - max(self._took_at, self._began) < SENDS_SECONDS,
            None if self._follows(now) or self.learned is None else self.rate,
            self._accepted,
            self._refused,
            max(0.0, self._held_until - now),
            in_flight,
            waits,
        )

    def apply_account_pace(self, now: float, told: AccountPace, rng: Random) -> None:
        """What the others told."""
        self._count(now, told)
        is_fresh = told.rate is not None and told.age is not None and told.age < FRESH_SECONDS
        published = told.rate if is_fresh else None
        if told.leads and not self._leads:
            self._learn_from(now, published)
        elif not told.leads:
            self._told = published
            self._told_until = now + FRESH_SECONDS - (told.age or 0.0) if published is not None else -math.inf
            if published is not None:
                self.restart()
                self._limit = None
                self._set(published)
        self._leads = told.leads
        news = told.refused - (told.refused if self._others_refused is None else self._others_refused)
        self._others_refused = told.refused
        if news > 0 or self._refused > self._own_refused:
            self._own_refused = self._refused
            self._sum_up(now)
        if told.held > 0:
            self._hold(now, told.held, rng, same=True)
        # It came up to two seconds ago: a stretch that began since is not what it ends.
        if told.leads and news > 0 and self._stretch is not None and now - self._stretch.began > _LATE_SECONDS:
            super().throttled(now, 0.0, rng, sent_at=now)

    def _count(self, now: float, told: AccountPace) -> None:
        """Who sends, and what the others have delivered since they were heard last."""
        if told.workers > self._workers and now - self._known_at < _UNSETTLED_SECONDS:
            # Whoever came had sent before it was heard of: the limit is looked for again, from where the rate is.
            self._limit = None
        if told.workers != self._workers:
            self._changed_at = now
        if self._others_accepted is not None and self._heard_at is not None and now > self._heard_at:
            elapsed = now - self._heard_at
            delivered = max(0, told.accepted - self._others_accepted)
            if told.workers > self._workers:
                # Who comes for the first time has sent a burst; who comes back brings what was accepted long before.
                delivered = min(delivered, round(self._others_rate * elapsed) + self._burst)
            self._others_rate = delivered / elapsed
            self._others_delivered += delivered
            self._credit(self._heard_at, now, delivered - self._credited)
        self._credited = 0
        self._workers = told.workers
        self._others_accepted = told.accepted
        self._heard_at = now

    def _credit(self, begin: float, end: float, posts: int) -> None:
        """The others delivered ``posts`` in this time, evenly."""
        if self._stretch is None:
            return
        for n in range(posts):
            sent_at = begin + (n + 0.5) / posts * (end - begin)
            if sent_at >= self._stretch.began:
                self._stretch.accept(sent_at)

    def _follows(self, now: float) -> bool:
        return not self._leads and self._told is not None and now < self._told_until

    def _learn_from(self, now: float, rate: float | None) -> None:
        """Nobody tells any more what holds."""
        self._told, self._told_until = None, -math.inf
        if rate is not None:
            self.know(now, rate / KEPT)

    def take(self, now: float) -> None:
        """See ``PostRate.take``."""
        self._see_idle(now)
        super().take(now)

    def _see_idle(self, now: float) -> None:
        """Nobody took a POST that could go out: not the service and not the pace decided how much was delivered."""
        if self.own is not None and now - max(self._took_at, self._held_until) > _IDLE_SECONDS + 1.0 / self.own:
            self._met.clear()

    # --- as a worker alone ---

    def wait(self, now: float) -> float:
        """See ``PostRate.wait``."""
        if self._told is not None and not self._leads and now >= self._told_until:
            part = self._told / self._workers
            self._workers, self._others_rate = 1, 0.0
            self._learn_from(now, part)
        return super().wait(now)

    def accepted(self, now: float, *, sent_at: float | None = None) -> None:
        """See ``PostRate.accepted``."""
        self._accepted += 1
        if self._follows(now):
            self._unanswered = 0
        else:
            super().accepted(now, sent_at=sent_at)

    def throttled(self, now: float, retry_after: float | None, rng: Random, *, sent_at: float | None = None) -> None:
        """See ``PostRate.throttled``. A follower keeps what the answer asks for; what it means, the leader finds out."""
        self._refused += 1
        if self._follows(now):
            self._unanswered += 1
            self._hold(now, retry_after, rng, same=False)
        else:
            super().throttled(now, retry_after, rng, sent_at=sent_at)

    # --- what is learned from all ---

    def _judge(self, now: float, sent_at: float) -> None:
        if self._heard_at is not None and self._workers > 1:
            untold = self._heard_at - _LAG_SECONDS
            expected = max(0, round(self._others_rate * (now - untold)) - self._credited)
            self._credit(untold, now, expected)
            self._credited += expected
        super()._judge(now, sent_at)

    def _sum_up(self, now: float) -> None:
        """Know the limit that is looked for by what all delivered from earlier refusals to these.

        The bucket of the service was empty then: what was accepted since, holds included, the limit bears. It bears some
        more, for a bucket that is full before a hold is over takes nothing in.
        """
        self._see_idle(now)
        delivered = self._accepted + self._others_delivered
        self._met.append((now, delivered))
        if self._workers == 1 or not self._leads or self.rate is None or self._limit is not None:
            return
        since = [(now - at, delivered - before) for at, before in self._met]
        bears = [posts / elapsed for elapsed, posts in since if _SUMMED_SECONDS <= elapsed <= _LONGEST_SUMMED_SECONDS]
        if bears:
            self._patience = PROBE_LOW_SECONDS
            self._know(now, _UNSEEN * max(bears))

    def _know(self, now: float, limit: float) -> None:
        self._known_at = now
        super()._know(now, limit)

    def _fresh_stretch(self, now: float, held: float) -> Stretch:
        if self._workers > 1 and self.rate is not None:  # about half full: the others have gone on
            return Stretch(now, self._burst, self._burst // 2, spent=True)
        return super()._fresh_stretch(now, held)

    def _tells(self, sample: Sample) -> bool:
        return self._workers == 1 or (sample.says_enough and sample.at - self._changed_at > _UNSETTLED_SECONDS)

    def _chances(self) -> int:
        # When the others' POSTs went out is known only by the second: a refusal by a limit looks like chance at times.
        return super()._chances() + (self._workers > 1)

    # --- its part of it ---

    def _growth(self) -> float:
        return super()._growth() * self._workers

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
"""So long ago, on the average, the others told what is heard of them."""
_LATE_SECONDS = 2.0
_SUMMED_SECONDS = 4.0
"""A second in which others were accepted and had not told of it is little of this."""
_LONGEST_SUMMED_SECONDS = 15.0
_UNSEEN = 1.1
