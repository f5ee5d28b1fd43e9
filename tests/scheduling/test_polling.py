"""When to look: what is learned of lifetimes, and the schedule made of it."""

from __future__ import annotations

import json
import math
from random import Random
from statistics import mean, quantiles
from time import process_time

import pytest

from batchedit.scheduling.eta import eta
from batchedit.scheduling.lifetimes import Lifetimes
from batchedit.scheduling.polling import (
    DEFAULT_P,
    JITTER,
    SHARED,
    find_overdue,
    find_shared_moment,
    is_stalled,
    next_poll_delay,
)


def lognormal(median: float, sigma: float, count: int, seed: int = 1) -> list[float]:
    rng = Random(seed)
    return [median * math.exp(rng.gauss(0.0, sigma)) for _ in range(count)]


def learned(lives: list[float]) -> Lifetimes:
    lifetimes = Lifetimes.prior()
    for seconds in lives:
        lifetimes.finished(seconds)
    return lifetimes


def watched(lifetimes: Lifetimes, lives: list[float], *, p: float = DEFAULT_P, seed: int = 1) -> list[int]:
    """Look at each job by the schedule until it is done, telling what was seen; looks a job."""
    rng, looks = Random(seed), []
    for seconds in lives:
        age = seen = 0.0
        looks.append(0)
        while True:
            age += next_poll_delay(lifetimes, age, p=p, rng=rng)
            looks[-1] += 1
            if age >= seconds:
                lifetimes.finished(age, since=seen)
                break
            lifetimes.censored(age, since=seen)
            seen = age
    return looks


def test_nothing_known_is_a_wide_guess_around_its_median():
    prior = Lifetimes.prior(median=40.0)
    assert prior.observations == 0
    assert prior.quantile(0.5) == pytest.approx(40.0, rel=0.05)
    assert prior.quantile(0.05) < 6.0
    assert prior.quantile(0.95) > 250.0


@pytest.mark.parametrize("sigma", [0.2, 0.35, 0.5, 1.0])
def test_exact_observations_give_the_distribution(sigma):
    lifetimes = learned(lognormal(4.0, sigma, 3000))
    for q, z in ((0.1, -1.2816), (0.5, 0.0), (0.9, 1.2816), (0.99, 2.3263)):
        assert lifetimes.quantile(q) == pytest.approx(4.0 * math.exp(sigma * z), rel=0.12)
    assert lifetimes.survival(4.0) == pytest.approx(0.5, abs=0.06)


def test_ten_jobs_overrule_the_prior():
    assert learned(lognormal(4.0, 0.3, 10)).quantile(0.5) == pytest.approx(4.0, rel=0.3)
    assert learned(lognormal(600.0, 0.3, 10)).quantile(0.5) == pytest.approx(600.0, rel=0.3)


def test_what_is_seen_only_between_looks_gives_the_distribution_too():
    lifetimes = Lifetimes.prior()
    watched(lifetimes, lognormal(4.0, 0.5, 2000))
    # Before the first look there is nothing to be seen: below it the table errs to the early side.
    for q, z in ((0.25, -0.6745), (0.5, 0.0), (0.9, 1.2816)):
        assert lifetimes.quantile(q) == pytest.approx(4.0 * math.exp(0.5 * z), rel=0.12)


def test_jobs_that_still_run_keep_the_first_to_finish_from_making_all_look_short():
    lives = sorted(lognormal(30.0, 0.7, 50))
    naive, honest = Lifetimes.prior(), Lifetimes.prior()
    for seconds in lives[:10]:
        naive.finished(seconds)
        honest.finished(seconds)
    for _ in lives[10:]:
        honest.censored(lives[9])
    assert naive.quantile(0.5) < 15.0
    assert 20.0 < honest.quantile(0.5) < 45.0


def test_a_mix_of_two_kinds_is_seen_as_two():
    rng = Random(1)
    lifetimes = learned([rng.choice((5.0, 60.0)) * math.exp(rng.gauss(0.0, 0.05)) for _ in range(400)])
    assert lifetimes.survival(20.0) == pytest.approx(0.5, abs=0.1)
    assert lifetimes.survival(45.0) == pytest.approx(0.5, abs=0.1)
    # What has outlived the short ones is left alone until the long ones end.
    assert next_poll_delay(lifetimes, 8.0, p=0.3, rng=Random(1)) > 35.0


