"""How many jobs may be in flight: ``-j N``, and ``-j auto``, which finds out.

A decision only: it keeps a few numbers, each event is passed to it with ``now`` (seconds, any monotonic clock), and the
pool does the sleeping.
"""

from __future__ import annotations

import math
from collections import deque

from ..core.backoff import NO_RAISE_SECONDS


class InFlight:
    """How many jobs may be in flight: ``limit``, or learned (``limit`` None, ``-j auto``), at most ``most``.

    The aim is a short remote queue: it keeps the service busy while ended jobs wait to be noticed; a deep one gains
    nothing, and its jobs are bought already. The measure is the *share*: time in the queue over time running, which by
    Little's law is also jobs queued over the service's capacity. Below ``_LOW`` there is room; above twice that there are
    too many, and the share gives the capacity: in flight / (1 + share).

    While no queue has been seen the number grows by half with every fresh proof of room (slow start), later by 3 %, and
    by 6 % after ``_STREAK`` proofs in a row: the capacity has changed, or too few early polls were sent. A proof is fresh
    if its job was accepted after the last change, and a job proves room by being out of the queue *early*; so some jobs
    are polled early, as ``plan_early_poll`` asks. Without early polls the number only creeps. A service whose replies
    never mention its queue is recognised by its jobs taking twice as long as at first; from then on only their times count.
    """

    def __init__(self, limit: int | None, *, start: int = 4, most: int = 2000) -> None:
        self._fixed = limit is not None
        self._most = max(1, most)
        self._allowed = float(min(self._most, max(1, start)) if limit is None else max(1, limit))
        self._slow_start = True
        self._changes: deque[tuple[float, float]] = deque([(-math.inf, self._allowed)], maxlen=512)  # when, to what
        self._shrunk_at = -math.inf
        self._early_poll_at = -math.inf
        self._calm_until = -math.inf
        self._measured_from = -math.inf
        self._streak = 0
        self._capacity = 0.0  # of the service: in flight without the queued ones, on average; 0 before any were queued
        self._ended = 0
        self._run = 0.0
        self._rounds = _Rounds()

    def count_allowed(self, now: float) -> int:  # noqa: ARG002 - the signature of ``AccountLimit.count_allowed``
        """Jobs that may be in flight now."""
        return int(self._allowed)

    def note_trouble(self, now: float) -> None:
        """A 5xx, a 429 or no answer: no growth for a while."""
        self._calm_until = now + NO_RAISE_SECONDS

    def restart(self, now: float) -> None:
        """The process was suspended: the times of jobs accepted before are not known. A queue position that a reply tells
        from now on still counts, as it is current.
        """
        self._measured_from = now
        self._streak = 0
        self._rounds.restart()

    def plan_early_poll(self, now: float, in_use: int) -> float | None:
        """Called at an accept: seconds after which to poll this job early; None if no early poll is wanted."""
        if self._fixed or not self._is_busy(in_use, now):
            return None
        age = max(_EARLIEST_POLL, min(_LATEST_EARLY_POLL, _LOW * self._trusted_run))
        pause = age if self._slow_start else max(age, self._trusted_run / 4)
        if now - self._early_poll_at < 0.9 * pause:
            return None
        self._early_poll_at = now
        return age

    def note_poll(
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
        """A job was polled.

        Still in the queue (``waiting``, or a ``queue_position``, which is jobs ahead): ``seconds_in_queue`` so far,
        ``run_seconds`` 0. Found running: the seconds for which it was seen queued, ``run_seconds`` 0. Ended: both.
        ``accepted_at`` defaults to ``now`` less the two; ``in_use`` is the jobs in flight, this one included.
        """
        if self._fixed:
            return
        in_queue = queue_position is not None if waiting is None else waiting
        if accepted_at is None:
            accepted_at = now - seconds_in_queue - run_seconds
        if accepted_at < self._measured_from and not (in_queue and queue_position is not None):
            return
        used = int(self._allowed) if in_use is None else in_use
        if run_seconds > 0.0 and not in_queue:
            self._learn(run_seconds)
            if accepted_at >= self._shrunk_at:
                self._judge_hidden_queue(self._rounds.note_end(seconds_in_queue + run_seconds), used, now)
        if in_queue and queue_position is not None:
            self._judge_position(queue_position, used, accepted_at, now)
        else:
            self._judge_wait(seconds_in_queue, used, accepted_at, now, in_queue=in_queue, ended=run_seconds > 0.0)

    @property
    def _trusted_run(self) -> float:
        """Mean run time, 0 until it can be trusted: the first jobs to end are the short ones."""
        return self._run if self._ended >= _TRUSTED else 0.0

    def _is_busy(self, used: int, now: float) -> bool:
        return used >= 0.9 * int(self._allowed) and now >= self._calm_until

    def _judge_position(self, position: int, used: int, accepted_at: float, now: float) -> None:
        """``position`` jobs are ahead of one: at least as many of ours are queued *now*; the capacity is at most the rest.

        The rest also holds jobs that have ended and are not noticed yet, now more, now fewer. The longest queue is seen
        when they are fewest, so that moment alone would leave capacity idle soon after: the mean counts too.
        """
        capacity = max(1.0, used - float(position))
        if position:
            self._capacity += (0.2 if self._capacity else 1.0) * (capacity - self._capacity)
        if position > max(2.0, 2 * _LOW * capacity):
            self._shrink(max(capacity, self._capacity) * (1.0 + _MIDDLE) + 1.0, now)
        elif position >= max(1.0, _LOW * capacity):
            self._hold()
        elif self._is_early(accepted_at, now):
            self._grow_for_room(used, accepted_at, now)

    def _is_early(self, accepted_at: float, now: float) -> bool:
        return now - accepted_at <= max(2 * _EARLIEST_POLL, 2 * _LOW * self._trusted_run)

    def _judge_wait(
        self, seconds: float, used: int, accepted_at: float, now: float, *, in_queue: bool, ended: bool
    ) -> None:
        share = seconds / self._trusted_run if self._trusted_run else 0.0
        if share > 2 * _LOW:
            if accepted_at >= self._shrunk_at:
                self._shrink(self._find_allowed_at(accepted_at) / (1.0 + share) * (1.0 + _MIDDLE) + 1.0, now)
        elif share >= _LOW:
            self._hold()
        elif in_queue:
            return
        elif self._is_early(accepted_at, now):
            self._grow_for_room(used, accepted_at, now)
        elif ended and (self._slow_start or self._early_poll_at == -math.inf):
            self._creep(used, accepted_at, now)

    def _learn(self, run: float) -> None:
        self._ended += 1
        self._run += max(1.0 / 64, 1.0 / self._ended) * (run - self._run)

    def _judge_hidden_queue(self, inflation: float | None, used: int, now: float) -> None:
        """A queue that no reply mentions shows in the time that jobs take."""
        if inflation is None:
            return
        if inflation > 2.0:
            self._rounds.is_decisive = True
            self._shrink(1.2 * self._allowed / inflation, now)
        elif inflation > 1.5:
            self._hold()
        elif self._rounds.is_decisive and inflation < 1.3 and self._is_busy(used, now):
            self._grow(max(1.0, 0.05 * self._allowed), now)

    def _find_allowed_at(self, moment: float) -> float:
        return next((allowed for since, allowed in reversed(self._changes) if since <= moment), self._allowed)

    def _hold(self) -> None:
        self._slow_start = False
        self._streak = 0

    def _shrink(self, allowed: float, now: float) -> None:
        self._hold()
        if allowed < self._allowed:
            self._allowed = max(1.0, allowed)
            self._shrunk_at = now
            self._changes.append((now, self._allowed))

    def _grow_for_room(self, used: int, accepted_at: float, now: float) -> None:
        """There is hardly a queue: grow, if all slots are in use and the service is not in trouble."""
        if self._rounds.is_decisive or not self._is_busy(used, now) or accepted_at < self._changes[-1][0]:
            return
        self._streak += 1
        share = 0.5 if self._slow_start else _AGAIN if self._streak >= _STREAK else _ONCE
        self._grow(max(1.0, share * self._allowed), now)

    def _creep(self, used: int, accepted_at: float, now: float) -> None:
        """A job ended that was never seen queued, but was not polled early either."""
        if not self._rounds.is_decisive and self._is_busy(used, now) and accepted_at >= self._shrunk_at:
            self._grow(1.0 if self._slow_start else 2.0 / self._allowed, now)

    def _grow(self, step: float, now: float) -> None:
        self._allowed = self._bound(self._allowed + step)
        self._changes.append((now, self._allowed))

    def _bound(self, allowed: float) -> float:
        # Early polls alone prove little about a service that calls every job running: ended jobs must follow.
        return min(float(self._most), max(self._allowed, min(allowed, _UNPROVEN + self._ended / 2)))


# The shares are chosen by the longest queue of 24 runs in virtual time (benchmarks/LOG.md).
_LOW = 0.03
_MIDDLE = 0.02
_STREAK = 6
_ONCE = 0.03
_AGAIN = 0.06
_TRUSTED = 20
_UNPROVEN = 64
_EARLIEST_POLL = 0.3
_LATEST_EARLY_POLL = 5.0


class _Rounds:
    """Mean time from accept to done, a round at a time, against the best round: detects a queue that no reply mentions.

    ``is_decisive`` is set once such a queue has been found.
    """

    def __init__(self) -> None:
        self.is_decisive = False
        self._sum, self._count, self._round = 0.0, 0, 0
        self._best = math.inf

    def restart(self) -> None:
        """Restart this round."""
        self._sum, self._count = 0.0, 0

    def note_end(self, total: float) -> float | None:
        """At the end of a round, its mean over the best round's, else None; the first round favours short jobs."""
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
