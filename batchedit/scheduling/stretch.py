"""POSTs that were sent without a break or refused together, and what they show about a limit of speed: whether there is
one, and how high it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Sample(NamedTuple):
    """The POSTs a second that a stretch delivered before the refusal of a POST sent ``at``: likeliest, lowest, highest."""

    at: float
    likely: float
    least: float
    most: float

    @property
    def middle(self) -> float:
        """Between the least and the most."""
        return (self.least + self.most) / 2

    @property
    def is_precise(self) -> bool:
        """Is the range narrow enough? A few POSTs beyond a burst fit any limit."""
        return self.most <= _VAGUE * self.least


@dataclass(slots=True)
class Episode:
    """Refusals of POSTs that were under way together, from the first one on."""

    sent_at: float  # when the first refused POST went out
    refused_at: float  # when its refusal came
    refused: int = 0  # of those sent later, before it came
    accepted: int = 0


@dataclass(slots=True)
class Stretch:
    """POSTs sent without a hold: from the first one after a hold or an idle time to the first refusal.

    ``burst`` is the size of the service's bucket; times are seconds on the clock of the pace.
    """

    began: float
    burst: int
    answered: int = 0  # accepted
    sent: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))  # when the latest of those went out
    spent: bool = False  # began with an empty bucket: ``answered`` counts the burst already
    bare: bool = False  # after a hold that was long enough to fill the service's bucket

    def accept(self, sent_at: float) -> None:
        """A POST of this stretch was accepted."""
        self.answered += 1
        self.sent.append(sent_at)

    def measure(self, sent_at: float, gap: float) -> Sample | None:
        """The rate delivered until a POST that went out at ``sent_at`` was refused; None if the stretch was too short.

        ``gap`` is the time between two POSTs at the present pace, 0 where there is none.
        """
        # The service lacked less than a token for the refused POST, and had a whole one a gap between two POSTs before.
        elapsed = sent_at - self.began
        through = self.answered - self.burst
        if elapsed <= (gap or 0.2) or through < (-1 if self.bare else 0):
            return None
        # No stretch can deliver more than the burst and what the limit fills in its length: so the greatest rate is the
        # best estimate, and one that began slowly (growth) does not hide how fast it was at the end.
        windows = [(max(0, through), elapsed - gap / 2)]
        windows += [
            (sum(sent > sent_at - last for sent in self.sent) - self.burst, last)
            for last in _LAST_SECONDS
            if last < elapsed
        ]
        through, elapsed = max(windows, key=lambda window: window[0] / window[1])
        return Sample(sent_at, (through + 0.5) / elapsed, max(0.0, through - 0.5) / elapsed, (through + 1.5) / elapsed)

    def find_slowest_limit(self) -> float:
        """The slowest limit that would have accepted all of the stretch, POSTs a second; 0 where any would."""
        times = sorted(self.sent)[-_REPLAYED:]
        if len(times) <= self.burst + _UNEVEN:
            return 0.0
        low, high = 0.0, _FASTEST
        while high - low > 0.001 * high:
            middle = (low + high) / 2
            low, high = (low, middle) if self._replay_tokens(middle, times) >= -_UNEVEN else (middle, high)
            if high < _SLOWEST:
                return 0.0
        return high

    def explains(self, sent_at: float) -> bool:
        """Was the bucket of that limit empty for the POST that went out at ``sent_at`` and was refused?

        A limit refuses POSTs that come too fast. Where POSTs wait for other things (a slot, a job to buy) the bucket is full
        most of the time, and chance refuses at any time.
        """
        times = [sent for sent in sorted(self.sent)[-_REPLAYED:] if sent < sent_at]
        return self._replay_tokens(self.find_slowest_limit(), [*times, sent_at], last_only=True) < _UNEVEN

    def _replay_tokens(self, rate: float, times: Iterable[float], *, last_only: bool = False) -> float:
        """Tokens that a bucket which fills with ``rate`` a second has left after these POSTs: at worst, or at the end."""
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
"""Tokens by which a replay may be wrong: POSTs don't arrive in the rhythm in which they are sent."""
_VAGUE = 3.0