@pytest.mark.parametrize("to", [60.0, 3.0], ids=["slower", "faster"])
def test_a_service_that_changes_is_followed(to):
    lifetimes = Lifetimes.prior()
    watched(lifetimes, lognormal(15.0, 0.3, 600))
    looks = watched(lifetimes, lognormal(to, 0.3, 1500, seed=2))
    assert lifetimes.quantile(0.5) == pytest.approx(to, rel=0.3)
    assert mean(looks[-200:]) < 8.0


def test_the_chance_of_an_end_in_each_gap_is_p():
    lifetimes, lives = learned(lognormal(4.0, 0.5, 3000)), lognormal(4.0, 0.5, 4000, seed=5)
    rng, looked, ended = Random(1), 0, 0
    for seconds in lives:
        age = 0.0
        while age < seconds:
            age += next_poll_delay(lifetimes, age, p=0.3, rng=rng, floor=0.01)
            looked += 1
        ended += 1
    assert ended / looked == pytest.approx(0.3, abs=0.03)


def test_while_nothing_is_known_it_looks_early():
    gap = next_poll_delay(Lifetimes.prior(), 0.0, p=DEFAULT_P, rng=Random(1))
    assert 0.5 < gap < 5.0


@pytest.mark.parametrize("gap", [0.2, 0.7, 3.0, 60.0])
def test_looks_share_their_moments_and_are_not_later_for_it(gap):
    rng = Random(3)
    wanted = [1.8e9 + rng.uniform(0.0, 100.0) for _ in range(2000)]
    moved = [find_shared_moment(at, gap) for at in wanted]
    assert max(abs(to - at) for to, at in zip(moved, wanted, strict=True)) <= gap / 4
    assert abs(mean(to - at for to, at in zip(moved, wanted, strict=True))) < 0.02 * min(gap, 0.25)
    assert len(set(moved)) <= 100.0 / min(SHARED, gap / 4) + 1


def test_a_look_at_a_shared_moment_is_still_ahead():
    lifetimes, rng = learned(lognormal(4.0, 0.5, 300)), Random(1)
    for k in range(500):
        now = 1.8e9 + 0.137 * k
        gap = next_poll_delay(lifetimes, k % 9, p=DEFAULT_P, rng=rng, now=now)
        assert gap > 0.1
        assert find_shared_moment(now + gap, 0.2) == pytest.approx(now + gap, abs=1e-6)


def test_overdue_is_whose_end_became_likely_the_likeliest_first():
    lifetimes = learned([60.0 + 0.01 * n for n in range(50)])
    gaps = [(20.0, 55.0), (41.0, 61.0), (45.0, 70.0), (50.0, 50.1), (20.0, 62.0)]
    assert set(find_overdue(lifetimes, gaps, p=DEFAULT_P)) == {1, 2, 4}
    chances = [1.0 - lifetimes.survival(now) / lifetimes.survival(last) for last, now in gaps]
    order = find_overdue(lifetimes, gaps, p=DEFAULT_P)
    assert order == sorted(order, key=lambda n: -chances[n])


def test_a_gap_that_jitter_made_longer_is_not_overdue():
    lifetimes, rng = learned(lognormal(30.0, 0.5, 2000)), Random(3)
    for age in (0.0, 20.0, 30.0, 60.0):
        for _ in range(50):
            gap = next_poll_delay(lifetimes, age, p=DEFAULT_P, rng=rng, now=1000.0)
            assert not find_overdue(lifetimes, [(age, age + gap)], p=DEFAULT_P)


def test_a_fixed_interval_is_that_interval():
    gaps = [next_poll_delay(Lifetimes.prior(), 7.0, p=0.2, rng=Random(k), fixed=3.0) for k in range(50)]
    assert 3.0 * (1 - JITTER) <= min(gaps) < max(gaps) <= 3.0 * (1 + JITTER)
    assert next_poll_delay(Lifetimes.prior(), 7.0, p=0.2, rng=Random(1), fixed=0.0) > 0.1


def test_a_job_that_outlives_all_that_is_known_is_looked_at_less_and_less():
    lifetimes, rng, age, gaps = learned([4.0] * 500), Random(1), 6.0, []
    while age < 3600.0:
        gaps.append(next_poll_delay(lifetimes, age, p=DEFAULT_P, rng=rng))
        age += gaps[-1]
    assert len(gaps) < 130
    assert max(gaps) <= 66.0
    assert mean(gaps[-10:]) > 50.0
    assert mean(gaps[:5]) < 3.0


