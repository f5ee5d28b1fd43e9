"""Laws of pacing, whatever is observed."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from batchedit.core.backoff import backoff
from batchedit.scheduling.breaker import Breaker
from batchedit.scheduling.concurrency import InFlight
from batchedit.scheduling.eta import eta
from batchedit.scheduling.get_rate import GetRate
from batchedit.scheduling.lifetimes import Lifetimes
from batchedit.scheduling.polling import JITTER, is_stalled, next_poll_delay
from batchedit.scheduling.post_rate import PostRate
from tests.support.share import examples

seconds = st.one_of(
    st.floats(0.0, 1e7, allow_nan=False), st.sampled_from([0.0, 1e-9, 0.05, 4.0, 1e5, 1.5e308, math.inf, math.nan])
)
finite = st.floats(0.0, 1e6, allow_nan=False)
observations = st.lists(st.tuples(st.booleans(), seconds, st.one_of(st.none(), finite)), max_size=60)
calm = settings(max_examples=examples(60), deadline=None)


def learn(stories) -> Lifetimes:
    lifetimes = Lifetimes.prior()
    for ended, age, since in stories:
        if ended:
            lifetimes.finished(age, since=since)
        else:
            lifetimes.censored(age, since=since or 0.0)
    return lifetimes


@calm
@given(
    stories=observations,
    age=finite,
    p=st.floats(0.001, 0.999),
    seed=st.integers(0, 9),
    floor=st.floats(0.01, 1.0),
    ceiling=st.floats(1.0, 600.0),
)
def test_a_gap_is_positive_finite_and_under_the_ceiling(*, stories, age, p, seed, floor, ceiling):
    gap = next_poll_delay(learn(stories), age, p=p, rng=Random(seed), floor=floor, ceiling=ceiling)
    assert 0.0 < gap <= ceiling * (1.0 + JITTER)


@calm
@given(stories=observations, beyond=finite, qs=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8))
def test_quantiles_rise_with_q_and_with_age(stories, beyond, qs):
    lifetimes = learn(stories)
    quantiles = [lifetimes.quantile(q, beyond=beyond) for q in sorted(qs)]
    assert quantiles == sorted(quantiles)
    assert all(beyond <= x < math.inf for x in quantiles)
    assert lifetimes.quantile(0.5, beyond=beyond) >= lifetimes.quantile(0.5) * (1 - 1e-9)


@calm
@given(stories=observations, ages=st.lists(finite, min_size=2, max_size=8))
def test_survival_falls_from_one(stories, ages):
    lifetimes = learn(stories)
    survivals = [lifetimes.survival(age) for age in sorted(ages)]
    assert lifetimes.survival(0.0) == 1.0
    assert all(0.0 <= b <= a <= 1.0 for a, b in pairwise(survivals))


@calm
@given(stories=observations)
def test_what_is_written_down_comes_back(stories):
    lifetimes = learn(stories)
    again = Lifetimes.load(lifetimes.dump())
    assert again.observations == lifetimes.observations
    assert abs(again.survival(30.0) - lifetimes.survival(30.0)) < 0.3
    twice = Lifetimes.load(again.dump())
    assert abs(twice.survival(30.0) - again.survival(30.0)) < 1e-3
    assert len(lifetimes.dump()) < 12_000


@calm
@given(text=st.one_of(st.text(max_size=40), st.recursive(st.none() | st.integers(), st.lists).map(str)))
def test_any_text_loads(text):
    assert math.isfinite(Lifetimes.load(text).quantile(0.5))


@calm
@given(
    stories=observations,
    ages=st.lists(finite, max_size=20),
    planned=st.integers(0, 10**6),
    at_once=st.integers(1, 5000),
)
def test_an_eta_is_finite_and_in_order(stories, ages, planned, at_once):
    lifetimes = learn(stories)
    p50, p90 = eta(lifetimes, ages, planned, at_once)
    assert 0.0 <= p50 <= p90 < math.inf
    assert is_stalled(lifetimes, 0.0) is False


happenings = st.lists(
    st.tuples(
        st.floats(0.0, 3.0),
        st.sampled_from(["ask", "ask", "ask", "accepted", "throttled", "held", "restart"]),
        st.one_of(st.none(), st.floats(0.0, 10.0)),
    ),
    max_size=200,
)


@calm
@given(script=happenings, rate=st.floats(0.1, 50.0), burst=st.integers(1, 10))
def test_no_stretch_of_time_sees_more_posts_than_the_rate_and_one_burst(script, rate, burst):
    governor, rng, now, sent = PostRate(rate, burst), Random(1), 0.0, []
    for pause, what, retry_after in script:
        now += pause
        if what == "ask":
            while governor.wait(now) <= 0.0:
                governor.take(now)
                sent.append(now)
        elif what == "accepted":
            governor.accepted(now)
        elif what == "throttled":
            governor.throttled(now, retry_after, rng)
        elif what == "held":
            governor.held(now, retry_after, rng)
        else:
            governor.restart()
        assert governor.wait(now) < math.inf
    for i, begin in enumerate(sent):
        for j in range(i, len(sent)):
            assert j - i + 1 <= burst + rate * (sent[j] - begin) + 1e-6


@calm
@given(
    script=st.lists(
        st.tuples(st.floats(0.0, 400.0), st.sampled_from(["sent", "ok", "failed", "told", "gone"])), max_size=80
    )
)
def test_a_breaker_lets_one_probe_out_at_a_time_and_never_locks_up(script):
    breaker, rng, now = Breaker(), Random(1), 0.0
    for pause, what in script:
        now += pause
        match what:
            case "sent":
                if breaker.wait(now) <= 0.0:
                    was_open = breaker.open
                    breaker.note_sent(now)
                    assert not was_open or breaker.wait(now) == math.inf
            case "ok":
                breaker.note_success(now)
                assert breaker.wait(now) == 0.0
            case "failed":
                breaker.note_failure(now, rng)
            case "told":
                breaker.note_other_answer(now)
            case "gone":
                breaker.note_unsent(now)
        assert not breaker.open or breaker.open_since is not None
    breaker.note_unsent(now)
    assert breaker.wait(now) <= 300.0


@calm
@given(
    looks=st.lists(
        st.tuples(
            finite, finite, st.one_of(st.none(), st.integers(0, 5000)), st.floats(0.0, 10.0), st.integers(0, 3000)
        ),
        max_size=100,
    ),
    most=st.integers(1, 500),
)
def test_jobs_in_flight_stay_between_one_and_the_bound(looks, most):
    governor, now = InFlight(None, most=most), 0.0
    for waited, run, position, pause, in_use in looks:
        now += pause
        governor.note_poll(waited, run, position, now, in_use=in_use)
        assert 1 <= governor.count_allowed(now) <= most
        early = governor.plan_early_poll(now, in_use)
        assert early is None or 0.0 < early <= 5.0


@calm
@given(rate=st.floats(0.01, 1000.0), naps=st.lists(st.floats(0.0, 0.5), max_size=200))
def test_gets_never_pass_the_rate_and_a_tenth_of_a_second(rate, naps):
    governor, now, sent = GetRate(rate), 0.0, []
    for nap in naps:
        now += nap
        if governor.wait(now) <= 0.0:
            governor.take(now)
            sent.append(now)
    for i, begin in enumerate(sent):
        assert len(sent) - i <= 1 + rate * (sent[-1] - begin + 0.1) + 1e-3


@calm
@given(attempt=st.integers(0, 10**12), seed=st.integers(0, 99), base=st.floats(0.001, 10.0), cap=st.floats(0.001, 1e4))
def test_backoff_stays_under_its_cap(attempt, seed, base, cap):
    assert 0.0 <= backoff(attempt, Random(seed), base=base, cap=cap) <= cap
