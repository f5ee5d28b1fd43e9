"""A real rate limit: a token bucket over the POSTs that buy."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`rate` POSTs a second on average, `burst` at once."""

    rate: float
    burst: int


def parse_rate_limit(text: str) -> RateLimit:
    """`20/s`, `20/s,burst=5` or `600/m,burst=10`; the burst is 1 by default."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)/([sm])(?:,burst=(\d+))?", text.strip())
    if not match or float(match[1]) == 0 or match[3] == "0":
        raise ValueError(f"rate limit {text!r}: write N/s or N/m, then ,burst=K if wanted")
    return RateLimit(float(match[1]) / (60 if match[2] == "m" else 1), int(match[3] or 1))


class Bucket:
    """Tokens that come back with time; `now` is the caller's monotonic clock, in seconds."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token: 0.0 if there is one, else the seconds until there is."""
        self._tokens = min(self._limit.burst, self._tokens + (now - self._at) * self._limit.rate)
        self._at = now
        # The tolerance covers rounding errors of the refill.
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._limit.rate
