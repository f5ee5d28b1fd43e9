"""How fast POSTs may go out: the law before BBR, as it was, for ``paces.py``.

A decision only: it keeps a few numbers, is told what happened with ``now`` (seconds, any clock that doesn't go back), and
the pool does the sleeping. ``wait`` is how long to wait if nothing is heard in the meantime: ask again after every
answer.
"""

from __future__ import annotations

import math
from random import Random

from batchedit.core.backoff import backoff
from batchedit.scheduling import post_rate

CALM_SECONDS = 10.0

_HAIR = 1e-9
"""What rounding may take from a token."""


class PostRate(post_rate.PostRate):
    """How fast POSTs may go out: a token bucket of ``burst`` that fills with ``rate`` a second.

    A ``rate`` given is the most there will ever be. Without one the first POSTs clock themselves: every accepted one
    lets two more out (slow start), until the first 429; from then on there is a learned rate. It falls once an episode
    to what got through, doubles within about a second while nothing is known, and near the rate of the last 429 creeps.
    """

    def __init__(self, rate: float | None, burst: int = 5) -> None:
        super().__init__(rate, burst)
        self._most = rate
        self._burst = max(1, burst)
        self._tokens = float(self._burst if rate is None else self._bucket())
        self._at: float | None = None
        self.rate = rate
        """POSTs a second; None while there is no limit."""
        self._last_429_rate: float | None = None  # where it was too fast
        self._cut_at = -math.inf
        self._held_until = -math.inf
        self._calm_until = -math.inf
        self._sent_since_cut = True
        self._bare_429s = 0
        self._grown_at = -math.inf
        self._clear_since: float | None = None  # since when nothing has held POSTs back
        self._accepted = 0

    @property
    def held_until(self) -> float:
        """Until then no POST goes out, whoever asks."""
        return self._held_until

    def wait(self, now: float) -> float:
        """Seconds until a POST may go out; 0 is now."""
        self._refill(now)
        if now < self._held_until:
            return self._held_until - now
        if self._tokens >= 1.0 - _HAIR:
            return 0.0
        return (1.0 - self._tokens) / self._refill_rate()

    def take(self, now: float) -> None:
        """A POST goes out."""
        self._refill(now)
        self._tokens -= 1.0
        self._sent_since_cut = True
        if self._clear_since is None:
            self._clear_since = now

    def accepted(self, now: float, *, sent_at: float | None = None) -> None:
        """The service took a POST, which went out at ``sent_at``: a little faster, unless it was in trouble lately."""
        if sent_at is None or sent_at > self._cut_at:
            self._accepted += 1
        self._bare_429s = 0
        if now < self._calm_until or now < self._held_until:
            return
        if self.rate is None:
            self._tokens += 2.0
        elif self._last_429_rate is not None:
            quiet = now - max(self._grown_at, self._calm_until, self._held_until)
            self._grow(self.rate, self._last_429_rate, quiet)
        self._grown_at = now

    def throttled(self, now: float, retry_after: float | None, rng: Random, *, sent_at: float | None = None) -> None:
        """A 429, or a 503 that names a time. ``retry_after`` in seconds; ``sent_at`` is when its POST went out.

        All that were under way when the first one came belong to its episode: one cut, whatever their number.
        """
        same = now < self._held_until or not self._sent_since_cut or (sent_at is not None and sent_at <= self._cut_at)
        if not same:
            self._cut(now, now if sent_at is None else sent_at)
        if retry_after is not None and math.isfinite(retry_after):
            pause = min(_LONGEST_HOLD, max(0.0, retry_after)) * rng.uniform(1.0, 1.05)
        elif same:
            return
        else:
            pause = 0.25 + backoff(self._bare_429s, rng, base=1.0, cap=60.0)
            self._bare_429s += 1
        self._held_until = max(self._held_until, now + pause)

    def held(self, now: float, retry_after: float | None, rng: Random) -> None:
        """It knew no other cause than our speed."""
        self.throttled(now, retry_after, rng)

    def restart(self) -> None:
        """It knew of no suspension."""

    def forget(self, now: float) -> None:
        """It forgot nothing."""

    def troubled(self, now: float) -> None:
        """A 5xx or no answer: not faster for a while."""
        self._calm_until = now + CALM_SECONDS

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            begin = max(self._at, min(now, self._held_until)) if self.rate is None else self._at
            self._tokens += (now - begin) * self._refill_rate()
        self._at = now if self._at is None else max(self._at, now)
        if self.rate is not None:
            self._tokens = min(self._tokens, float(self._bucket()))

    def _bucket(self) -> int:
        """Not all of the burst where there is a limit: POSTs that arrive unevenly, and a rate measured a little too high,
        would meet it behind the first burst, and again behind each hold.
        """
        return max(1, self._burst - _SPARE)

    def _refill_rate(self) -> float:
        # Unlimited, the accepted POSTs let the next ones out; the trickle is for those whose answer never comes.
        return _TRICKLE if self.rate is None else self.rate

    def _cut(self, now: float, sent_at: float) -> None:
        begun = self._clear_since if self._clear_since is not None else sent_at
        elapsed, through = sent_at - begun, self._accepted - self._burst
        # The service lacked less than a token for the refused one, and had a whole one a gap between two POSTs before.
        gap = 1.0 / self.rate if self.rate else 0.0
        measured = (
            (through + 0.5) / (elapsed - gap / 2) if now - begun > 0.5 and elapsed > gap and through > 0 else None
        )
        if self.rate is None:
            new = measured or _FIRST_GUESS
        else:
            # One that comes before anything could be measured (the burst behind a hold) tells nothing new of the limit.
            known = self._last_429_rate if self._last_429_rate != math.inf else None
            self._last_429_rate = measured or known or self.rate
            new = min(0.95 * self.rate, max(0.5 * self.rate, _KEPT * (measured or 0.0)))
        if self._last_429_rate is None:
            self._last_429_rate = math.inf if measured is None else new / _KEPT
        self.rate = max(_SLOWEST, new if self._most is None else min(new, self._most))
        self._cut_at = now
        self._sent_since_cut = False
        self._clear_since, self._accepted = None, 0
        self._tokens = min(self._tokens, float(self._bucket()))

    def _grow(self, rate: float, limit: float, quiet: float) -> None:
        """One accepted POST's worth; ``rate`` of them come in a second. ``limit`` is where the last 429 came.

        At least what ``quiet`` seconds without trouble are worth: by accepted POSTs alone a rate that has fallen low could
        not come back, and 429s that have nothing to do with our speed would starve the run.
        """
        if rate >= limit * 1.2:
            limit = self._last_429_rate = math.inf  # well past where it was: the limit has moved
        if math.isinf(limit):
            step = 1.0
        elif rate < 0.9 * limit:
            step = min(0.2, 0.03 * rate)
        else:
            step = min(_CREEP, 0.003 * rate)
        step = max(step, _RECOVERY * rate * min(quiet, _LONGEST_QUIET))
        self.rate = rate + step if self._most is None else min(rate + step, self._most)


_SPARE = 1
"""Tokens of a learned rate's burst that stay unused."""
_CREEP = 0.005  # POSTs a second that each accepted one adds, near the limit
_KEPT = 0.97  # of the rate that was measured when a 429 came
_LONGEST_HOLD = 300.0
_RECOVERY = 0.002  # of the rate, a second
_LONGEST_QUIET = 10.0
_TRICKLE = 10.0
_FIRST_GUESS = 10.0
_SLOWEST = 1.0 / 300.0
