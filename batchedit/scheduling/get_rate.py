"""How fast GETs may go out.

A decision only: it keeps a few numbers, each event is passed to it with ``now`` (seconds, any monotonic clock), and the
pool does the sleeping.
"""

from __future__ import annotations

import math

_ROUNDING = 1e-9
"""The rounding error of a token."""


class GetRate:
    """A cap on GETs a second, smooth: the generic cell rate algorithm (ITU-T I.371), a tenth of a second at once."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / max(per_second, 1e-6)
        self._slack = max(0.1 - self._gap, 0.0)
        self._due = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until a GET may go out; 0 is now."""
        wait = self._due - self._slack - now
        return wait if wait > _ROUNDING else 0.0

    def take(self, now: float) -> None:
        """A GET goes out."""
        self._due = max(self._due, now) + self._gap

    def take_turn(self, now: float) -> float:
        """Take the next free turn; seconds until it begins. First come, first served, whichever task sleeps longest."""
        wait = self.wait(now)
        self.take(now)
        return wait
