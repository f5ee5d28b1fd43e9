"""The table of troubles: what each may cost at most, in virtual time, beside the calm run of the same seed.

``tests/scheduling/test_trouble.py`` asserts them; ``benchmarks/paces.py`` takes the same ones with other laws of pace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

import trio
import trio.testing

from batchedit.core.model import State
from batchedit.pool.governor import Governor
from batchedit.scheduling.post_rate import PostRate
from batchedit.scheduling.wire_window import TOP
from tests.support.troubled import Answer, Bucket, Service, at_random, calm, pass_through

Law = Callable[[], PostRate]


@dataclass(frozen=True)
class Figure:
    """One number of a row. ``most`` is what is allowed, in the unit of ``value``."""

    what: str
    value: float
    most: float

    @property
    def kept(self) -> bool:
        return self.value <= self.most

    def __str__(self) -> str:
        return f"{self.what}: {self.value:.2f}, at most {self.most:.2f}"


Row = Callable[[int, Law], Iterator[Figure]]


def by_chance(share: float, answer: Answer, most: float, seed: int, law: Law) -> Iterator[Figure]:
    """``share`` of the POSTs get ``answer`` at random.

    At 2 % six refusals hold forty places for a second each, and cost 0.35 s to 1 s by the moment at which they come.
    """
    passed, usual = pass_through(at_random(share, answer), seed=seed, law=law), calm(seed)
    yield Figure("x calm", passed.seconds / usual, most)
    yield Figure("breaker opened", float("breaker_open" in [name for name, _ in passed.notes]), 0.0)
    if isinstance(answer, float):
        # Each refusal's own pause, as long as the jitter may make it, and not a second of our own.
        yield Figure("seconds beyond calm", passed.seconds - usual, passed.refused * answer * 1.05)


def account(concurrency: int, seed: int, law: Law) -> Iterator[Figure]:
    """The account has ten jobs at once; ``concurrency`` 0 is ``-j auto``."""
    passed = pass_through(lambda rng: Service(rng, at_once=10), seed=seed, concurrency=concurrency, law=law)
    ideal = 300 * 0.7 / 10
    yield Figure("x ideal", passed.seconds / ideal, 1.25 + 1.0 / ideal)
    slowed_notes = [text for name, text in passed.notes if name == "slowed"]
    yield Figure("not told", float("slowed by the service: 10 jobs at once (429)" not in slowed_notes), 0.0)
    yield Figure("not in the bar", float(not passed.slowed.startswith("slowed by the service: 10 jobs at once")), 0.0)


HALVED, WHOLE_AGAIN = 60.0, 200.0


def falling_account(concurrency: int, seed: int, law: Law) -> Iterator[Figure]:
    """The account has twenty jobs of 4 s at once, ten from 60 s on, and twenty again after 200 s."""

    async def halve(clock: trio.testing.MockClock, service: Service, governor: Governor) -> None:
        for at, jobs in ((HALVED, 10), (WHOLE_AGAIN, 20)):
            while service.first is None or service.now() - service.first < at:  # noqa: ASYNC110 - virtual time
                await trio.sleep(0.05)
            service.at_once = jobs

    passed = pass_through(
        lambda rng: Service(rng, at_once=20, runs=4.0),
        seed=seed,
        jobs=1300,
        concurrency=concurrency,
        meanwhile=halve,
        law=law,
    )
    first = passed.service.first or 0.0
    times = [at - first for at in passed.service.accepted]

    def share(begins: float, ends: float, most: float) -> float:
        return sum(begins < at <= ends for at in times) / ((ends - begins) * most)

    assert max(times) > WHOLE_AGAIN + 120.0, "the jobs ended before the account was whole again"
    back = next(t for t in range(int(WHOLE_AGAIN), 500) if share(t, t + 10.0, 20 / 4.0) >= 0.9)
    yield Figure("of the lower limit, unused", 1.0 - share(HALVED + 10.0, WHOLE_AGAIN, 10 / 4.0), 0.1)
    yield Figure("seconds until back at 90 %", back - WHOLE_AGAIN, 110.0)
    yield Figure("429s", passed.refused, 60)


def true_limit(seed: int, law: Law) -> Iterator[Figure]:
    """Twenty POSTs a second, five at once."""
    passed = pass_through(
        lambda rng: Service(rng, limit=Bucket(20.0), runs=1.0), seed=seed, jobs=200, concurrency=200, law=law
    )
    accepted = passed.service.accepted
    yield Figure("x floor", (max(accepted) - min(accepted)) / (195 / 20.0), 1.3)
    yield Figure("429s", passed.refused, 15)


FALLS, RETURNS = 30.0, 90.0


def falling_limit(seed: int, law: Law) -> Iterator[Figure]:
    """The limit falls from 20 POSTs a second to 5, and is 20 again after 60 s."""

    async def fall(clock: trio.testing.MockClock, service: Service, governor: Governor) -> None:
        assert service.limit is not None
        for at, rate in ((FALLS, 5.0), (RETURNS, 20.0)):
            while service.first is None or service.now() - service.first < at:  # noqa: ASYNC110 - virtual time
                await trio.sleep(0.05)
            service.limit.set(rate, service.now())

    passed = pass_through(
        lambda rng: Service(rng, limit=Bucket(20.0), runs=1.0),
        seed=seed,
        jobs=1900,
        concurrency=200,
        meanwhile=fall,
        law=law,
    )
    first = passed.service.first or 0.0
    times = [at - first for at in passed.service.accepted]
    assert max(times) > RETURNS + 25.0, "the jobs ended before the limit was back"
    back = next((t for t in range(90, 400) if sum(t < at <= t + 5 for at in times) >= 0.9 * 20 * 5), 400)
    yield Figure("seconds until back at 90 %", back - RETURNS, 20.0)
    yield Figure("429s", passed.refused, 30)


async def stop_the_process(clock: trio.testing.MockClock, service: Service, governor: Governor) -> None:
    """SIGSTOP and SIGCONT: all clocks go on."""
    await trio.sleep(3.0)
    clock.jump(45.0)


async def close_the_lid(clock: trio.testing.MockClock, service: Service, governor: Governor) -> None:
    """The monotonic clock stands still, and the timers with it; the service's time goes on."""
    await trio.sleep(3.0)
    service.asleep += 45.0


