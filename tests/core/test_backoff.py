"""Pauses before the next try: how long at most, and spread at random below that."""

from __future__ import annotations

from random import Random

import pytest

from batchedit.core.backoff import backoff


class LongestPause(Random):
    """Draws the longest that it may."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0.0
        return b


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 1.0), (1, 2.0), (5, 32.0), (6, 60.0), (31, 60.0), (100_000, 60.0)]
)
def test_the_longest_pause_doubles_up_to_a_minute_however_often_it_was_tried(attempt: int, seconds: float) -> None:
    assert backoff(attempt, LongestPause()) == seconds


def test_the_longest_pause_begins_with_the_base_and_ends_with_the_cap_that_were_asked_for() -> None:
    assert [backoff(attempt, LongestPause(), base=0.5, cap=3.0) for attempt in range(4)] == [0.5, 1.0, 2.0, 3.0]


def test_pauses_grow_to_a_cap_with_full_jitter() -> None:
    drawn = [[backoff(attempt, Random(seed), base=1.0, cap=60.0) for seed in range(300)] for attempt in range(12)]
    for attempt, pauses in enumerate(drawn):
        window = min(60.0, 2.0**attempt)
        assert 0.0 <= min(pauses) < 0.1 * window
        assert 0.9 * window < max(pauses) <= window
