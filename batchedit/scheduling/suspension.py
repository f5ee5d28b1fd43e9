"""Detects that the process was suspended, from two clocks that are read at each beat.

A decision only: both clocks are passed to it at each beat, and how far they moved in between shows a suspension.
"""

from __future__ import annotations

from typing import NamedTuple

BEAT_SECONDS = 1.0
"""How often the clocks are read."""
LEAST_SECONDS = 5.0
"""A beat that is late by so much shows a suspension: nothing that was measured across it counts."""


class Suspension(NamedTuple):
    """The process did not run for ``seconds``. Of these the run's own clock counted ``counted``: all of them where the
    process was stopped, none where the machine slept, as that clock stands still meanwhile.
    """

    seconds: float
    counted: float


class Beats:
    """Detects a suspension from two clocks: ``steady``, which can't be set and stands still while the machine sleeps, and
    ``wall``, which goes on. A wall clock that was set ahead looks like a machine that slept, which costs one poll of each
    job; one that was set back shows nothing.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._past: list[tuple[float, float]] = []  # when it was noticed, and what was counted, on the steady clock

    def begin(self, steady: float, wall: float) -> None:
        """From here on there is a beat at least each BEAT_SECONDS."""
        self._last = steady, wall

    def beat(self, steady: float, wall: float) -> Suspension | None:
        """Compare the clocks with the last beat: the suspension since then, if there was one."""
        if self._last is None:
            return None
        counted = max(0.0, steady - self._last[0] - BEAT_SECONDS)
        seconds = max(counted, wall - self._last[1] - BEAT_SECONDS)
        self._last = steady, wall
        if seconds < LEAST_SECONDS:
            return None
        if counted < LEAST_SECONDS:
            return Suspension(seconds, 0.0)
        self._past.append((steady, counted))
        return Suspension(seconds, counted)

    def count_suspended(self, began: float) -> float:
        """Seconds after ``began`` that the steady clock counted while the process was suspended."""
        return sum(counted for noticed, counted in self._past if noticed > began)

    def count_awake(self, since: float, now: float) -> float:
        """Seconds from ``since`` to ``now`` without those for which the process was suspended."""
        return now - since - self.count_suspended(since)
