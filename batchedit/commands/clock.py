"""The clock of a run, and its moments as text: wall time at the start, monotonic seconds from there on.

The wall clock may be set back or ahead while a run goes on (by a person, a time server, the end of summer time), and a wait
that is computed with it would last hours, or no time at all. ``monotonic`` can't be set. It stands still while the computer
sleeps (Linux, macOS), so a suspended run uses up no patience.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, time


class SteadyClock:
    """Called, returns seconds since the epoch that only grow. It falls behind by the time that the computer sleeps."""

    def __init__(self, wall: Callable[[], float] = time, steady: Callable[[], float] = monotonic) -> None:
        self._steady = steady
        self._offset = wall() - steady()

    def __call__(self) -> float:
        return self._offset + self._steady()


def to_utc_text(at: float) -> str:
    """Epoch seconds as UTC in ISO 8601, to the second."""
    return datetime.fromtimestamp(int(at), UTC).isoformat()
