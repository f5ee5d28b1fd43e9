"""The governors against services in virtual time: no clock, no sleeping, hidden limits that they must find."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass
from itertools import count, pairwise
from random import Random

import pytest

from batchedit.core.backoff import backoff
from batchedit.scheduling.breaker import Breaker
from batchedit.scheduling.concurrency import InFlight
from batchedit.scheduling.get_rate import GetRate
from batchedit.scheduling.lifetimes import Lifetimes
from batchedit.scheduling.polling import AUTO_P, next_poll_delay
from batchedit.scheduling.post_rate import PostRate

# --- POST rate ------------------------------------------------------------------------------------


class Throttle:
    """The service's side: ``rate`` a second, ``burst`` at once, Retry-After in whole seconds."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst, self._tokens, self._at = rate, burst, float(burst), 0.0

    def admits(self, now: float) -> bool:
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True

    def retry_after(self) -> float:
        return float(max(1, math.ceil((1.0 - self._tokens) / self.rate)))


@dataclass
class Posted:
    seconds: float
    refused: int
    accepted: int
    times: list[float]


def post_all(
    governor: PostRate,
    service: Throttle,
    jobs: int,
    *,
    trip: float = 0.05,
    until: float = 1e9,
    jitter: float = 0.0,
    seed: int = 7,
) -> Posted:
    """Send until ``jobs`` are accepted; answers come ``trip`` seconds later, and POSTs arrive up to ``jitter`` late."""
    rng, now, answers = Random(seed), 0.0, []
    order, done = count(), Posted(0.0, 0, 0, [])
    while done.accepted < jobs and now < until:
        under_way = len(answers)
        wait = governor.wait(now)
        if wait <= 0.0 and done.accepted + under_way < jobs:
            governor.take(now)
            done.times.append(now)
            fine = service.admits(now + rng.uniform(0.0, jitter) if jitter else now)
            heapq.heappush(answers, (now + trip, next(order), now, fine, 0.0 if fine else service.retry_after()))
            continue
        hold = now + wait if done.accepted + under_way < jobs else math.inf
        if answers and answers[0][0] <= hold:
            now, _, sent_at, fine, retry_after = heapq.heappop(answers)
            if fine:
                done.accepted += 1
                governor.accepted(now, sent_at=sent_at)
            else:
                done.refused += 1
                governor.throttled(now, retry_after, rng, sent_at=sent_at)
        else:
            now = hold
    done.seconds = now
    return done


@pytest.mark.parametrize("trip", [0.005, 0.02, 0.05, 0.1])
def test_two_hundred_posts_find_a_hidden_limit_without_a_storm_of_429s(trip):
    done = post_all(PostRate(None), Throttle(20.0, 5), 200, trip=trip)
    assert done.refused <= 20
    assert done.seconds <= 1.23 * (195 / 20.0)


@pytest.mark.parametrize("seed", range(20))
def test_posts_that_arrive_unevenly_meet_no_third_429_behind_the_hold(seed):
    done = post_all(PostRate(None), Throttle(20.0, 5), 200, trip=0.01, jitter=0.004, seed=seed)
    holds = sum(later - earlier > 0.9 for earlier, later in pairwise(done.times))
    assert holds == 2
    assert done.refused <= 15
    assert done.seconds <= 1.22 * (195 / 20.0)


def test_two_429s_of_one_burst_do_not_hide_where_the_limit_is():
    governor, rng, now = PostRate(20.0), Random(1), 0.0
    for now in (0.1, 1.3):
        governor.take(now)
        governor.throttled(now, 1.0, rng)
    for now in range(10, 100):
        governor.accepted(float(now))
    assert governor.rate > 0.85 * 20.0


