"""How long this process may still buy, by its own clocks: the database decides, but a POST does not wait for it.

The deadline counts from before the beat was sent, so it is never later than the database's. Two clocks are used, because each
may stop or be set: the one that also counts while the machine sleeps, and the wall clock.
"""

from __future__ import annotations

import time

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def read_clocks() -> tuple[float, float]:
    """Seconds since the machine was started, sleep included where the system can tell; and epoch seconds."""
    return time.clock_gettime(_BOOT), time.time()


class Lease:
    """A lease of ``seconds`` from each beat that the database has confirmed."""

    def __init__(self, seconds: float, began: tuple[float, float]) -> None:
        self.seconds = seconds
        self._began = began
        self.is_lost = False
        """The database has reported that it is over, finally."""

    def renew(self, began: tuple[float, float]) -> None:
        """A beat that was sent at ``began`` was confirmed."""
        self._began = began

    def is_valid(self) -> bool:
        """May a POST that buys leave now?"""
        return not self.is_lost and all(
            0 <= now - began < self.seconds for now, began in zip(read_clocks(), self._began, strict=True)
        )
