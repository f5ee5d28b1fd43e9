"""What the service's refusals cost is said in numbers, and the numbers are true."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from batchedit.commands.bar import describe_progress
from batchedit.commands.observers import JsonLines, ObserverGroup
from batchedit.core.model import Counts, Money, State
from batchedit.core.slowdown import Slowdown
from batchedit.ports import Snapshot
from batchedit.scheduling.lifetimes import Lifetimes
from batchedit.scheduling.slowdown import Pace, estimate_left
from tests.support.troubled import Bucket, Service, at_random, pass_through


@pytest.mark.parametrize(
    ("slowdown", "said"),
    [
        (Slowdown(4.0, None, 720.0), "slowed by the service: 4 POSTs a second (429), 12 minutes longer"),
        (Slowdown(0.25, None, 89.0), "slowed by the service: 15 POSTs a minute (429)"),
        (Slowdown(123.4, None, 7200.0), "slowed by the service: 123 POSTs a second (429), 2.0 hours longer"),
        (Slowdown(None, 10, 120.0), "slowed by the service: 10 jobs at once (429), 2 minutes longer"),
    ],
)
def test_the_sentence(slowdown: Slowdown, said: str) -> None:
    assert str(slowdown) == said
    assert Slowdown.read(slowdown.as_json()) == slowdown
    now = Snapshot(Counts({State.DONE: 1}), Money(), eta=(1500.0, 1600.0), slowed=slowdown)
    details = said.removeprefix("slowed by the service: ")
    assert describe_progress(now) == f"slowed by the service · 25 min left · 90 %: 27 min · {details}"


def test_how_much_longer_is_the_pace_now_against_the_pace_wished_for_over_what_is_left() -> None:
    lifetimes = Lifetimes()
    for _ in range(200):
        lifetimes.finished(2.0)
    found = estimate_left(lifetimes, [], 1000, Pace(20, 4.0), Pace(20))
    assert found.limited == pytest.approx(1000 / 4.0, rel=0.1)
    assert found.longer == pytest.approx(1000 / 4.0 - 1000 * 2.0 / 20, rel=0.1)
    given = estimate_left(lifetimes, [], 1000, Pace(20, 4.0), Pace(20, 5.0))
    assert given.longer == pytest.approx(1000 / 4.0 - 1000 / 5.0, rel=0.1)
    assert estimate_left(lifetimes, [], 1000, Pace(20, 50.0), Pace(20)).longer < 2.0, "a limit that we don't meet"
    assert estimate_left(lifetimes, [], 1000, Pace(10), Pace(20)).longer == pytest.approx(100.0, rel=0.1)


@pytest.mark.parametrize(
    ("make", "slows", "jobs"),
    [
        (lambda rng: Service(rng, limit=Bucket(4.0), runs=5.0), Slowdown(4.0), 600),
        (lambda rng: Service(rng, at_once=5), Slowdown(jobs_at_once=5), 600),
        (at_random(0.08, 1.0, jobs=2000), Slowdown(16.0), 2000),
    ],
    ids=["a limit of speed", "a limit of jobs at once", "8 % at random"],
)
def test_what_is_said_is_what_it_cost(make: Callable[[Random], Service], slows: Slowdown, jobs: int) -> None:
    """The screen said nothing, or a time that had nothing to do with the end."""
    passed = pass_through(make, jobs=jobs)
    cost = passed.seconds - jobs / 40 * passed.service.runs
    assert cost > 40.0
    found = passed.governor.outlook.slowed_in_all
    assert found is not None
    assert found.seconds_longer == pytest.approx(cost, rel=0.25)
    events = [details["seconds_longer"] for name, details in passed.slowed_notes if name == "slowed"]
    assert events[-1] == pytest.approx(cost, rel=0.4)
    assert len(events) <= 12, "it is no ticker"
    assert found.jobs_at_once == slows.jobs_at_once
    assert found.posts_per_second == (slows.posts_per_second and pytest.approx(slows.posts_per_second, rel=0.3))


def test_a_calm_run_says_nothing() -> None:
    passed = pass_through(Service)
    assert (passed.slowed_notes, passed.slowed) == ([], "")


def test_a_limit_of_speed_that_is_not_met_says_nothing() -> None:
    passed = pass_through(lambda rng: Service(rng, limit=Bucket(200.0, burst=50)))
    assert passed.slowed == ""


def test_the_event_holds_the_numbers(tmp_path) -> None:
    with (tmp_path / "run.jsonl").open("w") as log:
        slowdown = Slowdown(4.0, None, 720.0)
        ObserverGroup([JsonLines(log, clock=lambda: 1_790_000_000.25)]).note(
            "slowed", str(slowdown), **slowdown.as_json()
        )
    assert (tmp_path / "run.jsonl").read_text() == (
        '{"at":"2026-09-21T14:13:20.250Z","event":"slowed",'
        '"message":"slowed by the service: 4 POSTs a second (429), 12 minutes longer",'
        '"posts_per_second":4.0,"jobs_at_once":null,"seconds_longer":720}\n'
    )
