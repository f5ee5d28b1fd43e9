"""The clock of a run: wall time at its start, and from there on seconds that nobody can set.

A computer's clock is set back or ahead while a run goes on (by a person, by a time server, at the end of summer time on a
badly set machine), and a wait that is reckoned with it lasts hours, or no time at all. ``monotonic`` can't be set, and it
stands still while the computer sleeps (Linux, macOS): a suspended run uses up no patience.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time


class SteadyClock:
    """Call it for seconds since the epoch that only grow. After the computer slept, it is behind by as long."""

    def __init__(self, wall: Callable[[], float] = time, steady: Callable[[], float] = monotonic) -> None:
        self._steady = steady
        self._offset = wall() - steady()

    def __call__(self) -> float:
        return self._offset + self._steady()
