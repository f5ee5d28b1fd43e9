"""How much at once: POSTs a second, jobs in flight, GETs a second, and what to do while the service is out of order.

Decisions only. Each class keeps a few numbers, is told what happened with ``now`` (seconds, any clock that doesn't go
back) and answers ``wait(now)`` or ``allowed(now)``; the pool does the sleeping. ``wait`` is how long to wait if nothing
is heard in the meantime: ask again after every answer.
"""

from __future__ import annotations

import math
from collections import deque
from random import Random

from .policy import backoff

__all__ = ["Breaker", "GetRate", "InFlight", "PostRate", "backoff"]

_HAIR = 1e-9
"""What rounding may take from a token."""


class PostRate:
    """How fast POSTs may go out: a token bucket of ``burst`` that fills with ``rate`` a second.

    A ``rate`` given is the most there will ever be. Without one the first POSTs clock themselves: every accepted one
    lets two more out (slow start), until the first 429; from then on there is a learned rate. It falls once an episode
    to what got through, doubles within about a second while nothing is known, and near the rate of the last 429 creeps.
    """

    def __init__(self, rate: float | None, burst: int = 5) -> None:
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

    def troubled(self, now: float) -> None:
        """A 5xx or no answer: not faster for a while."""
        self._calm_until = now + _CALM

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
_CALM = 10.0
_TRICKLE = 10.0
_FIRST_GUESS = 10.0
_SLOWEST = 1.0 / 300.0


class Breaker:
    """Stops buying while POSTs get lost, so that an outage of ten minutes costs a handful of them.

    ``threshold`` failures in a row open it. Then one POST at a time goes out as a probe, after pauses that double from
    ``first_pause`` to ``longest_pause`` seconds; a success closes it. ``released`` means half of that: something at the
    service answers (a 422, a 429, a free call), so the next POST may go at once, but alone, and the pauses go on
    growing if that one fails; two such answers in a row close it.
    """

    def __init__(self, threshold: int = 3, first_pause: float = 5.0, longest_pause: float = 300.0) -> None:
        self._threshold, self._first_pause, self._longest_pause = threshold, first_pause, longest_pause
        self._failures = 0
        self._pauses = 0
        self._probe_at: float | None = None
        self._probing = False
        self._on_probation = False
        self.open_since: float | None = None
        """When the trouble began; None once a success has ended it."""

    @property
    def open(self) -> bool:
        """Is the service thought to be out of order?"""
        return self._probe_at is not None

    def wait(self, now: float) -> float:
        """0: a POST may go out. Else seconds until a probe may; infinite while one is out."""
        if self._probing:
            return math.inf
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - now)

    def sent(self, now: float) -> None:  # noqa: ARG002 - one shape for all that is told
        """A POST goes out; while open or on probation it is the probe."""
        self._probing = self.open or self._on_probation

    def succeeded(self, now: float) -> None:  # noqa: ARG002 - one shape for all that is told
        """A POST was accepted."""
        self._failures = self._pauses = 0
        self._probe_at = self.open_since = None
        self._probing = self._on_probation = False

    def released(self, now: float) -> None:
        """The service answered, but nothing was bought: refused input, 429, or a free call."""
        self._failures = 0
        if self._on_probation:
            self.succeeded(now)
        elif self.open and self._probing:
            self._probe_at, self._probing, self._on_probation = None, False, True

    def abandoned(self, now: float) -> None:
        """The probe never went out, or was cut off by us: another may."""
        self._probing = False
        if self.open:
            self._probe_at = now

    def failed(self, now: float, rng: Random) -> None:
        """A POST was lost, answered with a 5xx, or the service can't be reached."""
        if self.open and not self._probing:
            return  # sent before it opened: that outage is known
        self._failures += 1
        if self._probing or self._on_probation or self._failures >= self._threshold:
            pause = min(self._longest_pause, self._first_pause * 2.0 ** min(self._pauses, 30))
            self._probe_at = now + pause * rng.uniform(0.75, 1.0)
            self._pauses += 1
            self._probing = self._on_probation = False
            if self.open_since is None:
                self.open_since = now


