"""Was the process suspended? Two clocks and a beat tell.

A decision only: it is told both clocks at each beat, and what they did in between says whether we were there.
"""

from __future__ import annotations

from typing import NamedTuple

BEAT_SECONDS = 1.0
"""How often the clocks are read."""
LEAST_SECONDS = 5.0
"""A beat that is late by so much was no beat of ours: nothing that was measured across it counts."""


class Suspension(NamedTuple):
    """``seconds`` passed without us. Of these the run's own clock counted ``counted``: all of them where the process was
    stopped, none where the machine slept, for that clock stands still meanwhile.
    """

    seconds: float
    counted: float


class Beats:
    """Tells a suspension from the clocks: ``steady``, which can't be set and stands still while the machine sleeps, and
    ``wall``, which goes on. A wall clock that was set ahead looks like a machine that slept, which costs one look at each
    job; one that was set back tells nothing.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._past: list[tuple[float, float]] = []  # when it was noticed, and what was counted, on the steady clock

    def begin(self, steady: float, wall: float) -> None:
        """From here on there is a beat at least each BEAT_SECONDS."""
        self._last = steady, wall

    def beat(self, steady: float, wall: float) -> Suspension | None:
        """The clocks now; a suspension if there was one since the last beat."""
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

    def since(self, began: float) -> float:
        """Seconds that the steady clock counted after ``began`` and in which nobody waited: no patience was used up."""
        return sum(counted for noticed, counted in self._past if noticed > began)

    def waited(self, since: float, now: float) -> float:
        """Seconds from ``since`` to ``now`` without those for which the process was suspended: they use up no patience."""
        return now - since - self.since(since)
