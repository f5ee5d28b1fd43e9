"""A long wait is reported once, in every mode: a log shows why an hour passed without a line."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONG_SECONDS = 30.0
"""A wait that takes longer is reported."""
AGAIN_SECONDS = 600.0
"""A wait that goes on this long beyond its reported end is reported again: the service may ask for another hour."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that the run waits for. ``text`` is the message, with ``{wait}`` in place of how long.

    ``kind`` distinguishes waits; ``until`` is when it ends (seconds, the clock of ``LongWaits.pick_due``), None where that
    is not known.
    """

    kind: str
    text: str
    until: float | None = None


class LongWaits:
    """Decides which of the present waits to report. It is called about once a second with all of them."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._reported_until: dict[str, float] = {}  # by kind: the end of the wait as it was reported

    def pick_due(self, waits: Iterable[Wait], now: float) -> Iterator[Wait]:
        """Those of ``waits`` that are long, or have become so, and were not reported yet."""
        present = {wait.kind: wait for wait in waits}
        self._since = {kind: self._since.get(kind, now) for kind in present}
        for kind, wait in present.items():
            ahead = 0.0 if wait.until is None else wait.until - now
            if max(ahead, now - self._since[kind]) <= LONG_SECONDS:
                continue
            end = math.inf if wait.until is None else wait.until
            if kind in self._reported_until and end <= self._reported_until[kind] + AGAIN_SECONDS:
                continue
            self._reported_until[kind] = end
            yield wait


def format_wait(wait: Wait, now: float, wall: float) -> str:
    """The message for a person. ``wall`` is ``now`` in seconds since the epoch."""
    if wait.until is None:
        return wait.text
    seconds = max(0.0, wait.until - now)
    ends = dt.datetime.fromtimestamp(wall + seconds).astimezone()
    duration = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return wait.text.format(wait=f"{duration}, until {ends:%H:%M},")