class InFlight:
    """How many jobs may be in flight: ``limit``, or found out (``limit`` None, ``-j auto``), at most ``most``.

    Wanted is a short remote queue: it keeps the service's slots busy while ended jobs wait to be noticed; a deep one
    gains nothing and can't be un-bought. The measure is the *share*: time in the queue over time running, which by
    Little's law is also jobs queued over slots. Below ``_LOW`` there is room; above twice that there are too many, and
    the share tells how many slots there are: in flight / (1 + share).

    While no queue has been seen the number grows by half with every fresh proof of room (slow start), later by 3 %, and
    by 6 % after ``_STREAK`` proofs in a row: the capacity has moved, or we were too busy to look. A proof is fresh if
    its job was accepted after the last change, and a job proves room by being out of the queue *early*; so look early
    at some, as ``scout`` asks. Without scouts the number only creeps. A service whose replies never tell of its queue is
    found out by its jobs taking twice as long as at first; from then on only their times count.
    """

    def __init__(self, limit: int | None, *, start: int = 4, most: int = 2000) -> None:
        self._fixed = limit is not None
        self._most = max(1, most)
        self._allowed = float(min(self._most, max(1, start)) if limit is None else max(1, limit))
        self._slow_start = True
        self._changes: deque[tuple[float, float]] = deque([(-math.inf, self._allowed)], maxlen=512)  # when, to what
        self._shrunk_at = -math.inf
        self._scouted_at = -math.inf
        self._calm_until = -math.inf
        self._streak = 0
        self._slots = 0.0  # what is left when the queue is taken off, on average; 0 before any was seen
        self._ended = 0
        self._run = 0.0
        self._rounds = _Rounds()

    def allowed(self, now: float) -> int:  # noqa: ARG002 - one shape for all that is asked
        """Jobs that may be in flight now."""
        return int(self._allowed)

    def troubled(self, now: float) -> None:
        """A 5xx, a 429 or no answer: no growth for a while."""
        self._calm_until = now + _CALM

    def scout(self, now: float, in_use: int) -> float | None:
        """Asked at an accept: seconds after which an early look at this job would tell most; None if none is wanted."""
        if self._fixed or not self._busy(in_use, now):
            return None
        age = max(_SCOUT_LEAST, min(_SCOUT_MOST, _LOW * self._known_run))
        pause = age if self._slow_start else max(age, self._known_run / 4)
        if now - self._scouted_at < 0.9 * pause:
            return None
        self._scouted_at = now
        return age

    def queued(
        self,
        seconds_in_queue: float,
        run_seconds: float,
        queue_position: int | None,
        now: float,
        *,
        in_use: int | None = None,
        waiting: bool | None = None,
        accepted_at: float | None = None,
    ) -> None:
        """What a look told of one job.

        Still in the queue (``waiting``, or a ``queue_position``, which is jobs ahead): ``seconds_in_queue`` so far,
        ``run_seconds`` 0. Found running: the seconds for which it was seen queued, ``run_seconds`` 0. Ended: both.
        ``accepted_at`` defaults to ``now`` less the two; ``in_use`` is the jobs in flight, this one included.
        """
        if self._fixed:
            return
        in_queue = queue_position is not None if waiting is None else waiting
        if accepted_at is None:
            accepted_at = now - seconds_in_queue - run_seconds
        used = int(self._allowed) if in_use is None else in_use
        if run_seconds > 0.0 and not in_queue:
            self._learn(run_seconds)
            if accepted_at >= self._shrunk_at:
                self._hidden(self._rounds.ended(seconds_in_queue + run_seconds), used, now)
        if in_queue and queue_position is not None:
            self._ahead(queue_position, used, accepted_at, now)
        else:
            self._waited(seconds_in_queue, used, accepted_at, now, in_queue=in_queue, ended=run_seconds > 0.0)

    @property
    def _known_run(self) -> float:
        """Mean run time, 0 until it can be trusted: the first jobs to end are the short ones."""
        return self._run if self._ended >= _TRUSTED else 0.0

    def _busy(self, used: int, now: float) -> bool:
        return used >= 0.9 * int(self._allowed) and now >= self._calm_until

    def _ahead(self, position: int, used: int, accepted_at: float, now: float) -> None:
        """Jobs are ahead of one: at least so many of ours are queued *now*, and the slots are at most the rest.

        The rest also holds jobs that have ended and are not noticed yet, now more, now fewer. The longest queue is seen
        when they are fewest, so to go by that moment alone would leave slots idle soon after: the mean counts too.
        """
        slots = max(1.0, used - float(position))
        if position:
            self._slots += (0.2 if self._slots else 1.0) * (slots - self._slots)
        if position > max(2.0, 2 * _LOW * slots):
            self._shrink(max(slots, self._slots) * (1.0 + _MIDDLE) + 1.0, now)
        elif position >= max(1.0, _LOW * slots):
            self._hold()
        elif self._early(accepted_at, now):
            self._room(used, accepted_at, now)

    def _early(self, accepted_at: float, now: float) -> bool:
        return now - accepted_at <= max(2 * _SCOUT_LEAST, 2 * _LOW * self._known_run)

    def _waited(
        self, seconds: float, used: int, accepted_at: float, now: float, *, in_queue: bool, ended: bool
    ) -> None:
        share = seconds / self._known_run if self._known_run else 0.0
        if share > 2 * _LOW:
            if accepted_at >= self._shrunk_at:
                self._shrink(self._allowed_at(accepted_at) / (1.0 + share) * (1.0 + _MIDDLE) + 1.0, now)
        elif share >= _LOW:
            self._hold()
        elif in_queue:
            return
        elif self._early(accepted_at, now):
            self._room(used, accepted_at, now)
        elif ended and (self._slow_start or self._scouted_at == -math.inf):
            self._creep(used, accepted_at, now)

    def _learn(self, run: float) -> None:
        self._ended += 1
        self._run += max(1.0 / 64, 1.0 / self._ended) * (run - self._run)

    def _hidden(self, inflation: float | None, used: int, now: float) -> None:
        """A queue that no reply tells of shows in the time that jobs take."""
        if inflation is None:
            return
        if inflation > 2.0:
            self._rounds.rule = True
            self._shrink(1.2 * self._allowed / inflation, now)
        elif inflation > 1.5:
            self._hold()
        elif self._rounds.rule and inflation < 1.3 and self._busy(used, now):
            self._grow(max(1.0, 0.05 * self._allowed), now)

    def _allowed_at(self, moment: float) -> float:
        return next((to for since, to in reversed(self._changes) if since <= moment), self._allowed)

    def _hold(self) -> None:
        self._slow_start = False
        self._streak = 0

    def _shrink(self, to: float, now: float) -> None:
        self._hold()
        if to < self._allowed:
            self._allowed = max(1.0, to)
            self._shrunk_at = now
            self._changes.append((now, self._allowed))

    def _room(self, used: int, accepted_at: float, now: float) -> None:
        """No queue to speak of: grow, if all that is allowed is in use and there is no trouble."""
        if self._rounds.rule or not self._busy(used, now) or accepted_at < self._changes[-1][0]:
            return
        self._streak += 1
        share = 0.5 if self._slow_start else _AGAIN if self._streak >= _STREAK else _ONCE
        self._grow(max(1.0, share * self._allowed), now)

    def _creep(self, used: int, accepted_at: float, now: float) -> None:
        """A job ended that was never seen queued, but nobody looked early."""
        if not self._rounds.rule and self._busy(used, now) and accepted_at >= self._shrunk_at:
            self._grow(1.0 if self._slow_start else 2.0 / self._allowed, now)

    def _grow(self, step: float, now: float) -> None:
        self._allowed = self._bounded(self._allowed + step)
        self._changes.append((now, self._allowed))

    def _bounded(self, to: float) -> float:
        # Early looks alone prove little of a service that calls everything running: ended jobs must follow.
        return min(float(self._most), max(self._allowed, min(to, _UNPROVEN + self._ended / 2)))


