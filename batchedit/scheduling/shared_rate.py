"""How fast one of several workers of an account may send POSTs. A decision only, as ``post_rate``: the pool does the rest."""

from __future__ import annotations

import math
from random import Random

from ..core.pace import AccountPace, PaceReport
from .post_rate import KEPT, PostRate

FRESH_SECONDS = 60.0
"""So long a pace that was published holds without the one who published it."""
SENDS_SECONDS = 5.0
"""Whoever has sent a POST within this time counts as one that sends."""


class SharedRate(PostRate):
    """``PostRate`` for one of ``workers``: all of them send at the same rate, which the leader learns and publishes.

    The leader learns from its own POSTs, as a worker alone does, and is told of the refusals of the others; what it
    publishes is its own rate times the workers. A follower learns nothing: it sends at its share of what was published. When
    nothing was published for FRESH_SECONDS, it begins to learn, with its share as the limit. Where no limit is known,
    everybody learns. A ``--rate`` is divided, so that it holds for all workers together.
    """

    def __init__(self, rate: float | None, burst: int = 5) -> None:
        super().__init__(rate, burst)
        self._whole_most, self._whole_burst = rate, self._burst
        self._workers = 1
        self._leads = False
        self._told: float | None = None  # this worker's share of what was published
        self._told_until = -math.inf
        self._others_refused: int | None = None
        self._refused = 0

    # --- what others hear, and what is heard of them ---

    def report(self, now: float, *, waits: bool) -> PaceReport:
        """For the others. ``waits``: POSTs wait for their turn."""
        own = None if self._follows(now) else self.learned
        sends = waits or now - self._took_at < SENDS_SECONDS
        return PaceReport(
            sends, None if own is None else own * self._workers, self._refused, max(0.0, self._held_until - now)
        )

    def heard(self, now: float, told: AccountPace, rng: Random) -> None:
        """What the others told."""
        self._divide(now, told.workers)
        is_fresh = told.rate is not None and told.age is not None and told.age < FRESH_SECONDS
        share = told.rate / told.workers if told.rate is not None and is_fresh else None
        if told.leads and not self._leads:
            self._learn_from(now, share)
        elif not told.leads:
            self._told = share
            self._told_until = now + FRESH_SECONDS - (told.age or 0.0) if share is not None else -math.inf
            if share is not None:
                self.restart()
                self._limit = None
                self._set(share)
        self._leads = told.leads
        news = told.refused - (told.refused if self._others_refused is None else self._others_refused)
        self._others_refused = told.refused
        if told.held > 0:
            self._hold(now, told.held, rng, same=True)
        if told.leads and news > 0:
            super().throttled(now, 0.0, rng, sent_at=now)

    def _divide(self, now: float, workers: int) -> None:
        """Among so many from now on. What is known of the limit was this worker's part of it."""
        if workers == self._workers:
            return
        factor = self._workers / workers
        limit = self._limit if self._limit is not None else self.learned
        self._workers = workers
        self._most = None if self._whole_most is None else self._whole_most / workers
        self._burst = max(1, self._whole_burst // workers)
        if limit is None:
            self.rate = self._most
        else:
            self.know(now, limit * factor)

    def _follows(self, now: float) -> bool:
        return not self._leads and self._told is not None and now < self._told_until

    def _learn_from(self, now: float, share: float | None) -> None:
        """Nobody tells any more what holds."""
        self._told, self._told_until = None, -math.inf
        if share is not None:
            self.know(now, share / KEPT)

    # --- as a worker alone ---

    def wait(self, now: float) -> float:
        """See ``PostRate.wait``."""
        if self._told is not None and not self._leads and now >= self._told_until:
            self._learn_from(now, self._told)
        return super().wait(now)

    def accepted(self, now: float, *, sent_at: float | None = None) -> None:
        """See ``PostRate.accepted``."""
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
