"""By how much the service's refusals (429) make a run longer.

A decision only: it keeps a few numbers and is told what happened with ``now`` (seconds, any clock that doesn't go back).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ..core.slowdown import Slowdown
from .eta import eta
from .lifetimes import Lifetimes


class Allowed(NamedTuple):
    """``at_once`` jobs in flight, and ``rate`` POSTs a second (None: as many as there are places)."""

    at_once: int
    rate: float | None = None


class Left(NamedTuple):
    """Seconds until the run is over: at what the service allows, and at what was wished for."""

    limited: float
    wished: float

    @property
    def longer(self) -> float:
        """How much longer what is left takes, in seconds."""
        return max(0.0, self.limited - self.wished)


def left(lifetimes: Lifetimes, ages: Sequence[float], planned: int, now: Allowed, wished: Allowed) -> Left:
    """What is left, ``planned`` jobs and those in flight of these ``ages`` (seconds), at the pace that is allowed ``now``
    and at the one that was ``wished`` for: both by the same reckoning as the time left (``eta``, its median).
    """
    return Left(
        eta(lifetimes, ages, planned, now.at_once, rate=now.rate)[0],
        eta(lifetimes, ages, planned, wished.at_once, rate=wished.rate)[0],
    )


class Slowness:
    """Keeps how a run was slowed, and says when that is worth a line.

    What is lost adds up: of a second that is spent at the pace allowed, the share ``1 - wished / limited`` (of the time
    left) would not have been needed. What was lost so far and what is still to be lost is how much longer the run takes.

    Refusals at random set no limit, and yet each one's pause holds everybody. Where they hold the run for a quarter of the
    last minute, what got through in it is the pace.
    """

    def __init__(self) -> None:
        self.now: Slowdown | None = None
        """What slows the run at the moment; None if nothing does."""
        self.in_all: Slowdown | None = None
        """What slowed the run last, and how much longer it took; None if nothing ever did."""
        self._beats: deque[tuple[float, bool, int, int]] = deque(maxlen=_WINDOW)
        self._accepted = self._refused = 0
        self._lost = 0.0
        self._told: Slowdown | None = None
        self._told_at = 0.0
        self._free_since: float | None = None

    def accepted(self) -> None:
        """A POST was taken."""
        self._accepted += 1

    def refused(self) -> None:
        """A POST was answered with 429."""
        self._refused += 1

    def beat(self, now: float, *, held: bool) -> None:
        """Once a second: may no POST go out at the moment because the service asked for a pause?"""
        self._beats.append((now, held, self._accepted, self._refused))

    def pace(self) -> float | None:
        """POSTs a second that got through, where refusals without a limit behind them hold the run; else None."""
        if len(self._beats) < _LEAST_BEATS:
            return None
        held = sum(held for _, held, _, _ in self._beats)
        (began, _, accepted, refused), (now, _, accepted_now, refused_now) = self._beats[0], self._beats[-1]
        if held < _SHARE * len(self._beats) or refused_now - refused < _LEAST_REFUSALS or now <= began:
            return None
        return max(0.01, (accepted_now - accepted) / (now - began))

    def measure(self, now: float, allows: Slowdown | None, left: Left | None) -> bool:
        """What is allowed now, and what is left. True where that should be said: it is new, changed much, or is over."""
        slows = allows is not None and left is not None and left.longer > max(1.0, 0.02 * left.wished)
        if slows and allows is not None and left is not None:
            since = self._beats[-2][0] if len(self._beats) > 1 else now
            self._lost += min(_LONGEST_BEAT, now - since) * left.longer / left.limited
            self._free_since = None
            self.now = self.in_all = self._with(allows, self._lost + left.longer)
        else:
            self.now = None
            self._free_since = now if self._free_since is None else self._free_since
            if self.in_all is not None:
                self.in_all = self._with(self.in_all, self._lost)
        return self._is_news(now)

    def over(self) -> None:
        """Nothing is bought any more: what is left is no longer slowed."""
        self.now = None
        if self.in_all is not None:
            self.in_all = self._with(self.in_all, self._lost)

    @staticmethod
    def _with(allows: Slowdown, seconds: float) -> Slowdown:
        return Slowdown(allows.posts_per_second, allows.jobs_at_once, seconds)

    def _is_news(self, now: float) -> bool:
        told, found = self._told, self.now
        if found is None:
            news = told is not None and self._free_since is not None and now - self._free_since >= _OVER_SECONDS
        elif told is None or (told.jobs_at_once is None) != (found.jobs_at_once is None):
            news = True
        else:
            pause = _SHORT_PAUSE if told.jobs_at_once != found.jobs_at_once else _PAUSE
            news = now - self._told_at >= pause and _differ(told, found)
        if news:
            self._told, self._told_at = found, now
        return news


def _differ(told: Slowdown, found: Slowdown) -> bool:
    """Another number of jobs; else by a fifth, and the time by more than a minute too."""
    pairs = (
        (told.posts_per_second, found.posts_per_second, 0.0),
        (told.seconds_longer, found.seconds_longer, 60.0),
    )
    return told.jobs_at_once != found.jobs_at_once or any(
        abs((one or 0.0) - (other or 0.0)) > max(least, 0.2 * max(one or 0.0, other or 0.0))
        for one, other, least in pairs
    )


_WINDOW = 60
_LEAST_BEATS = 20
_LEAST_REFUSALS = 4
_SHARE = 0.25
_LONGEST_BEAT = 5.0
"""Seconds: a longer one was a suspension, which is not the service's doing."""
_PAUSE = 30.0
_SHORT_PAUSE = 3.0
_OVER_SECONDS = 30.0
