"""A long wait is told once, in every mode: who reads a log in the morning sees why an hour passed without a line."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONG_SECONDS = 30.0
"""A wait that takes longer is told."""
AGAIN_SECONDS = 600.0
"""A wait that goes on beyond what was told is told anew after so long: the service may ask for another hour."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that the run waits for, in words, with ``{wait}`` in them for how long.

    ``kind`` tells it from others; ``until`` is when it ends (seconds, the clock that ``due`` is asked with), None where
    nobody knows.
    """

    kind: str
    text: str
    until: float | None = None


class LongWaits:
    """Which of the present waits to tell. A decision only: it is asked every second or so with what is waited for."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}  # by kind: until when what was told holds

    def due(self, waits: Iterable[Wait], now: float) -> Iterator[Wait]:
        """Those of ``waits`` that are long, or have become so, and were not told yet."""
        present = {wait.kind: wait for wait in waits}
        self._since = {kind: self._since.get(kind, now) for kind in present}
        for kind, wait in present.items():
            ahead = 0.0 if wait.until is None else wait.until - now
            if max(ahead, now - self._since[kind]) <= LONG_SECONDS:
                continue
            end = math.inf if wait.until is None else wait.until
            if kind in self._told and end <= self._told[kind] + AGAIN_SECONDS:
                continue
            self._told[kind] = end
            yield wait


def sentence(wait: Wait, now: float, wall: float) -> str:
    """What a person reads. ``wall`` is ``now`` in seconds since the epoch."""
    if wait.until is None:
        return wait.text
    seconds = max(0.0, wait.until - now)
    at = dt.datetime.fromtimestamp(wall + seconds).astimezone()
    long = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return wait.text.format(wait=f"{long}, until {at:%H:%M},")
