"""When a run will be over: the median, and the time kept with a chance of 90 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .lifetimes import END, Lifetimes, to_age, to_table_position
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
    """Seconds until the run is over: the median, and the 90 % quantile.

    Two parts. Until the last planned job starts, ``at_once`` slots work off what is left (renewal theory: mean
    residual lives of what runs, mean lives and the mean lag of the polls for what is planned), or ``rate`` POSTs a
    second do if that takes longer. Then the slowest of the jobs in flight decides: the quantile of the greatest of
    their residual lives. The spread of the first part is that of a sum, plus the uncertainty of the mean itself; adding
    the parts' 90 % quantiles errs to the late side. Standstills (outages, 429s, stalled jobs) are not foreseen.
    """
    if not ages_in_flight and planned <= 0:
        return 0.0, 0.0
    at_once = max(1, at_once)
    to_start = planned - max(0, at_once - len(ages_in_flight))
    if to_start <= 0 and rate is None:
        ages = [*ages_in_flight, *[0.0] * planned]
        return _compute_end_of_all(lifetimes, ages, 0.5), _compute_end_of_all(lifetimes, ages, 0.9)
    life = lifetimes.moments()
    median = lifetimes.quantile(0.5)
    lag = (lifetimes.quantile(p, beyond=median) - median) / 2
    work = sum(n * lifetimes.residual(age) for age, n in _group_ages(ages_in_flight)) + planned * (life.mean + lag)
    start_of_last = max(0.0, work / at_once - life.excess, planned / rate if rate else 0.0)
    variance = life.variance * (
        max(0, to_start) / at_once**2 + (planned / at_once) ** 2 / (lifetimes.observations + 1.0)
    )
    tails = [lifetimes.excess_quantile(q ** (1.0 / min(at_once, planned + len(ages_in_flight)))) for q in (0.5, 0.9)]
    return start_of_last + tails[0], start_of_last + 1.2816 * math.sqrt(variance) + tails[1]


def _group_ages(ages: Sequence[float]) -> list[tuple[float, int]]:
    """Ages of the same bin together: 5,000 jobs in flight are some hundred groups."""
    groups: dict[int, list[float]] = {}
    for age in ages:
        groups.setdefault(int(to_table_position(max(0.0, age))), []).append(age)
    return [(sum(group) / len(group), len(group)) for group in groups.values()]


def _compute_end_of_all(lifetimes: Lifetimes, ages: Sequence[float], q: float) -> float:
    """The ``q`` quantile of the time until all jobs of these ages are done."""
    groups = [(age, lifetimes.survival(age), n) for age, n in _group_ages(ages)]

    def compute_log_chance(seconds: float) -> float:
        log_chance = 0.0
        for age, alive, n in groups:
            left = lifetimes.survival(age + seconds) / alive if alive > 1e-300 else 0.0
            log_chance += n * math.log(max(1e-300, 1.0 - left))
        return log_chance

    low, high = 0.0, END
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if compute_log_chance(to_age(middle)) < math.log(q) else (low, middle)
    return to_age(high)
