"""What to do while the service is out of order.

A decision only: it keeps a few numbers, each event is passed to it with ``now`` (seconds, any monotonic clock), and the
pool does the sleeping.
"""

from __future__ import annotations

import math
from collections import deque
from random import Random


class Breaker:
    """Stops buying while POSTs get lost, so that an outage of ten minutes costs a handful of them.

    It opens once so many of the last ``window`` answers were failures as chance gives once in 50,000 answers: at least
    ``threshold`` of them, and more where failures are usual. The share counts and not the order: with many POSTs under way
    answers come in any order, and three failures in a row are three independent ones as often as not. Usual is the share
    that this run had before the window (5 % until it has had some): at one failure in twenty, five of eight come about once
    in 70,000 answers, and three in a row once in 8,000; at one in six, five of eight come once in 200, and seven once in
    40,000. In an outage all answers are failures, so the fifth opens it, or the eighth at worst; and three before that
    fewer POSTs may be under way (``cautious``), so that those on the wire do not add to the doubts.

    Then one POST at a time goes out as a probe, after pauses that double from ``first_pause`` to ``longest_pause`` seconds,
    and are no longer than ``_YOUNG_PAUSE`` while the trouble is younger than ``_YOUNG_SECONDS``: otherwise an outage of one
    minute whose last probe failed at its end would cost two. A success closes it. Another answer (a 422, a 429, a free
    call) is half a success: the next POST may go at once, but alone, and the pauses go on growing if that one fails; two
    such answers in a row close it.
    """

    def __init__(
        self, threshold: int = 5, first_pause: float = 5.0, longest_pause: float = 300.0, *, window: int = 8
    ) -> None:
        self._answers: deque[bool] = deque()  # the last ``window``: was it a failure?
        self._window, self._threshold = window, threshold
        self._usual = _UsualFailures()
        self._first_pause, self._longest_pause = first_pause, longest_pause
        self._pauses = 0
        self._probe_at: float | None = None
        self._probing = False
        self._on_probation = False
        self.open_since: float | None = None
        """When the trouble began; None once a success has ended it."""

    @property
    def open(self) -> bool:
        """Is the service taken to be out of order?"""
        return self._probe_at is not None

    @property
    def cautious(self) -> bool:
        """Have so many of the last POSTs failed that fewer should be under way at once?"""
        return sum(self._answers) >= max(2, self._compute_threshold() - _CAUTIOUS)

    def wait(self, now: float) -> float:
        """0: a POST may go out. Else seconds until a probe may; infinite while one is out."""
        if self._probing:
            return math.inf
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - now)

    def note_sent(self, now: float) -> None:  # noqa: ARG002 - the signature of the other events
        """A POST goes out; while open or on probation it is the probe."""
        self._probing = self.open or self._on_probation

    def note_success(self, now: float) -> None:  # noqa: ARG002 - the signature of the other events
        """A POST was accepted."""
        if self.open_since is not None:
            self._answers.clear()
        self._note_answer(failed=False)
        self._pauses = 0
        self._probe_at = self.open_since = None
        self._probing = self._on_probation = False

    def note_other_answer(self, now: float) -> None:
        """The service answered, but nothing was bought: refused input, 429, or a free call."""
        self._note_answer(failed=False)
        if self._on_probation:
            self.note_success(now)
        elif self.open and self._probing:
            self._probe_at, self._probing, self._on_probation = None, False, True

    def note_unsent(self, now: float) -> None:
        """The probe was not sent, or we cut it off: another may go out."""
        self._probing = False
        if self.open:
            self._probe_at = now

    def note_failure(self, now: float, rng: Random) -> None:
        """A POST was lost, answered with a 5xx, or the service can't be reached."""
        if self.open and not self._probing:
            return  # sent before the breaker opened: that outage is known
        self._note_answer(failed=True)
        if self._probing or self._on_probation or sum(self._answers) >= self._compute_threshold():
            young = self.open_since is None or now - self.open_since < _YOUNG_SECONDS
            longest = min(_YOUNG_PAUSE, self._longest_pause) if young else self._longest_pause
            pause = min(longest, self._first_pause * 2.0 ** min(self._pauses, 30))
            self._probe_at = now + pause * rng.uniform(0.75, 1.0)
            self._pauses += 1
            self._probing = self._on_probation = False
            if self.open_since is None:
                self.open_since = now

    def _note_answer(self, *, failed: bool) -> None:
        self._answers.append(failed)
        if len(self._answers) > self._window:
            self._usual.add(failed=self._answers.popleft())

    def _compute_threshold(self) -> int:
        """The number of failures among the last ``window`` answers that chance does not explain."""
        share, window = self._usual.share, self._window
        chance, least = 0.0, window
        for failures in range(window, self._threshold - 1, -1):
            chance += math.comb(window, failures) * share**failures * (1.0 - share) ** (window - failures)
            if chance > _BY_CHANCE:
                break
            least = failures
        return least


class _UsualFailures:
    """The share of the answers that are failures while the service is not taken to be out of order.

    Those of an outage are no part of it: the window that opened the breaker is cleared when it closes.
    """

    def __init__(self) -> None:
        self._failures, self._answers = _USUAL * _PRIOR, _PRIOR

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self._failures / self._answers

    def add(self, *, failed: bool) -> None:
        """Add an answer; old ones fade."""
        fades = min(1.0, _MEMORY / self._answers)
        self._failures = self._failures * fades + failed
        self._answers = self._answers * fades + 1.0


_CAUTIOUS = 3
_BY_CHANCE = 1.0 / 50_000
_USUAL = 0.05
_PRIOR = 40.0
_MEMORY = 400.0
_YOUNG_SECONDS = 90.0
_YOUNG_PAUSE = 25.0
