"""Services in trouble, in virtual time: the real pool on a clock that a test moves, against hidden limits.

The jobs last 0.7 s and forty are in flight, unless a scenario says otherwise: the run that part 3 of the issues measured.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from random import Random

import anyio
import trio
import trio.testing
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from batchedit.core.approved_purchases import Approval
from batchedit.core.errors import BatcheditError
from batchedit.core.events import Accepted, CancelConfirmed, Completed, Declined, Event, Lost
from batchedit.core.model import Handle, Kind, Output, Problem, Record, SavedFile, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.governor import Governor, PurchaseLimits
from batchedit.pool.pool import Pool
from batchedit.pool.worker import run_all
from batchedit.ports import CancelReply, NoAnswer, Permit, PollReply, StillRunning, SubmitEvent
from batchedit.scheduling.post_rate import PostRate
from batchedit.scheduling.wire_window import TOP
from tests.support.factories import make_line

Answer = str | float | None
"""What befalls a POST: None is accepted; a number is a 429 with that Retry-After; ``bare`` a 429 without one; ``lost``;
``unreachable``; ``hang``, an answer that never comes within 60 s; ``page``, a gateway's page after two seconds; ``sunk``, a
job made and its answer lost."""


@dataclass
class Bucket:
    """A limit of ``rate`` POSTs a second and ``burst`` at once."""

    rate: float
    burst: int = 5
    tokens: float = math.nan
    at: float = 0.0

    def admits(self, now: float) -> bool:
        if math.isnan(self.tokens):
            self.tokens, self.at = float(self.burst), now
        self.tokens = min(float(self.burst), self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0 - 1e-9:
            return False
        self.tokens -= 1.0
        return True

    def set(self, rate: float, now: float) -> None:
        """From ``now`` on another rate; what the old one has filled stays."""
        self.tokens = min(float(self.burst), self.tokens + (now - self.at) * self.rate)
        self.at, self.rate = now, rate

    def retry_after(self) -> float:
        return float(max(1, math.ceil((1.0 - self.tokens) / self.rate)))


@dataclass
class Service:
    """``befalls`` decides about each POST by its time since the first, in the service's own seconds."""

    rng: Random
    befalls: Callable[[float], Answer] = lambda now: None
    limit: Bucket | None = None
    at_once: int | None = None
    runs: float = 0.7
    trip: float = 0.02
    retry_after: float | None = 1.0
    permits: int = TOP
    probes: Callable[[float], bool] = lambda now: True
    asleep: float = 0.0
    refused: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    lost: int = 0
    gets: int = 0
    ends: list[float] = field(default_factory=list)
    first: float | None = None

    def __post_init__(self) -> None:
        self._permits = trio.Semaphore(self.permits)
        self._count = 0

    def now(self) -> float:
        """Seconds of the wall clock: the virtual clock stands still while a closed lid lasts, and this goes on."""
        return trio.current_time() + self.asleep

    async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
        await trio.sleep(self.trip * self.rng.uniform(0.3, 0.7))
        now = self.now()
        if self.first is None:
            self.first = now
        answer, ends = self._decide(now), now + self.runs * self.rng.uniform(0.95, 1.05)
        if answer is None or answer == "sunk":
            self.ends.append(ends)
        late = {"hang": 60.0, "page": 2.0}.get(str(answer), 0.0)
        await trio.sleep(late or self.trip * self.rng.uniform(0.3, 0.7))
        return self._answer(answer, now, ends)

    def _decide(self, now: float) -> Answer:
        assert self.first is not None
        self.ends = [end for end in self.ends if end > now]
        befallen = self.befalls(now - self.first)
        if befallen is not None:
            return befallen
        refusal = "bare" if self.retry_after is None else self.retry_after
        if self.at_once is not None and len(self.ends) >= self.at_once:
            return refusal
        if self.limit is not None and not self.limit.admits(now):
            return "bare" if self.retry_after is None else self.limit.retry_after()
        return None

    def _answer(self, answer: Answer, asked_at: float, ends: float) -> SubmitEvent:
        at = trio.current_time()
        if answer is None:
            self.accepted.append(asked_at)
            self._count += 1
            return Accepted(at, Handle(f"req-{self._count} {ends!r}"))
        if answer in {"lost", "hang", "page", "sunk"}:
            self.lost += 1
            return Lost(at, Problem(Kind.LOST, "no answer"))
        if answer == "unreachable":
            return Declined(at, Problem(Kind.UNREACHABLE, "connection refused"))
        self.refused.append(asked_at)
        due = at + answer if isinstance(answer, float) else 0.0
        return Declined(at, Problem(Kind.THROTTLED, "the service asks to slow down", 429), due)

    async def poll(self, record: Record) -> PollReply:
        self.gets += 1
        await trio.sleep(self.trip)
        if self.first is not None and not self.probes(self.now() - self.first):
            return NoAnswer(Problem(Kind.SERVICE, "busy", 502))
        assert record.handle is not None
        if self.now() < float(record.handle.request_id.split()[1]):
            return StillRunning("in_progress", running=True)
        return Completed(trio.current_time(), (Output("https://files.runcomfy.net/x.png"),), 40_000)

    async def cancel(self, record: Record) -> CancelReply:
        return CancelConfirmed(trio.current_time())

    async def probe(self) -> bool:
        await trio.sleep(self.trip)
        return self.first is None or self.probes(self.now() - self.first)

    @asynccontextmanager
    async def post_permit(self) -> AsyncIterator[Permit]:
        async with self._permits:
            yield Permit()


