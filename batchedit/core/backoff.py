"""How long to wait before the next try, and before a rate is raised again. Pure: the generator is an argument."""

from __future__ import annotations

from random import Random

NO_RAISE_SECONDS = 10.0
"""For this long after an error or a lost answer no rate is raised."""


def backoff(attempt: int, rng: Random, *, base: float = 1.0, cap: float = 60.0) -> float:
    """Seconds before try ``attempt + 1``: full jitter over an exponential window (AWS Architecture Blog, 2015)."""
    window = min(cap, base * 2.0 ** min(attempt, 30))
    return rng.uniform(0.0, window)