def one_refusal(after: float, rng: Random) -> Service:
    """A single 429 with Retry-After 1, once ``after`` seconds have passed."""
    refusals = [1.0]
    return Service(rng, befalls=lambda now: refusals.pop() if now >= after and refusals else None)


def suspended(how: Callable[..., object], seed: int, law: Law) -> Iterator[Figure]:
    """45 s of suspension, then one 429."""
    passed, usual = pass_through(partial(one_refusal, 46.0), seed=seed, meanwhile=how, law=law), calm(seed)
    yield Figure("x calm", (passed.seconds - 45.0) / usual, (usual + 1.0 + 5.0) / usual)


def thought_about(seed: int, law: Law) -> Iterator[Figure]:
    """Five jobs, 90 s at the canary's question, then one 429."""
    passed = pass_through(partial(one_refusal, 91.0), seed=seed, before=5, thinks=90.0, jobs=120, law=law)
    usual = calm(seed, jobs=120)
    yield Figure("x calm", passed.seconds / usual, (usual + 1.0 + 5.0) / usual)


def outage(answer: str, gets: str, seed: int, law: Law) -> Iterator[Figure]:
    """The service is gone for 60 s in a run of 1,000 jobs. ``gets``: do the free calls answer meanwhile?"""

    begins = 5.0 + Random(seed).uniform(
        0.0, 2.2
    )  # anywhere in a wave: at its crest no place is free, and nothing happens

    def befalls(now: float) -> str | None:
        return answer if begins <= now < begins + 60.0 else None

    def make(rng: Random) -> Service:
        return Service(rng, befalls=befalls, probes=lambda now: gets == "fine" or befalls(now) is None, runs=2.0)

    passed = pass_through(make, jobs=1000, seed=seed, law=law)
    usual = calm(seed, jobs=1000, runs=2.0)
    yield Figure("doubts", passed.doubts, 15)
    yield Figure("seconds beyond calm", passed.seconds - usual, 90.0)
    yield Figure("neither done nor in doubt", 1000 - passed.doubts - passed.states.get(State.DONE, 0), 0)


