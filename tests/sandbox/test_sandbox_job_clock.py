"""Queue, slots and ends on a clock that the test holds."""

import pytest

from batchedit.sandbox.job_clock import JobClock, Order, State
from batchedit.sandbox.latency import parse_latency


def order(ordinal, seconds=10.0, fate=None):
    return Order(f"r{ordinal}", ordinal, "m", "a prompt", "1:1", (), "digest", seconds, fate, {})


def test_without_slots_all_run_at_once_and_end_in_their_time():
    clock = JobClock(None, 0)
    short, long = clock.accept(order(1, 5), 100), clock.accept(order(2, 20), 101)
    assert (short.state, long.state, clock.in_flight) == (State.RUNNING, State.RUNNING, 2)
    clock.advance(106)
    assert (short.state, short.ended_at, long.state) == (State.DONE, 105, State.RUNNING)
    assert (clock.in_flight, clock.max_in_flight) == (1, 2)


def test_a_slot_is_handed_on_when_it_comes_free_not_when_somebody_looks():
    clock = JobClock(1, 0)
    jobs = [clock.accept(order(n), 0) for n in (1, 2, 3)]
    assert [clock.find_position(job) for job in jobs[1:]] == [0, 1]
    clock.advance(1000)
    assert [(job.started_at, job.ended_at) for job in jobs] == [(0, 10), (10, 20), (20, 30)]


def test_the_least_wait_holds_even_where_a_slot_is_free():
    clock = JobClock(2, 3)
    job = clock.accept(order(1), 0)
    clock.advance(2.9)
    assert job.state is State.QUEUED
    clock.advance(3)
    assert (job.state, job.started_at) == (State.RUNNING, 3)


def test_cancelling_a_queued_job_moves_the_others_up():
    ended = []
    clock = JobClock(1, 0, ended.append)
    running, second, third, fourth = [clock.accept(order(n), 0) for n in (1, 2, 3, 4)]
    assert clock.cancel(third, 1)
    assert [clock.find_position(second), clock.find_position(fourth)] == [0, 1]
    assert clock.cancel(second, 2)
    assert clock.find_position(fourth) == 0
    assert not clock.cancel(running, 3)
    assert ended == [third, second]
    clock.advance(100)
    assert (fourth.started_at, clock.in_flight, clock.waiting) == (10, 0, 0)


def test_a_cancelled_head_does_not_start_its_successor_early():
    clock = JobClock(1, 5)
    head, after = clock.accept(order(1), 0), clock.accept(order(2), 2)
    assert clock.cancel(head, 3)
    clock.advance(50)
    assert after.started_at == 7


def test_a_stuck_job_gives_its_slot_back_and_stays_in_flight():
    clock = JobClock(1, 0)
    stuck, after = clock.accept(order(1, fate="stuck"), 0), clock.accept(order(2), 0)
    clock.advance(10_000)
    assert (stuck.state, after.state, clock.in_flight) == (State.RUNNING, State.DONE, 1)


def test_peak_and_queue_are_counted():
    clock = JobClock(2, 0)
    for n in range(5):
        clock.accept(order(n), 0)
    clock.advance(100)
    clock.accept(order(6), 100)
    assert (clock.max_in_flight, clock.max_queue) == (5, 3)


def test_thousands_of_jobs_end_in_order_and_leave_nothing_behind():
    clock = JobClock(40, 0)
    jobs = [clock.accept(order(n, 1 + n % 7), n / 1000) for n in range(5000)]
    for job in jobs[100::10]:
        clock.cancel(job, 5)
    clock.advance(1e6)
    assert {job.state for job in jobs} == {State.DONE, State.CANCELLED}
    assert (clock.in_flight, clock.waiting) == (0, 0)


@pytest.mark.parametrize("text", ["2", "lognormal:4,0.5", "uniform:1,3", "exp:2", "bimodal:5,60,0.5"])
def test_latency_is_a_function_of_seed_and_ordinal(text):
    latency = parse_latency(text)
    drawn = [latency.draw_seconds(7, n) for n in range(200)]
    assert drawn == [parse_latency(text).draw_seconds(7, n) for n in range(200)]
    assert all(second >= 0 for second in drawn)
    if text != "2":
        assert drawn != [latency.draw_seconds(8, n) for n in range(200)]


def test_latency_has_the_shape_asked_for():
    lognormal = sorted(parse_latency("lognormal:4,0.5").draw_seconds(0, n) for n in range(2001))
    assert lognormal[1000] == pytest.approx(4, rel=0.05)
    assert {parse_latency("bimodal:5,60,0.5").draw_seconds(0, n) for n in range(50)} == {5, 60}


@pytest.mark.parametrize("text", ["", "fast", "lognormal:4", "uniform:1,2,3", "-1", "nan", "weibull:1,2"])
def test_a_latency_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="latency"):
        parse_latency(text)
