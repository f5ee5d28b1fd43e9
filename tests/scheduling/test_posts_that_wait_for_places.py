"""A night of steady buying for the pace alone: POSTs that wait for places tell of no limit of speed."""

from __future__ import annotations

import heapq
import math
from itertools import count
from random import Random

import pytest

from batchedit.scheduling.post_rate import PostRate
from batchedit.scheduling.stretch import Stretch
from tests.support.share import whole_or
from tests.support.troubled import Bucket


def night(seed: int, *, refused: float = 0.01, hourly: bool = True, limit: Bucket | None = None) -> tuple[float, int]:
    """10,000 jobs of 40 s in 20 places. ``refused`` of the POSTs get a 429 with Retry-After 1, and ``hourly`` one 300 s.

    Seconds until the last is over, and how often a limit was believed in.
    """
    law, rng, order = PostRate(None), Random(seed), count()
    happens: list[tuple[float, int, float | None, float | None]] = []  # when; sent at (None: a job is over); pause
    free, left, now, believed, hours = 20, 10_000, 0.0, 0, 1
    while left or happens:
        while free and left and law.wait(now) <= 0.0:
            law.take(now)
            free, left, asks = free - 1, left - 1, None
            if hourly and now >= 3600.0 * hours - 1800.0:
                asks, hours = 300.0, hours + 1
            elif rng.random() < refused or (limit is not None and not limit.admits(now)):
                asks = 1.0
            heapq.heappush(happens, (now + rng.uniform(0.01, 0.03), next(order), now, asks))
        at = happens[0][0] if happens else math.inf
        now = min(at, now + max(law.wait(now), 1e-3)) if free and left else at
        while happens and happens[0][0] <= now:
            _, _, sent_at, asks = heapq.heappop(happens)
            knew = law.rate is not None
            if sent_at is None:
                free += 1
            elif asks is None:
                law.accepted(now, sent_at=sent_at)
                heapq.heappush(happens, (now + rng.uniform(38.0, 42.3), next(order), None, None))
            else:
                law.throttled(now, asks, rng, sent_at=sent_at)
                free, left = free + 1, left + 1
            believed += law.rate is not None and not knew
    return now, believed


@pytest.mark.parametrize("seed", range(whole_or(20, 5)))
def test_refusals_by_chance_made_a_steady_demand_a_limit_of_speed(seed: int) -> None:
    """Half a POST a second went out because no more places came free, so that the stretches between refusals agreed: for
    hours twenty places were filled at 0.4 POSTs a second, and the night took 1.24 x calm.
    """
    calm, _ = night(seed, refused=0.0, hourly=False)
    troubled, _ = night(seed)
    assert troubled <= 1.10 * calm


def test_a_limit_that_is_pressed_is_found_however_slow_it_is() -> None:
    """One POST in three seconds, where twenty places want one in two: it is not taken for chance."""
    seconds, believed = night(1, refused=0.0, hourly=False, limit=Bucket(1 / 3))
    assert believed >= 1
    assert seconds <= 1.10 * 10_000 * 3


def stretch(*gaps: float) -> tuple[Stretch, float]:
    """One whose POSTs went out with these gaps, and when the last of them did."""
    new_stretch, at = Stretch(0.0, burst=5), 0.0
    for gap in gaps:
        at += gap
        new_stretch.accept(at)
    return new_stretch, at


def test_a_full_bucket_refuses_nobody() -> None:
    """A burst at the beginning, then a POST in four seconds: whatever limit let the burst through has filled since."""
    quiet, at = stretch(*[0.05] * 12, *[4.0] * 8)
    assert not quiet.explains(at + 4.0)
    pressed, at = stretch(*[0.001] * 5, *[0.5] * 40)
    assert pressed.explains(at + 0.3)


def test_the_slowest_limit_that_lets_a_stretch_through() -> None:
    steady, _ = stretch(*[0.001] * 5, *[0.5] * 40)
    assert 1.8 <= steady.find_slowest_limit() <= 2.0
    few, _ = stretch(*[0.001] * 6)
    assert few.find_slowest_limit() == 0.0
