"""With thousands of jobs in flight the cap on GETs is shared out, and nobody waits in a queue for it."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import pytest

from batchedit.pool.governor import Governor, PurchaseLimits
from batchedit.pool.slots import Slot
from batchedit.scheduling.get_rate import GetRate
from batchedit.scheduling.polling import SHARED


def governor(pace: PurchaseLimits, in_flight: int) -> Governor:
    new_governor = Governor(pace, api=cast(Any, None), observer=cast(Any, None), clock=lambda: 0.0, rng=Random(1))
    for _ in range(in_flight):
        new_governor.slots.take_now(Slot(new_governor.slots))
    return new_governor


def test_turns_are_handed_out_in_order_one_gap_apart() -> None:
    rate = GetRate(100.0)
    turns = [rate.take_turn(0.0) for _ in range(300)]
    assert turns == sorted(turns)
    assert turns[-1] == pytest.approx((300 - 11) / 100.0, abs=0.02)  # a tenth of a second at once
    assert rate.take_turn(10.0) == 0.0


@pytest.mark.parametrize(
    ("concurrency", "in_flight", "least"), [(50, 50, 0.2), (100, 100, 0.2), (1000, 1000, 9.0), (5000, 5000, 19.0)]
)
def test_the_gap_grows_with_the_crowd(concurrency: int, in_flight: int, least: float) -> None:
    crowded = governor(PurchaseLimits(concurrency=concurrency), in_flight)
    gaps = [crowded.gets.schedule_first_poll(Slot(crowded.slots), 0.0) for _ in range(50)]
    assert min(gaps) >= 0.9 * least - SHARED / 2
    assert concurrency > 100 or min(gaps) < 5.0


def test_an_interval_that_was_asked_for_stays() -> None:
    crowded = governor(PurchaseLimits(concurrency=5000, poll_seconds=3.0), 5000)
    assert 2.7 <= crowded.gets.schedule_first_poll(Slot(crowded.slots), 0.0) <= 3.3
