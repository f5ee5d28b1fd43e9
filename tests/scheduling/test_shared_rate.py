"""Workers that share a limit of speed, in virtual time: together they keep it, and whoever is left goes on."""

from __future__ import annotations

import heapq
from random import Random

import pytest

from batchedit.core.pace import AccountPace
from batchedit.scheduling.post_rate import PostRate
from batchedit.scheduling.shared_rate import FRESH_SECONDS, SharedRate
from tests.support.troubled import Bucket

LIMIT = 20.0


class Team:
    """Workers at one service that takes LIMIT POSTs a second, and what they tell each other once a second."""

    def __init__(self, workers: int, *, shared: bool = True, most: float | None = None) -> None:
        self.now, self.rng, self.bucket, self.shared = 0.0, Random(1), Bucket(LIMIT), shared
        self.laws: list[PostRate] = [SharedRate(most) if shared else PostRate(most) for _ in range(workers)]
        self.dead: set[int] = set()
        self.published: tuple[float | None, float] | None = None
        self.under_way: list[tuple[float, float, int, bool, float]] = []
        self.sent: list[tuple[float, int, bool]] = []
        self.exchanges = True
        self.before = [0] * workers  # accepted before it was heard of

    def exchange(self) -> None:
        """As the store does it: the oldest that lives leads."""
        laws = {n: law for n, law in enumerate(self.laws) if n not in self.dead and isinstance(law, SharedRate)}
        reports = {n: law.report(self.now, in_flight=0, waits=True) for n, law in laws.items()}
        reports = {n: one._replace(accepted=one.accepted + self.before[n]) for n, one in reports.items()}
        leader = min(laws)
        before = self.published
        for n, law in laws.items():
            others = [report for other, report in reports.items() if other != n]
            rate, at = before or (None, None)
            age = None if at is None else self.now - at
            accepted, refused = sum(one.accepted for one in others), sum(one.refused for one in others)
            held = max((one.held for one in others), default=0.0)
            law.apply_account_pace(
                self.now, AccountPace(n == leader, len(laws), rate, age, accepted, refused, held), self.rng
            )
        if self.exchanges:
            self.published = (reports[leader].rate, self.now)

    def go_on(self, seconds: float) -> tuple[int, int]:
        """Accepted and refused POSTs in this time."""
        began, until, exchange_at = len(self.sent), self.now + seconds, self.now
        while self.now < until:
            if self.shared and self.exchanges and self.now >= exchange_at:
                self.exchange()
                exchange_at += 1.0
            while self.under_way and self.under_way[0][0] <= self.now:
                _, sent_at, n, taken, pause = heapq.heappop(self.under_way)
                if taken:
                    self.laws[n].accepted(self.now, sent_at=sent_at)
                else:
                    self.laws[n].throttled(self.now, pause, self.rng, sent_at=sent_at)
            for n, law in enumerate(self.laws):
                if n not in self.dead and law.wait(self.now) <= 0.0:
                    law.take(self.now)
                    taken = self.bucket.admits(self.now)
                    self.sent.append((self.now, n, taken))
                    heapq.heappush(self.under_way, (self.now + 0.02, self.now, n, taken, self.bucket.retry_after()))
            self.now += 0.005
        taken = sum(taken for _, _, taken in self.sent[began:])
        return taken, len(self.sent) - began - taken


@pytest.mark.parametrize("after", [2, 3, 4, 5, 6])
def test_what_a_worker_brought_that_came_back_was_taken_for_delivered_now(after: int) -> None:
    """It had bought for an hour, was stopped, and is heard of again while the limit is looked for."""
    it = Team(3)
    it.dead.add(2)
    it.go_on(after)
    it.dead.discard(2)
    it.before[2] = 5_000
    accepted, refused = it.go_on(20)
    assert accepted >= 0.5 * LIMIT * 20
    assert refused <= 0.1 * accepted


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_keep_a_limit_together(workers: int) -> None:
    it = Team(workers)
    it.go_on(60)
    began = len(it.sent)
    accepted, refused = it.go_on(120)
    assert accepted >= 0.7 * LIMIT * 120
    assert refused <= 0.05 * accepted
    shares = [sum(n == one for _, n, _ in it.sent[began:]) for one in range(workers)]
    assert min(shares) >= 0.6 * max(shares)


def test_who_is_left_takes_all_of_the_limit() -> None:
    it = Team(2)
    it.go_on(60)
    it.dead.add(0)
    accepted, refused = it.go_on(60)
    assert accepted >= 0.8 * LIMIT * 60
    assert refused <= 0.05 * accepted


def test_a_follower_keeps_the_last_pace_for_a_minute_and_then_learns_from_its_share() -> None:
    it = Team(2)
    it.go_on(60)
    it.dead.add(0)
    it.exchanges = False
    follower = it.laws[1]
    share = follower.own
    assert share is not None
    assert share == pytest.approx(LIMIT / 2, rel=0.3)
    it.go_on(FRESH_SECONDS - 5)
    assert follower.own == share
    it.go_on(120)
    assert follower.own is not None
    assert follower.own > 1.3 * share, "it finds out that the other one is gone"


def test_a_rate_that_a_person_gave_holds_for_all_workers_together() -> None:
    it = Team(4, most=8.0)
    it.go_on(10)
    accepted, refused = it.go_on(60)
    assert accepted <= 8.0 * 60 + 4
    assert refused == 0


@pytest.mark.parametrize("asleep", [False, True])
@pytest.mark.parametrize("after", [3, 5])
def test_a_time_in_which_nobody_sent_told_of_a_limit_of_one_a_second(after: int, *, asleep: bool) -> None:
    """Between two refusals lay ten seconds without a job to buy, or of sleep: little was delivered in them."""
    it = Team(2)
    it.go_on(after)
    it.now += 10.0
    if asleep:
        for law in it.laws:
            law.restart()
    accepted, _ = it.go_on(7)
    assert accepted >= 0.5 * LIMIT * 7
