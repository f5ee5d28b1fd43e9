"""When to poll a running job.

A poll is a GET; a job that is done and not polled keeps a slot among the jobs in flight. How to choose the moments
is known as optimal inspection: Barlow, Hunter and Proschan, "Optimum checking procedures", J. SIAM 11 (1963), found the
schedule of least cost for a known distribution; Munford and Shahani, "A nearly optimal inspection policy", Oper. Res.
Quarterly 23 (1972), showed that one number comes close to it: *every gap carries the same conditional chance p that the
job ends within it*. So a job that can't be done yet is not polled, and it is polled often at the age at which most jobs
end.

Ages are seconds on the job's clock, see ``lifetimes``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from .lifetimes import Lifetimes

DEFAULT_P = 0.2
"""The chance of an end that each gap carries.

From ``benchmarks/inspection_curve.py``: GETs a job are about 1/p, and the loss of makespan grows with p. 500 jobs of 4
s (log-normal, sigma 0.5), 50 at a time, learning from nothing, may cost 1.08 times the perfect makespan, 6 GETs and 10
ms of CPU a job. With the last jobs polled more often (``pool/gets.py``; virtual time, 24 seeds) p = 0.2 takes 1.059
at 5.7, 0.22 takes 1.065 at 5.2, 0.25 takes 1.075 at 4.6, and the program's own lag 0.003 to 0.01 more. A poll is less than
0.5 ms of CPU: 0.2 stays clear of all three.
"""
AUTO_P = 0.33
"""The same under ``-j auto``: a short remote queue keeps the service busy between polls, so lag costs next to
nothing and a third of the GETs can be saved (``tests/scheduling/test_governors_in_virtual_time.py``: 40 slots 98 % busy
at 3.5 GETs a job).
"""
JITTER = 0.1
"""Gaps are up to this share shorter or longer, so that jobs bought together are not polled together."""
SHARED = 0.25
"""Most seconds between shared moments: the polls of many jobs must not all fall on one."""


def next_poll_delay(
    lifetimes: Lifetimes,
    age: float,
    *,
    p: float,
    rng: Random,
    now: float | None = None,
    fixed: float | None = None,
    floor: float = 0.2,
    ceiling: float = 60.0,
) -> float:
    """Seconds until the next poll of a job of ``age`` seconds: when the chance of its end since now reaches ``p``.

    The rule of Munford and Shahani (see the module). While few jobs have been seen ``p`` is smaller: an estimate that
    may be several times too long costs more than some extra polls. Where a job outlives all that is known the gap grows
    with its age. Every gap is jittered by ``JITTER`` either way. ``fixed`` is ``--poll-seconds``. With ``now`` (seconds,
    any clock) the poll falls on a moment that others share, see ``find_shared_moment``.
    """
    jitter = rng.uniform(1.0 - JITTER, 1.0 + JITTER)
    if fixed is not None:
        return max(floor, fixed) * jitter
    age = max(0.0, age)
    gap = lifetimes.quantile(shrink_early_p(p, lifetimes.observations), beyond=age) - age
    overdue = -math.log(max(lifetimes.survival(age), 1e-300)) - 6.0
    if overdue > 0.0:
        gap = max(gap, age * min(0.25, 0.02 * overdue))
    gap = min(ceiling, max(floor, gap)) * jitter
    return gap if now is None else find_shared_moment(now + gap, gap) - now


def find_shared_moment(at: float, gap: float) -> float:
    """``at``, moved by at most a quarter of ``gap`` to a moment at which other jobs are polled too.

    A process that is woken up for every single poll does each with cold caches, at nearly twice the CPU
    (``benchmarks/LOG.md``), and wakes a laptop's processor as often. The moments are the multiples of a power of two of
    a second, at most half a gap and ``SHARED`` apart, so those of long gaps are among those of short ones. On average
    no job is polled later for it.
    """
    step = min(SHARED, 2.0 ** math.floor(math.log2(gap / 2.0)))
    return round(at / step) * step


def find_overdue(lifetimes: Lifetimes, gaps: Sequence[tuple[float, float]], *, p: float) -> list[int]:
    """Which jobs to poll now although their gaps are not over, by their index, the likeliest to be done first.

    ``gaps`` are pairs: the job's age in seconds when it was last seen running, and its age now. A job is overdue once its
    chance of an end since then is one and a half times the ``p`` that a gap is to carry: jitter alone makes none overdue.
    """
    enough = -math.log(1.0 - min(1.5 * p, 0.95))
    hazards = [lifetimes.hazard(now) - lifetimes.hazard(last) for last, now in gaps]
    overdue = [n for n, hazard in enumerate(hazards) if hazard >= enough]
    return sorted(overdue, key=lambda n: -hazards[n])


def shrink_early_p(p: float, observations: int) -> float:
    """``p``, at first an eighth of it, growing to its full size over some tens of finished jobs."""
    return p * (observations + 3.0) / (observations + 24.0)


def is_stalled(lifetimes: Lifetimes, age: float) -> bool:
    """Is a job of ``age`` seconds so late that it should be reported? Nothing is bought again for it.

    Beyond the 99.9 % quantile, and beyond three times the median: a narrow distribution alone is no alarm.
    """
    return age > max(lifetimes.quantile(0.999), 3.0 * lifetimes.quantile(0.5))