# The shares are chosen by the longest queue of 24 runs in virtual time (benchmarks/LOG.md).
_LOW = 0.03
_MIDDLE = 0.02
_STREAK = 6
_ONCE = 0.03
_AGAIN = 0.06
_TRUSTED = 20
_UNPROVEN = 64
_SCOUT_LEAST = 0.3
_SCOUT_MOST = 5.0


class _Rounds:
    """Mean time from accept to done, a round at a time, against the best round: a queue that no reply tells of.

    ``rule`` is set once such a queue has been found.
    """

    def __init__(self) -> None:
        self.rule = False
        self._sum, self._count, self._round = 0.0, 0, 0
        self._best = math.inf

    def ended(self, total: float) -> float | None:
        """At the end of a round, by how much it was slower than the best; the first round favours short jobs."""
        self._sum += total
        self._count += 1
        if self._count < 2 * _TRUSTED:
            return None
        mean = self._sum / self._count
        self._sum, self._count, self._round = 0.0, 0, self._round + 1
        if self._round == 1:
            return None
        self._best = min(self._best * 1.01, mean)
        return mean / self._best if self._best > 0.0 else None


class GetRate:
    """A cap on GETs a second, smooth: the generic cell rate algorithm (ITU-T I.371), a tenth of a second at once."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / max(per_second, 1e-6)
        self._slack = max(0.1 - self._gap, 0.0)
        self._due = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until a GET may go out; 0 is now."""
        wait = self._due - self._slack - now
        return wait if wait > _HAIR else 0.0

    def take(self, now: float) -> None:
        """A GET goes out."""
        self._due = max(self._due, now) + self._gap

    def turn(self, now: float) -> float:
        """Take the next free turn; it begins in so many seconds. First come, first served, whoever sleeps longest."""
        wait = self.wait(now)
        self.take(now)
        return wait
