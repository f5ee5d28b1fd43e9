"""When a run will be over, told honestly: as likely sooner as later, and with a chance of 90 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .lifetimes import END, Lifetimes, age_at, place_of
from .polling import DEFAULT_P


def eta(
    lifetimes: Lifetimes,
    ages_in_flight: Sequence[float],
    planned: int,
    at_once: int,
    *,
    p: float = DEFAULT_P,
    rate: float | None = None,
) -> tuple[float, float]:
    """Seconds until the run is over: as likely sooner as later, and with a chance of 90 %.

    Two parts. Until the last planned job starts, ``at_once`` places work off what is left (renewal theory: mean
    residual lives of what runs, mean lives and the mean lag of our looking for what is planned), or ``rate`` POSTs a
    second do if that takes longer. Then the slowest of the jobs in flight decides: the quantile of the greatest of
    their residual lives. The spread of the first part is that of a sum, plus what is not known of the mean itself; that
    the parts' 90 % quantiles are added errs to the late side. What stands still (outages, 429s, stalled jobs) is not
    foreseen.
    """
    if not ages_in_flight and planned <= 0:
        return 0.0, 0.0
    at_once = max(1, at_once)
    to_start = planned - max(0, at_once - len(ages_in_flight))
    if to_start <= 0 and rate is None:
        ages = [*ages_in_flight, *[0.0] * planned]
        return _last_of(lifetimes, ages, 0.5), _last_of(lifetimes, ages, 0.9)
    life = lifetimes.moments()
    median = lifetimes.quantile(0.5)
    lag = (lifetimes.quantile(p, beyond=median) - median) / 2
    work = sum(n * lifetimes.residual(age) for age, n in _grouped(ages_in_flight)) + planned * (life.mean + lag)
    begun = max(0.0, work / at_once - life.excess, planned / rate if rate else 0.0)
    unsure = life.variance * (max(0, to_start) / at_once**2 + (planned / at_once) ** 2 / (lifetimes.observations + 1.0))
    tail = [lifetimes.excess_quantile(q ** (1.0 / min(at_once, planned + len(ages_in_flight)))) for q in (0.5, 0.9)]
    return begun + tail[0], begun + 1.2816 * math.sqrt(unsure) + tail[1]


def _grouped(ages: Sequence[float]) -> list[tuple[float, int]]:
    """Ages of the same bin together: 5,000 jobs in flight are some hundred groups."""
    groups: dict[int, list[float]] = {}
    for age in ages:
        groups.setdefault(int(place_of(max(0.0, age))), []).append(age)
    return [(sum(group) / len(group), len(group)) for group in groups.values()]


def _last_of(lifetimes: Lifetimes, ages: Sequence[float], q: float) -> float:
    """The ``q`` quantile of the time until all jobs of these ages are done."""
    groups = [(age, lifetimes.survival(age), n) for age, n in _grouped(ages)]

    def done_by(seconds: float) -> float:
        total = 0.0
        for age, alive, n in groups:
            left = lifetimes.survival(age + seconds) / alive if alive > 1e-300 else 0.0
            total += n * math.log(max(1e-300, 1.0 - left))
        return total

    low, high = 0.0, END
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if done_by(age_at(middle)) < math.log(q) else (low, middle)
    return age_at(high)
