"""What to do while the service is out of order.

A decision only: it keeps a few numbers, is told what happened with ``now`` (seconds, any clock that doesn't go back), and
the pool does the sleeping.
"""

from __future__ import annotations

import math
from random import Random


class Breaker:
    """Stops buying while POSTs get lost, so that an outage of ten minutes costs a handful of them.

    ``threshold`` failures in a row open it. Then one POST at a time goes out as a probe, after pauses that double from
    ``first_pause`` to ``longest_pause`` seconds; a success closes it. ``released`` means half of that: something at the
    service answers (a 422, a 429, a free call), so the next POST may go at once, but alone, and the pauses go on
    growing if that one fails; two such answers in a row close it.
    """

    def __init__(self, threshold: int = 3, first_pause: float = 5.0, longest_pause: float = 300.0) -> None:
        self._threshold, self._first_pause, self._longest_pause = threshold, first_pause, longest_pause
        self._failures = 0
        self._pauses = 0
        self._probe_at: float | None = None
        self._probing = False
        self._on_probation = False
        self.open_since: float | None = None
        """When the trouble began; None once a success has ended it."""

    @property
    def open(self) -> bool:
        """Is the service thought to be out of order?"""
        return self._probe_at is not None

    def wait(self, now: float) -> float:
        """0: a POST may go out. Else seconds until a probe may; infinite while one is out."""
        if self._probing:
            return math.inf
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - now)

    def sent(self, now: float) -> None:  # noqa: ARG002 - one shape for all that is told
        """A POST goes out; while open or on probation it is the probe."""
        self._probing = self.open or self._on_probation

    def succeeded(self, now: float) -> None:  # noqa: ARG002 - one shape for all that is told
        """A POST was accepted."""
        self._failures = self._pauses = 0
        self._probe_at = self.open_since = None
        self._probing = self._on_probation = False

    def released(self, now: float) -> None:
        """The service answered, but nothing was bought: refused input, 429, or a free call."""
        self._failures = 0
        if self._on_probation:
            self.succeeded(now)
        elif self.open and self._probing:
            self._probe_at, self._probing, self._on_probation = None, False, True

    def abandoned(self, now: float) -> None:
        """The probe never went out, or was cut off by us: another may."""
        self._probing = False
        if self.open:
            self._probe_at = now

    def failed(self, now: float, rng: Random) -> None:
        """A POST was lost, answered with a 5xx, or the service can't be reached."""
        if self.open and not self._probing:
            return  # sent before it opened: that outage is known
        self._failures += 1
        if self._probing or self._on_probation or self._failures >= self._threshold:
            pause = min(self._longest_pause, self._first_pause * 2.0 ** min(self._pauses, 30))
            self._probe_at = now + pause * rng.uniform(0.75, 1.0)
            self._pauses += 1
            self._probing = self._on_probation = False
            if self.open_since is None:
                self.open_since = now
