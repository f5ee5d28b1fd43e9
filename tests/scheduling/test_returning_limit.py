"""A limit of speed that falls and comes back, for the pace alone."""

from __future__ import annotations

import heapq
from random import Random

import pytest

from batchedit.scheduling.post_rate import PostRate
from tests.support.troubled import Bucket


def seconds_until_back(fallen: float, returns: float) -> int:
    """20 POSTs a second, ``fallen`` from 30 s on, 20 again at ``returns``: until 90 % of that are accepted over 5 s."""
    law, rng, bucket, now = PostRate(None), Random(1), Bucket(20.0), 0.0
    changes = [(30.0, fallen), (returns, 20.0)]
    under_way: list[tuple[float, float, bool, float]] = []
    accepted: list[float] = []
    while now < returns + 40.0:
        if changes and now >= changes[0][0]:
            bucket.set(changes.pop(0)[1], now)
        while under_way and under_way[0][0] <= now:
            _, sent_at, taken, pause = heapq.heappop(under_way)
            if taken:
                law.accepted(now, sent_at=sent_at)
            else:
                law.throttled(now, pause, rng, sent_at=sent_at)
        if law.wait(now) <= 0.0 and len(under_way) < 8:
            law.take(now)
            taken = bucket.admits(now)
            accepted += [now] * taken
            heapq.heappush(under_way, (now + 0.02, now, taken, bucket.retry_after()))
        else:
            now += 0.005
    return next(t for t in range(40) if sum(returns + t < at <= returns + t + 5 for at in accepted) >= 0.9 * 20 * 5)


@pytest.mark.parametrize("returns", [90.0, 96.89])
def test_a_limit_that_was_found_a_little_too_low_stood_for_twenty_seconds(returns: float) -> None:
    """Growth measures while it speeds up: 17.5 for 20. The next probe came as late as under a limit that had stood."""
    assert seconds_until_back(3.0, returns) <= 12
