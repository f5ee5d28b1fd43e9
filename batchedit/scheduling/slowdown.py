"""By how much the service's refusals (429) make a run longer.

A decision only: it keeps a few numbers, and each event is passed to it with ``now`` (seconds, any monotonic clock).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ..core.slowdown import Slowdown
from .eta import eta
from .lifetimes import Lifetimes


class Pace(NamedTuple):
    """``at_once`` jobs in flight, and ``rate`` POSTs a second (None: limited by the slots alone)."""

    at_once: int
    rate: float | None = None


class TimeLeft(NamedTuple):
    """Seconds until the run is over: at the pace that the service allows, and at the requested one."""

    limited: float
    requested: float

    @property
    def longer(self) -> float:
        """How much longer the rest of the run takes, in seconds."""
        return max(0.0, self.limited - self.requested)


def estimate_left(
    lifetimes: Lifetimes, ages: Sequence[float], planned: int, allowed: Pace, requested: Pace
) -> TimeLeft:
    """The time for the rest of the run, ``planned`` jobs and those in flight of these ``ages`` (seconds), at the pace that
    is ``allowed`` now and at the ``requested`` one: both are the median of ``eta``.
    """
    return TimeLeft(
        eta(lifetimes, ages, planned, allowed.at_once, rate=allowed.rate)[0],
        eta(lifetimes, ages, planned, requested.at_once, rate=requested.rate)[0],
    )


class Slowness:
    """Measures how the service slows a run, and decides when to report it.

    The loss adds up: of a second that is spent at the allowed pace, the share ``1 - requested / limited`` (of the time
    left) would not have been needed. The loss so far and the loss still to come is how much longer the run takes.

    Random refusals set no limit, and yet the pause after each holds all POSTs. Where they hold the run for a quarter of
    the last minute, the accepted POSTs of that minute are the pace.
    """

    def __init__(self) -> None:
        self.now: Slowdown | None = None
        """What slows the run at the moment; None if nothing does."""
        self.in_all: Slowdown | None = None
        """What slowed the run last, and how much longer it took; None if nothing ever did."""
        self._beats: deque[tuple[float, bool, int, int]] = deque(maxlen=_WINDOW)
        self._accepted = self._refused = 0
        self._lost = 0.0
        self._reported: Slowdown | None = None
        self._reported_at = 0.0
        self._free_since: float | None = None

    def note_accepted(self) -> None:
        """A POST was taken."""
        self._accepted += 1

    def note_refused(self) -> None:
        """A POST was answered with 429."""
        self._refused += 1

    def beat(self, now: float, *, held: bool) -> None:
        """Called once a second. ``held``: no POST may go out now because the service asked for a pause."""
        self._beats.append((now, held, self._accepted, self._refused))

    def measure_rate(self) -> float | None:
        """Accepted POSTs a second, where refusals that no limit explains hold the run; else None."""
        if len(self._beats) < _LEAST_BEATS:
            return None
        held = sum(held for _, held, _, _ in self._beats)
        (began, _, accepted, refused), (now, _, accepted_now, refused_now) = self._beats[0], self._beats[-1]
        if held < _SHARE * len(self._beats) or refused_now - refused < _LEAST_REFUSALS or now <= began:
            return None
        return max(0.01, (accepted_now - accepted) / (now - began))

    def measure(self, now: float, limit: Slowdown | None, left: TimeLeft | None) -> bool:
        """Take the service's ``limit`` and the time left. True where it should be reported: new, much changed, or over."""
        slows = limit is not None and left is not None and left.longer > max(1.0, 0.02 * left.requested)
        if slows and limit is not None and left is not None:
            since = self._beats[-2][0] if len(self._beats) > 1 else now
            self._lost += min(_LONGEST_BEAT, now - since) * left.longer / left.limited
            self._free_since = None
            self.now = self.in_all = self._make_slowdown(limit, self._lost + left.longer)
        else:
            self.now = None
            self._free_since = now if self._free_since is None else self._free_since
            if self.in_all is not None:
                self.in_all = self._make_slowdown(self.in_all, self._lost)
        return self._is_news(now)

    def note_buying_ended(self) -> None:
        """Nothing is bought any more: the rest of the run is no longer slowed."""
        self.now = None
        if self.in_all is not None:
            self.in_all = self._make_slowdown(self.in_all, self._lost)

    @staticmethod
    def _make_slowdown(limit: Slowdown, seconds: float) -> Slowdown:
        return Slowdown(limit.posts_per_second, limit.jobs_at_once, seconds)

    def _is_news(self, now: float) -> bool:
        reported, current = self._reported, self.now
        if current is None:
            news = reported is not None and self._free_since is not None and now - self._free_since >= _OVER_SECONDS
        elif reported is None or (reported.jobs_at_once is None) != (current.jobs_at_once is None):
            news = True
        else:
            pause = _SHORT_PAUSE if reported.jobs_at_once != current.jobs_at_once else _PAUSE
            news = now - self._reported_at >= pause and _differs_much(reported, current)
        if news:
            self._reported, self._reported_at = current, now
        return news


def _differs_much(reported: Slowdown, current: Slowdown) -> bool:
    """Another number of jobs; else by a fifth, and the time by more than a minute too."""
    pairs = (
        (reported.posts_per_second, current.posts_per_second, 0.0),
        (reported.seconds_longer, current.seconds_longer, 60.0),
    )
    return reported.jobs_at_once != current.jobs_at_once or any(
        abs((before or 0.0) - (now or 0.0)) > max(least, 0.2 * max(before or 0.0, now or 0.0))
        for before, now, least in pairs
    )


_WINDOW = 60
_LEAST_BEATS = 20
_LEAST_REFUSALS = 4
_SHARE = 0.25
_LONGEST_BEAT = 5.0
"""Seconds: a longer one was a suspension, which the service did not cause."""
_PAUSE = 30.0
_SHORT_PAUSE = 3.0
_OVER_SECONDS = 30.0
