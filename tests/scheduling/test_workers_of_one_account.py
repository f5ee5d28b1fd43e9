"""Whole runs of several workers of one account, in virtual time: two pools, one service, and what they tell each other."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from batchedit.core.approved_purchases import Approval
from batchedit.core.pace import AccountPace, PaceReport
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.governor import Governor, PurchaseLimits
from batchedit.pool.pool import Pool
from batchedit.pool.worker import run_all
from batchedit.ports import Permit
from batchedit.scheduling.shared_rate import SharedRate
from batchedit.scheduling.wire_window import START
from tests.support.factories import make_line
from tests.support.share import FEW
from tests.support.troubled import Bucket, Disk, Service, Watcher, in_one_order

SEEDS = range(2) if FEW else range(12)


class Door:
    """The service as one process reaches it: with connections of its own."""

    def __init__(self, service: Service) -> None:
        self._service, self._permits = service, trio.Semaphore(START)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    @asynccontextmanager
    async def post_permit(self) -> AsyncIterator[Permit]:
        async with self._permits:
            yield Permit()


@dataclass
class Board:
    """What workers tell each other, as the store's ``share_pace`` does it."""

    reports: dict[int, tuple[float, PaceReport]] = field(default_factory=dict)
    published: tuple[float | None, int, float] | None = None

    def exchange(self, worker: int, report: PaceReport, now: float) -> AccountPace:
        self.reports[worker] = (now, report)
        others = {one: dated for one, dated in self.reports.items() if one != worker and dated[0] > now - 10.0}
        sending = [one for one, (_, theirs) in others.items() if theirs.sends]
        leads = not sending or (report.sends and worker < min(sending))
        before = self.published
        if leads and (before is None or before[1] == worker or before[2] < now - 60.0):
            self.published = (report.rate, worker, now)
        elif leads and before is not None:
            self.published = (before[0], worker, now)
        rate, age = (before[0], now - before[2]) if before else (None, None)
        reports = [one for _, one in others.values()]
        held = max((at + one.held - now for at, one in others.values()), default=0.0)
        return AccountPace(
            leads,
            max(1, len(sending) + report.sends),
            rate,
            age,
            sum(one.accepted for one in reports),
            sum(one.refused for one in reports),
            max(0.0, held),
            sum(one.in_flight for one in reports),
            sum(one.waits for one in reports),
        )


def run_together(
    make: Any, *, seed: int, each: int, workers: int = 2, concurrency: int = 50
) -> tuple[float, Service, Any]:
    """Workers that begin within a second and a half of each other buy ``each`` jobs. POSTs a second that were accepted, the
    service, and how many jobs of each worker were over when the first worker had nothing left.
    """
    results: list[tuple[float, Service, Any]] = []
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def main() -> None:
        service = make(Random(seed))
        board, over = Board(), [0] * workers
        at_first_end: list[int] = []

        async def work(number: int) -> None:
            door, watcher, law = Door(service), Watcher(), SharedRate(None)
            governor = Governor(
                PurchaseLimits(concurrency=concurrency),
                api=door,  # type: ignore[arg-type]
                observer=watcher,
                clock=trio.current_time,
                wall=service.now,
                rng=Random(seed * 10 + number),
                posts=law,
            )
            checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, each + 1)])
            pool = Pool(
                door,
                checkpoint,
                Disk(),
                watcher,
                governor,
                trio.current_time,
                Random(seed + number),
                price=40_000,  # type: ignore[arg-type]
            )
            pool.approval = Approval(range(1, each + 1))

            async def share() -> None:
                while True:
                    report = governor.posts.report(law)
                    over[number] = report.accepted
                    governor.posts.apply_account_pace(law, board.exchange(number, report, trio.current_time()))
                    await trio.sleep(1.0)

            async with anyio.create_task_group() as beside:
                beside.start_soon(share)
                await run_all(pool)
                if not at_first_end:
                    at_first_end.extend(over)
                beside.cancel_scope.cancel()

        with trio.fail_after(1_000):
            async with anyio.create_task_group() as tasks:
                for number in range(workers):
                    tasks.start_soon(work, number)
                    await trio.sleep(service.rng.uniform(0.05, 1.5))
        assert len(service.accepted) == workers * each
        results.append((len(service.accepted) / (max(service.accepted) - min(service.accepted)), service, at_first_end))

    in_one_order(lambda: trio.run(main, clock=clock))
    return results[0]


@pytest.mark.parametrize(("runs", "each", "concurrency"), [(1.0, 100, 50), (20.0, 200, 200)])
def test_a_worker_took_a_limit_of_speed_for_one_of_jobs_at_once_and_bought_nothing_more(
    runs: float, each: int, concurrency: int
) -> None:
    """It saw only its own part of what was accepted: of 8 POSTs a second two workers took 0.8 to 7.8, jobs of 20 s."""
    rates = []
    for seed in SEEDS:
        rate, _, _ = run_together(
            lambda rng: Service(rng, limit=Bucket(8.0), runs=runs), seed=seed, each=each, concurrency=concurrency
        )
        rates.append(rate)
    assert min(rates) > 0.55 * 8.0, rates
    assert statistics.median(rates) > 0.7 * 8.0, rates


def test_two_workers_never_ended_at_an_accounts_limit_of_jobs_at_once() -> None:
    """Each counted its own jobs alone, 5 of the 10, and took the refusals for a limit of speed that fell and fell."""
    for seed in SEEDS:
        rate, service, over = run_together(lambda rng: Service(rng, at_once=10, runs=10.0), seed=seed, each=50)
        assert rate > 0.9, (seed, rate)
        assert len(service.refused) <= 40
        assert min(over) >= 0.6 * max(over), (seed, over)


@pytest.mark.parametrize("seed", [7, 36] if FEW else [7, 28, 36, *range(60, 72)])
def test_of_two_workers_posts_a_fifth_were_refused_while_the_limit_was_looked_for(seed: int) -> None:
    """Each refusal halved a rate that was four times the limit a second later: 43 to 46 of 200 were refused."""
    _, service, _ = run_together(
        lambda rng: Service(rng, limit=Bucket(8.0), runs=1.0), seed=seed, each=100, concurrency=50
    )
    assert len(service.refused) <= 0.18 * 200


def test_a_worker_that_went_left_the_others_at_a_standstill() -> None:
    """Its POSTs went out of what the others had delivered: that was less than nothing, and so was the limit."""
    rate, _, _ = run_together(
        lambda rng: Service(rng, limit=Bucket(8.0), runs=1.0), seed=18, each=100, workers=4, concurrency=50
    )
    assert rate > 0.5 * 8.0


@pytest.mark.parametrize("seed", [10, 12])
def test_two_refusals_of_four_freed_the_pace_of_workers_that_know_the_others_by_the_second(seed: int) -> None:
    """When the others' POSTs went out is guessed, so refusals by a limit look like chance: 85 to 112 of 400 were refused."""
    _, service, _ = run_together(
        lambda rng: Service(rng, limit=Bucket(8.0), runs=1.0), seed=seed, each=100, workers=4, concurrency=50
    )
    assert len(service.refused) <= 75
