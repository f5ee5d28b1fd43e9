"""Trouble does not slow the night: the real pool against a service in trouble, in virtual time.

The rows and what each may cost: ``tests/support/trouble_rows.py``. ``BATCHEDIT_SEEDS=20`` takes twenty seeds of each, and the
outages in which free calls are down too: there the looks fail first, so that no place comes free, and all kinds are alike.
"""

from __future__ import annotations

import os
from random import Random

import pytest
import trio
import trio.testing

from batchedit.core.model import State
from batchedit.pool.governor import Governor
from batchedit.scheduling.post_rate import PostRate
from tests.support.share import FEW
from tests.support.trouble_rows import ROWS, stop_the_process
from tests.support.troubled import Service, at_random, pass_through

OVER = [("2 % 429", 1), ("2 % 429", 13), ("2 % 429", 16), ("8 % 429", 1)]
SEEDS = range(int(os.environ.get("BATCHEDIT_SEEDS", "1")))


ONCE = ("502 page", "20, 10, 20, -j 20")
# Of rows that are alike, where there is one seed.
TAKEN = [
    row
    for row in ROWS
    if len(SEEDS) > 1 or not (row.endswith("down") or "20, 10, 20" in row) or any(one in row for one in ONCE)
]
LONG = ("an hour of the night", "limit 20/s, 5/s, 20/s", "outage")
ALIKE = {"outage, 502 page, free calls down", "account's limit 10, -j auto", "account's limit 10, -j 100"}
# A thousand jobs and more each: of these ``make test`` takes one outage, and of limits that fall the account's.
if FEW and len(SEEDS) == 1:
    TAKEN = [row for row in TAKEN if row not in ALIKE]
    TAKEN = [row for row in TAKEN if not row.startswith(LONG) or any(one in row for one in ONCE)]


@pytest.mark.timeout(900)  # seconds of CPU, which a loaded machine gives slowly
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("row", TAKEN)
def test_trouble_costs_at_most(row: str, seed: int) -> None:
    """A night of 429s, of lost answers or of an account's limit did not end by morning."""
    for figure in ROWS[row](seed, lambda: PostRate(None)):
        print(f"{row}, seed {seed}: {figure}")  # noqa: T201 - shown by -rP
        assert figure.kept, f"{figure}"


def test_a_scenario_comes_out_the_same_each_time() -> None:
    """Trio drew another order of the tasks each time: one run in twenty was over a limit that the next one kept."""
    first, second = (pass_through(at_random(0.05, 1.0), seed=3, jobs=100) for _ in range(2))
    assert (first.seconds, first.service.accepted) == (second.seconds, second.service.accepted)


@pytest.mark.skipif(len(SEEDS) >= 20, reason="they are among those of the rows")
@pytest.mark.parametrize(("row", "seed"), OVER)
def test_refusals_by_chance_at_the_worst_seeds(row: str, seed: int) -> None:
    """At 2 % eight POSTs under way at once took 1.63 to 1.66: few went out before the refusal of one held all. At 8 %, with
    fourteen under way whatever was refused, four refused together passed for a limit of speed: 4.4.
    """
    [ratio, *_] = ROWS[row](seed, lambda: PostRate(None))
    assert ratio.kept, f"{ratio}"


def test_what_was_in_flight_is_looked_at_once_after_a_closed_lid() -> None:
    """Jobs of ten minutes ended while the machine slept; their next looks were minutes of its own time away."""

    async def lid(clock: trio.testing.MockClock, service: Service, governor: Governor) -> None:
        await trio.sleep(30.0)
        service.asleep += 1000.0

    passed = pass_through(
        lambda rng: Service(rng, runs=600.0), jobs=20, concurrency=20, meanwhile=lid, poll_seconds=300.0
    )
    assert "resumed" in [name for name, _ in passed.notes]
    assert passed.seconds <= 30.0 + 1000.0 + 10.0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stopped_process_did_not_take_the_time_for_its_jobs(seed: int) -> None:
    """Forty jobs of 0.7 s in flight over a stop of 45 s were learned as forty that may take so long."""
    passed = pass_through(Service, seed=seed, meanwhile=stop_the_process)
    assert "resumed" in [name for name, _ in passed.notes]
    assert passed.governor.lifetimes.quantile(0.97) <= 1.5


def test_a_stopped_process_uses_up_no_patience_with_a_job() -> None:
    """Two hours under SIGSTOP passed for two hours of looking: the first look behind them gave the job up."""

    async def stopped(clock: trio.testing.MockClock, service: Service, governor: Governor) -> None:
        await trio.sleep(3.0)
        clock.jump(7200.0)

    passed = pass_through(lambda rng: Service(rng, runs=8000.0), jobs=3, meanwhile=stopped)
    assert passed.states == {State.DONE: 3}


@pytest.mark.parametrize("what", [5.0, "unreachable"], ids=["429", "outage"])
def test_a_stopped_process_uses_up_no_patience_with_the_service(what: str | float) -> None:
    """Seven hours under SIGSTOP passed for hours of refusals: the run ended at the first POST behind them."""

    def make(rng: Random) -> Service:
        return Service(rng, befalls=lambda now: what if now < 20.0 else None, probes=lambda now: now >= 20.0)

    async def stopped(clock: trio.testing.MockClock, service: Service, governor: Governor) -> None:
        await trio.sleep(10.0)
        clock.jump(25_000.0)

    passed = pass_through(make, jobs=20, meanwhile=stopped)
    assert passed.halted is None
    assert passed.states == {State.DONE: 20}