def test_a_given_rate_that_the_service_bears_sees_no_429():
    done = post_all(PostRate(20.0, burst=5), Throttle(20.0, 5), 200)
    assert done.refused == 0
    assert done.seconds == pytest.approx(195 / 20.0, rel=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_a_given_rate_meets_no_429_where_posts_arrive_unevenly(seed):
    done = post_all(PostRate(20.0), Throttle(20.0, 5), 200, trip=0.01, jitter=0.004, seed=seed)
    assert done.refused == 0


@pytest.mark.parametrize("capacity", [0.5, 3.0, 20.0, 150.0])
def test_the_learned_rate_settles_within_a_fifth_of_the_hidden_one(capacity):
    governor, service = PostRate(None), Throttle(capacity, 5)
    done = post_all(governor, service, int(capacity * 300), until=600.0)
    late = [t for t in done.times if t > done.seconds / 2]
    through = (len(late) - 1) / (late[-1] - late[0])
    assert 0.8 * capacity <= through <= 1.1 * capacity
    assert done.refused <= 0.1 * done.accepted + 30


def test_the_rate_follows_when_the_capacity_doubles():
    governor, service = PostRate(None), Throttle(10.0, 5)
    post_all(governor, service, 1000)
    service = Throttle(20.0, 5)
    governor_before = governor.rate
    done = post_all(_Shifted(governor, 200.0), service, 4000, until=400.0)
    late = [t for t in done.times if t > done.seconds - 60.0]
    assert governor_before is not None
    assert governor_before < 13.0
    assert len(late) / 60.0 > 16.0


class _Shifted(PostRate):
    """The same governor some seconds later, for a second simulation that begins at 0."""

    def __init__(self, inner: PostRate, by: float) -> None:
        self.inner, self.by = inner, by

    def wait(self, now):
        return self.inner.wait(now + self.by)

    def take(self, now):
        self.inner.take(now + self.by)

    def accepted(self, now, *, sent_at):
        self.inner.accepted(now + self.by, sent_at=sent_at + self.by)

    def throttled(self, now, retry_after, rng, *, sent_at=None):
        self.inner.throttled(now + self.by, retry_after, rng, sent_at=None if sent_at is None else sent_at + self.by)


@pytest.mark.parametrize("has_sent_at", [True, False], ids=["sent_at", "no sent_at"])
def test_a_burst_of_429s_is_cut_once(has_sent_at):
    governor, rng = PostRate(40.0, burst=20), Random(1)
    for _ in range(20):
        governor.take(10.0)
    for k in range(20):
        governor.throttled(10.1 + k / 100, 1.0, rng, sent_at=10.0 if has_sent_at else None)
    assert governor.rate == 20.0


def test_a_429_that_comes_after_the_hold_still_belongs_to_its_episode():
    governor, rng = PostRate(40.0), Random(1)
    for _ in range(4):
        governor.take(10.0)
    governor.throttled(10.1, 1.0, rng, sent_at=10.0)
    for _ in range(4):
        governor.take(11.3)
    governor.throttled(11.4, 1.0, rng, sent_at=10.05)
    assert governor.rate == 20.0
    governor.throttled(13.4, 1.0, rng, sent_at=11.3)
    assert governor.rate == 10.0


def test_refusals_of_posts_that_did_not_wait_for_the_pace_tell_of_no_limit():
    """A POST in ten seconds at 40 a second: whoever refuses it does so for another cause, and the rate stands."""
    governor, rng = PostRate(40.0), Random(1)
    for at in (10.0, 20.0, 30.0):
        governor.take(at)
        governor.throttled(at + 0.1, 1.0, rng, sent_at=at)
    assert governor.rate == 40.0


def test_retry_after_holds_back_everything():
    governor = PostRate(None)
    governor.take(0.0)
    governor.throttled(1.0, 30.0, Random(3))
    assert 30.0 <= governor.wait(1.0) <= 33.0
    governor.accepted(2.0)
    assert governor.wait(2.0) >= 29.0
    assert governor.wait(30.9) > 0.0
    assert governor.wait(34.5) == 0.0


@pytest.mark.parametrize("retry_after", [301.0, 86_400.0, 1e300])
def test_retry_after_is_capped(retry_after):
    governor = PostRate(None)
    governor.throttled(0.0, retry_after, Random(3))
    assert 300.0 <= governor.wait(0.0) <= 330.0


@pytest.mark.parametrize("retry_after", [None, math.inf, math.nan, -5.0, 0.0])
def test_an_unusable_retry_after_does_not_stop_us(retry_after):
    governor = PostRate(10.0)
    governor.throttled(0.0, retry_after, Random(3))
    assert 0.0 <= governor.wait(0.0) < 5.0


def test_429s_without_retry_after_wait_longer_each_time():
    governor, rng, now, pauses = PostRate(10.0), Random(3), 0.0, []
    for _ in range(8):
        governor.take(now)
        governor.throttled(now, None, rng)
        pauses.append(governor.wait(now))
        now += pauses[-1]
    assert sum(pauses[4:]) > 2 * sum(pauses[:4])


def test_a_refusal_by_chance_halves_nothing_and_one_after_idle_time_neither():
    """One 429 after idle time throttled a run to a crawl: the idle time counted as time in which little was delivered."""
    governor, rng = PostRate(None), Random(1)
    for idle in (0.0, 90.0, 45.0):
        for k in range(40):
            governor.take(idle + k / 40)
            governor.accepted(idle + k / 40 + 0.02, sent_at=idle + k / 40)
        governor.throttled(idle + 1.0, 1.0, rng, sent_at=idle + 0.99)
    assert governor.rate is None
    assert governor.wait(100.0) == 0.0


def test_growth_never_passes_the_rate_that_was_given():
    governor = PostRate(10.0)
    governor.take(0.0)
    governor.throttled(0.0, 0.0, Random(1))
    for k in range(5000):
        governor.accepted(1.0 + k / 10)
    assert governor.rate == 10.0


def test_without_a_limit_fifty_posts_go_out_in_three_round_trips():
    service = Throttle(1e9, 1000)
    assert post_all(PostRate(None), service, 50, trip=0.3).seconds <= 4 * 0.3


def test_without_any_answer_posts_trickle_out():
    governor, now, sent = PostRate(None), 0.0, 0
    while now < 10.0:
        if (wait := governor.wait(now)) <= 0.0:
            governor.take(now)
            sent += 1
        else:
            now += wait
    assert 50 <= sent <= 120


# --- the breaker ----------------------------------------------------------------------------------


def outage(seconds: float, *, at_once: int = 50, seed: int = 1) -> tuple[int, float]:
    """POSTs lost in an outage with ``at_once`` jobs eager to buy, and when the breaker closed after its end."""
    breaker, rng, now, lost = Breaker(), Random(seed), 0.0, 0
    while now < 3 * seconds + 1000.0:
        wait = breaker.wait(now)
        assert not math.isinf(wait)
        if wait > 0.0:
            now += wait
            continue
        # All that may go out go out together; a second later they fail, or are taken.
        sent = 0
        while breaker.wait(now) == 0.0 and sent < at_once:
            breaker.note_sent(now)
            sent += 1
        now += 1.0
        if now > seconds:
            breaker.note_success(now)
            return lost, now
        for _ in range(sent):
            breaker.note_failure(now, rng)
        lost += sent
    raise AssertionError("never closed")


@pytest.mark.parametrize("seed", range(5))
def test_a_ten_minute_outage_costs_a_handful_of_probes(seed):
    lost, closed = outage(600.0, at_once=3, seed=seed)
    assert lost <= 6 + 8
    assert closed <= 600.0 + 310.0


def test_what_was_under_way_when_it_opened_does_not_lengthen_the_pause():
    lost, closed = outage(20.0, at_once=50)
    assert lost <= 50 + 4
    assert closed < 60.0


def test_one_probe_at_a_time():
    breaker, rng = Breaker(first_pause=8.0), Random(1)
    for _ in range(4):
        breaker.note_failure(0.0, rng)
    assert not breaker.open
    breaker.note_failure(1.0, rng)
    assert breaker.open
    assert breaker.open_since == 1.0
    assert 6.0 <= breaker.wait(1.0) <= 8.0
    assert breaker.wait(9.0) == 0.0
    breaker.note_sent(9.0)
    assert breaker.wait(9.0) == math.inf
    breaker.note_failure(10.0, rng)
    assert 12.0 <= breaker.wait(10.0) <= 16.0
    breaker.note_sent(26.0)
    breaker.note_success(27.0)
    assert (breaker.open, breaker.open_since, breaker.wait(27.0)) == (False, None, 0.0)


def test_three_independent_failures_do_not_open_it_in_whatever_order():
    breaker, rng = Breaker(), Random(1)
    for k in range(30):
        for failed in (True, True, True, False, False, False, False, False):
            if failed:
                breaker.note_failure(float(k), rng)
            else:
                breaker.note_success(float(k))
    assert not breaker.open


def test_five_of_the_last_eight_open_it_whatever_their_order():
    breaker, rng = Breaker(), Random(1)
    for failed in (True, False, True, True, False, True):
        if failed:
            breaker.note_failure(1.0, rng)
        else:
            breaker.note_other_answer(1.0)
    assert not breaker.open
    assert breaker.cautious
    breaker.note_failure(2.0, rng)
    assert breaker.open


def test_one_failure_in_six_opened_it_every_few_hundred_answers() -> None:
    """A soak with every fault stood still for half of its time, each time for a service that took five POSTs of six."""
    opened, longest = 0, 0.0
    for seed in range(20):
        breaker, rng, dice, now = Breaker(), Random(seed), Random(seed), 0.0
        for _ in range(2000):
            now += breaker.wait(now)
            breaker.note_sent(now)
            before = breaker.open_since
            if dice.random() < 1 / 6:
                breaker.note_failure(now, rng)
            else:
                breaker.note_success(now)
            opened += before is None and breaker.open
        longest = max(longest, now)
    assert opened <= 3
    assert longest <= 30.0


def test_an_outage_opens_it_at_the_eighth_failure_where_many_fail_anyhow() -> None:
    breaker, rng = Breaker(), Random(1)
    for k in range(600):
        breaker.note_success(float(k)) if k % 4 else breaker.note_failure(float(k), rng)
    failures = 0
    while not breaker.open:
        breaker.note_failure(600.0, rng)
        failures += 1
    assert failures <= 8


def opened() -> Breaker:
    breaker, rng = Breaker(), Random(1)
    for _ in range(5):
        breaker.note_failure(0.0, rng)
    breaker.note_sent(5.0)
    return breaker


def test_an_outage_of_a_minute_cost_two_where_a_probe_failed_at_its_end() -> None:
    """Pauses doubled from the start: the fifth was 60 to 80 s, and a run of 50 s took 178."""
    over = []
    for seed in range(200):
        breaker, rng, now = Breaker(), Random(seed), 0.0
        for _ in range(5):
            breaker.note_failure(now, rng)
        while now < 60.0:
            now += breaker.wait(now)
            breaker.note_sent(now)
            if now < 60.0:
                breaker.note_failure(now, rng)
        over.append(now)
    assert max(over) <= 60.0 + 30.0


def test_an_answer_that_bought_nothing_lets_one_post_out_alone():
    breaker = opened()
    breaker.note_other_answer(6.0)
    assert not breaker.open
    assert breaker.open_since == 0.0
    assert breaker.wait(6.0) == 0.0
    breaker.note_sent(6.0)
    assert breaker.wait(6.0) == math.inf
    breaker.note_other_answer(7.0)
    assert (breaker.wait(7.0), breaker.open_since) == (0.0, None)


def test_free_calls_that_answer_while_posts_get_lost_do_not_restart_the_pauses():
    breaker, rng, now, lost = opened(), Random(1), 5.0, 0
    while now < 600.0:
        breaker.note_other_answer(now)
        breaker.note_sent(now)
        breaker.note_failure(now + 1.0, rng)
        lost += 1
        now += 1.0 + breaker.wait(now + 1.0)
        breaker.note_sent(now)
    assert lost <= 9


def test_an_abandoned_probe_makes_room_for_another():
    breaker = opened()
    breaker.note_unsent(6.0)
    assert breaker.open
    assert breaker.wait(6.0) == 0.0


# --- jobs in flight -------------------------------------------------------------------------------


@dataclass
class Looked:
    """What the pool knows of one job."""

    seconds: float
    accepted_at: float
    begun_at: float | None = None
    ended_at: float | None = None
    started: float = 0.0  # of the lifetime's clock
    seen: float = 0.0
    was_queued: bool = False


class Run:
    """A service with slots and a FIFO queue, and a pool that buys from it as ``InFlight`` allows."""

    def __init__(
        self, governor: InFlight, slots: int, *, jobs: int, scouts=True, positions=True, words=True, seed=1, median=4.0
    ):
        self.governor, self.slots, self.jobs, self.rng = governor, slots, jobs, Random(seed)
        self.scouts, self.positions, self.words, self.median = scouts, positions, words, median
        self.lifetimes = Lifetimes.prior()
        self.now, self.gets, self.in_use, self.running = 0.0, 0, 0, 0
        self.queue: deque[Looked] = deque()
        self.events: list = []
        self.order = count()
        self.durations: list[float] = []
        self.history: list[tuple[float, int, int]] = []  # time, allowed, remote queue
        self.changes: list[tuple[float, int]] = []

    def go(self, until: float = 1e9) -> Run:
        self._fill()
        while self.events and self.now < until:
            self.now, _, what, job = heapq.heappop(self.events)
            if self.changes and self.now >= self.changes[0][0]:
                self.slots = self.changes.pop(0)[1]
                self._begin()
            if what == "end":
                self.running -= 1
                self._begin()
            else:
                self._look(job)
            self.history.append((self.now, self.governor.count_allowed(self.now), len(self.queue)))
        return self

    def _fill(self) -> None:
        while self.jobs and self.in_use < self.governor.count_allowed(self.now):
            self.jobs -= 1
            self.in_use += 1
            job = Looked(self.median * math.exp(self.rng.gauss(0.0, 0.5)), self.now, started=self.now)
            self.durations.append(job.seconds)
            self.queue.append(job)
            self._begin()
            gap = self._gap(0.0)
            early = self.governor.plan_early_poll(self.now, self.in_use) if self.scouts else None
            self._push(min(gap, early or gap), "look", job)

    def _begin(self) -> None:
        while self.queue and self.running < self.slots:
            job = self.queue.popleft()
            self.running += 1
            job.begun_at, job.ended_at = self.now, self.now + job.seconds
            self._push(job.seconds, "end", job)

    def _push(self, delay: float, what: str, job: Looked) -> None:
        heapq.heappush(self.events, (self.now + delay, next(self.order), what, job))

    def _gap(self, age: float) -> float:
        return next_poll_delay(self.lifetimes, age, p=AUTO_P, rng=self.rng)

    def _look(self, job: Looked) -> None:
        self.gets += 1
        now, in_use = self.now, self.in_use
        if job.begun_at is None and self.words:
            job.started, job.was_queued, job.seen = now, True, 0.0
            position = self.queue.index(job) if self.positions else None
            self.governor.note_poll(now - job.accepted_at, 0.0, position, now, in_use=in_use, waiting=True)
            self._push(self._gap(0.0), "look", job)
        elif job.ended_at is None or job.ended_at > now:
            age = now - job.started
            waited = job.started - job.accepted_at
            self.lifetimes.censored(age, since=job.seen)
            self.governor.note_poll(waited, 0.0, None, now, in_use=in_use, waiting=False, accepted_at=job.accepted_at)
            job.seen = age
            self._push(self._gap(age), "look", job)
        else:
            age = now - job.started
            self.lifetimes.finished(age, since=job.seen)
            self.governor.note_poll(job.started - job.accepted_at, age, None, now, in_use=in_use)
            self.in_use -= 1
        self._fill()

    def settled(self, after: float) -> tuple[float, float]:
        """Mean of what was allowed and the longest remote queue, from ``after`` until the jobs ran out."""
        rows = [row for row in self.history if row[0] >= after]
        return sum(row[1] for row in rows) / len(rows), max(row[2] for row in rows)


def perfect(run: Run, slots: int) -> float:
    """Seconds that so many slots need if none is ever idle while there is a job."""
    ends = [0.0] * slots
    for seconds in run.durations:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


@pytest.mark.parametrize("positions", [True, False], ids=["queue_position", "words only"])
@pytest.mark.parametrize("seed", range(2))
def test_auto_finds_forty_slots_and_keeps_them_busy(seed, positions):
    run = Run(InFlight(None), 40, jobs=1000, seed=seed, positions=positions).go()
    allowed, deepest = run.settled(after=25.0)
    assert perfect(run, 40) / run.now >= 0.96
    assert 40 <= allowed <= 1.2 * 40 + 10
    assert deepest <= 20
    assert run.gets / 1000 <= 4.0


@pytest.mark.parametrize("slots", [2, 5, 12, 150])
def test_auto_finds_other_capacities(slots):
    run = Run(InFlight(None), slots, jobs=30 * slots).go()
    allowed, deepest = run.settled(after=25.0)
    assert perfect(run, slots) / run.now >= 0.9
    assert slots <= allowed <= 1.4 * slots + 3
    assert deepest <= 0.4 * slots + 4


def test_auto_without_early_looks_is_slower_but_sound():
    run = Run(InFlight(None), 40, jobs=1000, scouts=False).go()
    assert perfect(run, 40) / run.now >= 0.85
    assert run.settled(after=0.0)[1] <= 90


def test_auto_bounds_a_queue_that_no_reply_tells_of():
    run = Run(InFlight(None), 40, jobs=2000, words=False).go()
    assert perfect(run, 40) / run.now >= 0.95
    assert run.settled(after=100.0)[1] <= 200


def test_auto_recovers_when_the_capacity_doubles():
    governor = InFlight(None)
    run = Run(governor, 40, jobs=3000)
    run.changes = [(60.0, 80)]
    run.go(until=59.0)
    assert governor.count_allowed(59.0) <= 60
    run.go(until=100.0)
    assert 80 <= governor.count_allowed(100.0) <= 110


def test_auto_gives_way_when_the_capacity_halves():
    governor = InFlight(None)
    run = Run(governor, 40, jobs=3000)
    run.changes = [(60.0, 20)]
    run.go(until=100.0)
    assert 20 <= governor.count_allowed(100.0) <= 32


def proofs(governor: InFlight, number: int, *, in_use: int | None, begin: float = 0.0) -> None:
    for k in range(number):
        at = begin + k
        governor.note_poll(0.0, 0.0, None, at + 0.3, in_use=in_use, waiting=False, accepted_at=at)


def test_auto_does_not_grow_while_idle():
    governor = InFlight(None, start=10)
    proofs(governor, 50, in_use=5)
    assert governor.count_allowed(60.0) == 10
    assert governor.plan_early_poll(60.0, 5) is None
    proofs(governor, 1, in_use=10, begin=60.0)
    assert governor.count_allowed(61.0) == 15


def test_auto_does_not_grow_in_trouble():
    governor = InFlight(None, start=10)
    governor.note_trouble(0.0)
    proofs(governor, 9, in_use=10)
    assert governor.count_allowed(9.0) == 10
    proofs(governor, 1, in_use=10, begin=9.8)
    assert governor.count_allowed(10.5) == 15, "ten seconds after the trouble it grows again"


def test_auto_measures_anew_behind_a_suspension():
    """Jobs that were in flight at a stop of 45 s passed for jobs that had waited as long in the queue."""
    governor = InFlight(None, start=40)
    for k in range(40):
        governor.note_poll(0.0, 5.0, None, k / 8, in_use=20)
    before = governor.count_allowed(6.0)
    governor.restart(51.0)
    for _ in range(40):
        governor.note_poll(45.0, 5.0, None, 51.0, in_use=before, accepted_at=4.0)
    assert governor.count_allowed(52.0) == before
    governor.note_poll(46.0, 0.0, 30, 52.0, in_use=before, accepted_at=4.0)
    assert governor.count_allowed(52.0) < before, "a place in the queue is how things stand now"


def test_auto_needs_fresh_proof_for_each_step():
    governor = InFlight(None, start=10)
    for _ in range(50):
        governor.note_poll(0.0, 0.0, None, 0.3, in_use=10, waiting=False, accepted_at=0.0)
    assert governor.count_allowed(1.0) == 15


def test_auto_stays_under_its_bound_and_above_zero():
    governor = InFlight(None, start=10, most=12)
    proofs(governor, 50, in_use=12)
    assert governor.count_allowed(60.0) == 12
    for k in range(50):
        governor.note_poll(100.0 + k, 0.0, 1000, 61.0 + k, in_use=12)
    assert governor.count_allowed(200.0) >= 1


def test_a_number_given_is_the_number():
    governor = InFlight(7)
    proofs(governor, 50, in_use=7)
    governor.note_poll(100.0, 0.0, 1000, 61.0, in_use=7)
    assert governor.count_allowed(100.0) == 7
    assert governor.plan_early_poll(100.0, 7) is None


# --- GETs and backoff -----------------------------------------------------------------------------


def test_gets_are_smooth():
    governor, now, sent = GetRate(10.0), 0.0, []
    while now < 10.0:
        if (wait := governor.wait(now)) <= 0.0:
            governor.take(now)
            sent.append(now)
        else:
            now += wait
    assert 98 <= len(sent) <= 102
    assert max(sum(t <= x < t + 1.0 for x in sent) for t in sent) <= 12


def test_a_late_waker_loses_no_gets_of_a_fast_rate():
    governor, now, sent = GetRate(200.0), 0.0, 0
    while now < 10.0:
        if (wait := governor.wait(now)) <= 0.0:
            governor.take(now)
            sent += 1
        else:
            now += wait + 0.01
    assert sent >= 1950


@pytest.mark.parametrize("attempt", [0, 1, 5, 10**9])
def test_backoff_is_full_jitter_under_a_cap(attempt):
    pauses = [backoff(attempt, Random(seed)) for seed in range(200)]
    window = min(60.0, 2.0 ** min(attempt, 10))
    assert 0.0 <= min(pauses) < 0.1 * window
    assert 0.9 * window < max(pauses) <= window


@pytest.mark.parametrize("seed", range(4))
def test_429s_that_come_whatever_our_speed_do_not_starve_the_run(seed: int) -> None:
    """A soak showed it: one POST in sixty throttled and one in twenty a 5xx at any speed, and 5 POSTs a second had become
    one in five seconds for good."""
    rng, posts, now, taken = Random(seed), PostRate(None), 0.0, []
    while now < 3600.0:
        wait = posts.wait(now)
        if wait > 0:
            now += wait
            continue
        posts.take(now)
        sent, now = now, now + 0.2  # what the jobs in flight allow at most: five a second
        chance = rng.random()
        if chance < 1 / 60:
            posts.throttled(now, 1.0, rng, sent_at=sent)
        elif chance < 1 / 60 + 1 / 20:
            continue
        else:
            posts.accepted(now)
            taken.append(now)
    last = sum(at > 2400.0 for at in taken) / 1200.0
    assert last > 2.5, f"{last:.2f} POSTs a second in the last twenty minutes"
