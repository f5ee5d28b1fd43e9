"""POSTs that were sent without a break or refused together, and what they tell of a limit of speed: is there one, and how
much does it bear?
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Sample(NamedTuple):
    """POSTs a second that a stretch delivered which a refusal (of a POST sent ``at``) ended: as likely, at least, at most."""

    at: float
    likely: float
    least: float
    most: float

    @property
    def middle(self) -> float:
        """Between the least and the most."""
        return (self.least + self.most) / 2

    @property
    def says_enough(self) -> bool:
        """A few POSTs beyond a burst may mean any limit: they agree with everything."""
        return self.most <= _VAGUE * self.least


@dataclass(slots=True)
class Episode:
    """Refusals of POSTs that were under way together, from the first one on."""

    sent_at: float  # when the first refused POST went out
    heard_at: float  # when its refusal came
    refused: int = 0  # of those sent later, before it came
    accepted: int = 0


@dataclass(slots=True)
class Stretch:
    """POSTs sent since nothing held us back: from the first one behind a hold or an idle time to the first refusal.

    ``burst`` is what the service's bucket holds; times are seconds on the clock of the pace.
    """

    began: float
    burst: int
    answered: int = 0  # accepted
    sent: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))  # when the latest of those went out
    spent: bool = False  # began with an empty bucket: ``answered`` counts the burst already
    bare: bool = False  # behind a hold that was long enough to fill the service's bucket

    def accept(self, sent_at: float) -> None:
        """One of it was accepted."""
        self.answered += 1
        self.sent.append(sent_at)

    def measure(self, sent_at: float, gap: float) -> Sample | None:
        """What it delivered until a POST that went out at ``sent_at`` was refused; None if it was too short.

        ``gap`` is the time between two POSTs at the pace that was kept, 0 where none was.
        """
        # The service lacked less than a token for the refused one, and had a whole one a gap between two POSTs before.
        elapsed = sent_at - self.began
        through = self.answered - self.burst
        if elapsed <= (gap or 0.2) or through < (-1 if self.bare else 0):
            return None
        # No stretch can deliver more than the burst and its own length's worth: so the greatest is the best estimate,
        # and one that began slowly (growth) does not hide how fast it was at the end.
        windows = [(max(0, through), elapsed - gap / 2)]
        windows += [
            (sum(sent > sent_at - last for sent in self.sent) - self.burst, last)
            for last in _LAST_SECONDS
            if last < elapsed
        ]
        through, elapsed = max(windows, key=lambda window: window[0] / window[1])
        return Sample(sent_at, (through + 0.5) / elapsed, max(0.0, through - 0.5) / elapsed, (through + 1.5) / elapsed)

    def bears(self) -> float:
        """The slowest limit that would have let all of it through, POSTs a second; 0 where any would."""
        times = sorted(self.sent)[-_REPLAYED:]
        if len(times) <= self.burst + _UNEVEN:
            return 0.0
        low, high = 0.0, _FASTEST
        while high - low > 0.001 * high:
            middle = (low + high) / 2
            low, high = (low, middle) if self._left(middle, times) >= -_UNEVEN else (middle, high)
            if high < _SLOWEST:
                return 0.0
        return high

    def explains(self, sent_at: float) -> bool:
        """Was the bucket of such a limit empty for the POST that went out at ``sent_at`` and was refused?

        A limit refuses who presses it. Where POSTs wait for other things (a place, a job to buy) the bucket is full at most
        moments, and chance refuses at any.
        """
        times = [sent for sent in sorted(self.sent)[-_REPLAYED:] if sent < sent_at]
        return self._left(self.bears(), [*times, sent_at], last_only=True) < _UNEVEN

    def _left(self, rate: float, times: Iterable[float], *, last_only: bool = False) -> float:
        """Tokens that a bucket which fills with ``rate`` a second has left behind these POSTs: at worst, or at the end."""
        whole = float(self.burst)
        begins_empty = self.spent and len(self.sent) < _REPLAYED
        tokens, at, worst = (0.0 if begins_empty else whole), self.began, whole
        for sent in times:
            tokens = min(whole, tokens + rate * max(0.0, sent - at)) - 1.0
            at = max(at, sent)
            worst = min(worst, tokens)
        return tokens if last_only else worst


_REMEMBERED = 1024
_REPLAYED = 256
_LAST_SECONDS = (0.5, 1.0, 2.0)
_FASTEST = 1000.0
_SLOWEST = 1e-3
_UNEVEN = 1
"""Tokens by which a replay may be wrong: POSTs don't arrive as they are sent."""
_VAGUE = 3.0