def outage_after_a_pause(answer: str, late: float, seed: int, law: Law) -> Iterator[Figure]:
    """The service asks for a pause of 5 s, and is gone for 60 s when the first POST after it comes, or ``late`` seconds
    after that one: all forty places are free then.
    """
    refuses = 5.0 + Random(seed).uniform(0.0, 2.2)
    times: dict[str, float] = {}

    def befalls(now: float) -> Answer:
        if now < refuses:
            return None
        if now < times.setdefault("refused", now) + 4.5:
            return 5.0 if now == times["refused"] else None
        begins = times.setdefault("came", now) + late
        return answer if begins <= now < begins + 60.0 else None

    passed = pass_through(lambda rng: Service(rng, befalls=befalls, runs=2.0), jobs=400, seed=seed, law=law)
    yield Figure("doubts", passed.doubts, 15 if late == 0.0 else TOP + 4)
    yield Figure("neither done nor in doubt", 400 - passed.doubts - passed.states.get(State.DONE, 0), 0)


def night(jobs: int, most: float, seed: int, law: Law) -> Iterator[Figure]:
    """Jobs of 40 s at ``-j 20``: of the POSTs 1 % get a 429 and 1 % a 5xx, and each hour one a Retry-After of 300 s."""

    def make(rng: Random) -> Service:
        dice, hours = Random(rng.random()), [1]

        def befalls(now: float) -> Answer:
            if now >= 3600.0 * hours[0] - 1800.0:
                hours[0] += 1
                return 300.0
            draw = dice.random()
            return 1.0 if draw < 0.01 else "lost" if draw < 0.02 else None

        return Service(rng, befalls=befalls, runs=40.0)

    passed = pass_through(make, jobs=jobs, concurrency=20, seed=seed, law=law)
    usual = calm(seed, jobs=jobs, concurrency=20, runs=40.0)
    yield Figure("x calm", passed.seconds / usual, most)
    yield Figure("neither done nor in doubt", jobs - passed.doubts - passed.states.get(State.DONE, 0), 0)


KINDS = {
    "refused connections": "unreachable",
    "503 without Retry-After": "lost",
    "502 page": "page",
    "hang": "hang",
    "500001 after the job is made": "sunk",
}
"""Five shapes of an outage; the 503 comes at once, the page of a gateway after two seconds."""

ROWS: dict[str, Row] = {
    "2 % 429": partial(by_chance, 0.02, 1.0, 1.6),
    "8 % 429": partial(by_chance, 0.08, 1.0, 3.6),
    "8 % 429 without Retry-After": partial(by_chance, 0.08, "bare", 2.6),
    "5 % 5xx": partial(by_chance, 0.05, "lost", 2.0),
    "5 % 500001 after the job is made": partial(by_chance, 0.05, "sunk", 2.0),
    "account's limit 10, -j 20": partial(account, 20),
    "account's limit 10, -j auto": partial(account, 0),
    "account's limit 10, -j 100": partial(account, 100),
    "account's limit 20, 10, 20, -j 20": partial(falling_account, 20),
    "account's limit 20, 10, 20, -j auto": partial(falling_account, 0),
    "account's limit 20, 10, 20, -j 100": partial(falling_account, 100),
    "stopped for 45 s": partial(suspended, stop_the_process),
    "lid closed for 45 s": partial(suspended, close_the_lid),
    "90 s at the canary's question": thought_about,
    "limit 20/s, burst 5": true_limit,
    "limit 20/s, 5/s, 20/s": falling_limit,
    **{
        f"outage, {name}, free calls {gets}": partial(outage, what, gets)
        for name, what in KINDS.items()
        for gets in ("fine", "down")
    },
    **{
        f"outage, {name}, {when} a pause": partial(outage_after_a_pause, KINDS[name], late)
        for name in ("502 page", "hang")
        for when, late in (("right after", 0.0), ("20 ms after", 0.02))
    },
    "an hour of the night": partial(night, 1500, 1.12),
}
WHOLE_NIGHT: Row = partial(night, 10_000, 1.12)