class Disk:
    async def save(self, record: Record, output: Output, index: int) -> SavedFile:
        await trio.sleep(0.005)
        return SavedFile(f"files/{record.job.name}.png", "ab" * 32, 10, 1, 1, output.url)


@dataclass
class Watcher:
    """Keeps what was noted about the run as a whole."""

    notes: list[tuple[str, str]] = field(default_factory=list)
    details: list[dict[str, object]] = field(default_factory=list)

    def saw(self, record: Record, event: Event) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None:
        self.notes.append((name, message))
        self.details.append(details)


@dataclass
class Passed:
    """A run that is over."""

    seconds: float
    service: Service
    states: dict[State, int]
    halted: BatcheditError | None
    notes: list[tuple[str, str]]
    governor: Governor
    slowed: str
    """What the report would say; empty where nothing slowed the run."""
    slowed_notes: list[tuple[str, dict[str, object]]]
    """The notes about that, with their numbers."""

    @property
    def refused(self) -> int:
        return len(self.service.refused)

    @property
    def doubts(self) -> int:
        return self.states.get(State.IN_DOUBT, 0)


Meanwhile = Callable[[trio.testing.MockClock, Service, Governor], object]


def pass_through(
    make: Callable[[Random], Service],
    *,
    jobs: int = 300,
    concurrency: int = 40,
    seed: int = 0,
    before: int = 0,
    thinks: float = 0.0,
    meanwhile: Meanwhile | None = None,
    law: Callable[[], PostRate] | None = None,
    limit: float = 400_000.0,
    poll_seconds: float | None = None,
) -> Passed:
    """A whole run of the real pool. ``before`` jobs are bought first, then a person thinks for ``thinks`` seconds, which do
    not count. ``meanwhile`` is an async function that runs beside it; ``law`` makes another pace of POSTs than ours.
    """
    outcomes: list[Passed] = []
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def main() -> None:
        service = make(Random(seed))
        watcher = Watcher()
        governor = Governor(
            PurchaseLimits(concurrency=concurrency, poll_seconds=poll_seconds),
            api=service,
            observer=watcher,
            clock=trio.current_time,
            wall=service.now,
            rng=Random(seed + 1),
            posts=law() if law is not None else None,
        )
        checkpoint = MemoryCheckpoint([make_line(n) for n in range(1, jobs + 1)])
        pool = Pool(service, checkpoint, Disk(), watcher, governor, trio.current_time, Random(seed + 2), price=40_000)
        pool.approval = Approval(range(1, jobs + 1))
        started_at = service.now()
        with trio.fail_after(limit):
            async with anyio.create_task_group() as beside:
                if meanwhile is not None:
                    beside.start_soon(meanwhile, clock, service, governor)  # type: ignore[arg-type]
                if before:
                    await run_all(pool, await checkpoint.list_planned(0, before))
                    await trio.sleep(thinks)
                await run_all(pool)
                seconds = service.now() - started_at - (thinks if before else 0.0)
                beside.cancel_scope.cancel()
        states = checkpoint.counts().by_state
        slowed_notes = [
            (name, d) for (name, _), d in zip(watcher.notes, watcher.details, strict=True) if "slowed" in name
        ]
        slowed = str(governor.outlook.slowed_in_all or "")
        outcomes.append(
            Passed(seconds, service, states, governor.switch.halted, watcher.notes, governor, slowed, slowed_notes)
        )

    in_one_order(lambda: trio.run(main, clock=clock))
    return outcomes[0]


def in_one_order(run: Callable[[], object]) -> None:
    """``run`` with trio's tasks in an order that its arguments alone decide.

    trio draws the order of the tasks that are ready anew each time, and a scenario came out one way or another by that
    alone. Its plugin for Hypothesis leaves the draw to Hypothesis, which seeds it for each example: here there is one.
    """

    @settings(
        max_examples=1,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.just(None))
    def once(_: None) -> None:
        run()

    once()


@cache
def calm(seed: int = 0, *, jobs: int = 300, concurrency: int = 40, runs: float = 0.7) -> float:
    """Seconds of the same run without trouble."""
    return pass_through(lambda rng: Service(rng, runs=runs), seed=seed, jobs=jobs, concurrency=concurrency).seconds


def at_random(share: float, answer: Answer, *, jobs: int = 300) -> Callable[[Random], Service]:
    """``share`` of the POSTs that ``jobs`` take get ``answer``, whatever our speed: that many, at places drawn at random.

    Drawn by the hundred it was 8 of 308, 2.6 % for 2, at one seed in twenty.
    """

    def make(rng: Random) -> Service:
        posts = round(jobs / (1.0 - share)) if answer not in {"lost", "hang", "page", "sunk"} else jobs
        befallen = set(Random(rng.random()).sample(range(posts), round(share * posts)))
        count = iter(range(10**9))
        return Service(rng, befalls=lambda _: answer if next(count) in befallen else None)

    return make