def test_stalled_tells_of_the_very_late_only():
    lifetimes = learned(lognormal(4.0, 0.5, 1000))
    assert not is_stalled(lifetimes, 12.0)
    assert is_stalled(lifetimes, 60.0)
    assert sum(is_stalled(lifetimes, seconds) for seconds in lognormal(4.0, 0.5, 2000, seed=9)) <= 10
    assert not is_stalled(learned([4.0] * 500), 9.0)
    assert not is_stalled(Lifetimes.prior(), 300.0)


def finish(ages: list[float], planned: int, at_once: int, sigma: float, seed: int) -> float:
    """When a run really ends, every end noticed at once: residual lives drawn by rejection."""
    rng, ends = Random(seed), []
    draw = lambda: 4.0 * math.exp(rng.gauss(0.0, sigma))  # noqa: E731 - a distribution, used twice
    for age in ages:
        life = draw()
        while life <= age:
            life = draw()
        ends.append(life - age)
    for _ in range(planned):
        begin = 0.0
        if len(ends) >= at_once:
            begin = sorted(ends)[-at_once]
        ends.append(begin + draw())
    return max(ends)


@pytest.mark.parametrize(
    ("ages", "planned", "at_once"),
    [([], 300, 20), ([1.0, 2.0, 3.0, 4.0] * 5, 200, 20), ([1.0, 5.0], 0, 20), ([2.0] * 5, 10, 50)],
    ids=["not begun", "under way", "last ones", "all fit"],
)
def test_eta_is_honest(ages, planned, at_once):
    lifetimes = learned(lognormal(4.0, 0.5, 2000))
    p50, p90 = eta(lifetimes, ages, planned, at_once, p=0.02)
    real = quantiles([finish(ages, planned, at_once, 0.5, seed) for seed in range(40)], n=10)
    assert p50 == pytest.approx(real[4], rel=0.15)
    assert real[6] * 0.95 <= p90 <= real[8] * 1.35


def test_eta_has_its_edges():
    lifetimes = learned(lognormal(4.0, 0.5, 200))
    assert eta(lifetimes, [], 0, 10) == (0.0, 0.0)
    assert eta(lifetimes, [], 600, 100, rate=1.0)[0] > 600.0
    assert eta(Lifetimes.prior(), [], 100, 10)[1] > 1.5 * eta(Lifetimes.prior(), [], 100, 10)[0]
    assert all(map(math.isfinite, eta(lifetimes, [1e9], 5, 0)))


def dumped(bins: str, *, version: int = 1, n: str = "1") -> str:
    return f'{{"v":{version},"n":{n},"median":30,"bins":{bins}}}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", "{", '{"v":1}', "[" * 100_000),
        dumped("[]", version=2),
        dumped("[]", n="1e999"),
        dumped("[[0,5,1]]"),
        dumped("[[9999,1,1]]"),
        dumped("[[3,NaN,1]]"),
        dumped('[["3",1,1]]'),
        dumped("[[5,1,1],[3,1,1]]"),
    ],
    ids=range(14),
)
def test_a_bad_text_gives_the_prior(text):
    assert Lifetimes.load(text).dump() == Lifetimes.prior().dump()


def test_a_dump_is_small_and_tells_all():
    lifetimes = Lifetimes.prior()
    watched(lifetimes, lognormal(20.0, 1.5, 5000))
    text = lifetimes.dump()
    again = Lifetimes.load(text)
    assert len(text) < 10_000
    assert json.loads(text)["n"] == 5000
    assert again.observations == 5000
    for q in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert again.quantile(q) == pytest.approx(lifetimes.quantile(q), rel=0.05)


def test_a_look_is_cheap():
    lifetimes, rng = learned(lognormal(4.0, 0.5, 300)), Random(1)
    began = process_time()
    for k in range(5000):
        next_poll_delay(lifetimes, k % 7, p=DEFAULT_P, rng=rng)
    # 4 µs on a quiet machine; this one may be anything but quiet.
    assert (process_time() - began) / 5000 < 100e-6


def test_nonsense_is_not_learned():
    lifetimes = Lifetimes.prior()
    for seconds in (math.nan, math.inf):
        lifetimes.finished(seconds)
        lifetimes.censored(seconds)
    lifetimes.finished(-3.0)
    assert lifetimes.observations == 1
    assert math.isfinite(lifetimes.quantile(0.5))


def test_the_unit_of_weight_is_scaled_back_before_it_overflows():
    lifetimes = Lifetimes.prior()
    for _ in range(20_000):
        lifetimes.finished(4.0)
    assert lifetimes.quantile(0.5) == pytest.approx(4.0, rel=0.06)
