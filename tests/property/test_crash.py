"""The promise, under every crash: never two accepts for one key, always a final state or in doubt, never over the budget.

The loop runs against a scripted service. A step is anything that touches the world: a write to the checkpoint (before
and after it), a POST (before it leaves, and after the service has taken it), a look, a download. The script says at which
step the process dies; what was in memory is gone, what the checkpoint had acknowledged stays. Then the next process starts
from the checkpoint, as the pipeline does, and so on until one lives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchedit.core.actions import Patience
from batchedit.core.approved_purchases import Approval
from batchedit.core.events import (
    Accepted,
    CancelConfirmed,
    Completed,
    Declined,
    Errored,
    Event,
    Lost,
    Refused,
    Reserved,
)
from batchedit.core.lifecycle import FINAL
from batchedit.core.model import Handle, Kind, Output, Problem, Record, SavedFile, State
from batchedit.ledger.memory import MemoryCheckpoint
from batchedit.pool.governor import Governor, PurchaseLimits
from batchedit.pool.pool import Pool
from batchedit.pool.worker import run_all
from batchedit.ports import Broken, CancelReply, NoAnswer, Permit, PollReply, StillRunning, SubmitEvent
from tests.support.factories import make_line
from tests.support.share import examples

PRICE = 40_000
NOBODY = Problem(Kind.UNREACHABLE, "nobody there")
ERROR = Problem(Kind.SERVICE, "internal error", 500, 500001)
TOO_MANY = Problem(Kind.THROTTLED, "too many requests", 429)
NO_ANSWER = Problem(Kind.LOST, "no answer")
BAD = Problem(Kind.REFUSED, "bad input", 422)
BROKE = Problem(Kind.FAILED, "the job failed")


class DiedError(BaseException):
    """The process is gone."""


@dataclass
class Script:
    """What the world does, drawn by hypothesis; after its end everything goes well."""

    submits: list[str]
    looks: list[str]
    downloads: list[str]
    deaths: list[int]
    steps: int = 0
    dead: bool = False
    lives: int = 0

    def clock(self) -> float:
        """Each process wakes an hour later."""
        return 3600.0 * self.lives + trio.current_time()

    def step(self) -> None:
        """One more thing that touches the world; maybe the last one of this process."""
        if self.dead:
            raise DiedError
        self.steps += 1
        if self.deaths and self.steps >= self.deaths[0]:
            self.deaths.pop(0)
            self.steps = 0
            self.dead = True
            raise DiedError

    def next(self, which: list[str]) -> str:
        return which.pop(0) if which else "ok"


@dataclass
class Remote:
    """The service: it remembers what it took, and that is what was paid."""

    script: Script
    price: int = PRICE
    tells: bool = False  # the cost of failed jobs, too
    accepted: list[tuple[bytes, str]] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)

    def take(self, record: Record) -> str:
        request_id = f"req-{len(self.accepted)}"
        self.accepted.append((record.job.key, request_id))
        return request_id

    async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
        at = self.script.clock()
        await trio.sleep(0.01)
        self.script.step()
        word = self.script.next(self.script.submits)
        if word == "unreachable":
            return Declined(at, NOBODY)
        if word == "429":
            return Declined(at, TOO_MANY, at + 2)
        if word == "500":
            return Declined(at, ERROR)
        if word == "refused":
            return Refused(at, BAD)
        if word == "lost before":
            return Lost(at, NO_ANSWER)
        if word == "id of another" and self.heard:
            self.script.step()
            return Accepted(at, Handle(min(self.heard)))
        request_id = self.take(record)
        if word == "lost after":
            return Lost(at, NO_ANSWER)
        self.script.step()
        self.heard.add(request_id)
        return Accepted(at, Handle(request_id))

    async def poll(self, record: Record) -> PollReply:
        await trio.sleep(0.01)
        self.script.step()
        assert record.handle is not None
        assert record.handle.request_id in {request for _, request in self.accepted}
        match self.script.next(self.script.looks):
            case "running":
                return StillRunning("in_progress", running=True)
            case "queued":
                return StillRunning("in_queue", running=False, queue_position=3)
            case "missed":
                return NoAnswer(ERROR)
            case "404":
                return NoAnswer(Problem(Kind.NOT_FOUND, "no such request"), absent=True)
            case "failed":
                return Errored(self.script.clock(), BROKE, self.price if self.tells else None)
            case "cancelled":
                return CancelConfirmed(self.script.clock())
        return Completed(self.script.clock(), (Output("https://files.runcomfy.net/x.png"),), self.price)

    async def cancel(self, record: Record) -> CancelReply:
        raise AssertionError("nobody cancels here")

    async def probe(self) -> bool:
        await trio.sleep(0.01)
        return True

    @asynccontextmanager
    async def post_permit(self) -> AsyncIterator[Permit]:
        yield


@dataclass
class Disk:
    script: Script

    async def save(self, record: Record, output: Output, index: int) -> SavedFile | Broken:
        await trio.sleep(0.01)
        self.script.step()
        if self.script.next(self.script.downloads) == "broken":
            return Broken(Problem(Kind.DOWNLOAD, "the link has expired"))
        return SavedFile(f"files/{record.job.name}.png", "ab" * 32, 10, 1, 1, output.url)


class DyingCheckpoint(MemoryCheckpoint):
    """Dies before a write, or after it was acknowledged to nobody."""

    script: Script

    async def save(self, record: Record, event: Event) -> Record:
        self.script.step()
        saved = await super().save(record, event)
        self.script.step()
        return saved


class Silent:
    def saw(self, record: Record, event: Event) -> None: ...

    def note(self, name: str, message: str, **details: object) -> None: ...


def make_pool(remote: Remote, checkpoint: MemoryCheckpoint, script: Script, concurrency: int) -> Pool:
    rng = Random(7)
    observer = Silent()
    governor = Governor(
        PurchaseLimits(concurrency=concurrency), api=remote, observer=observer, clock=script.clock, rng=rng
    )
    return Pool(
        api=remote,
        checkpoint=checkpoint,
        files=Disk(script),
        observer=observer,
        governor=governor,
        clock=script.clock,
        rng=rng,
        approval=Approval(record.id for record in checkpoint.records()),
        price=PRICE,
        patience=Patience(stuck_after=600, spoils=3),
    )


def live_and_die(
    script: Script, remote: Remote, checkpoint: MemoryCheckpoint, concurrency: int
) -> BaseException | None:
    """Processes one after the other until one ends by itself. Returns what it ended with."""
    for _ in range(40):
        script.dead = False
        script.lives += 1

        async def process() -> BaseException | None:
            pool = make_pool(remote, checkpoint, script, concurrency)
            await run_all(pool)
            assert pool.governor.slots.bought == 0, "a job that is over counts as in flight"
            return pool.governor.switch.halted

        try:
            return trio.run(process, clock=trio.testing.MockClock(autojump_threshold=0))
        except DiedError:
            continue
    raise AssertionError("it never ended")


WORDS = {
    "submits": ["ok", "unreachable", "429", "500", "refused", "lost before", "lost after", "id of another"],
    "looks": ["ok", "running", "queued", "missed", "404", "failed", "cancelled"],
    "downloads": ["ok", "broken"],
}
scripts = st.builds(
    Script,
    submits=st.lists(st.sampled_from(WORDS["submits"]), max_size=12),
    looks=st.lists(st.sampled_from(WORDS["looks"]), max_size=12),
    downloads=st.lists(st.sampled_from(WORDS["downloads"]), max_size=6),
    deaths=st.lists(st.integers(1, 40), max_size=6),
)


def check(remote: Remote, checkpoint: MemoryCheckpoint, halted: BaseException | None) -> None:
    bought = Counter(key for key, _ in remote.accepted)
    assert max(bought.values(), default=0) <= 1, "one key was bought twice"
    records = {r.job.key: r for r in checkpoint.records()}
    for key, request_id in remote.accepted:
        record = records[key]
        known = record.handle is not None and record.handle.request_id == request_id
        assert known or record.state is State.IN_DOUBT, f"{request_id} was bought and is lost ({record.state})"
    for record in records.values():
        at_rest = record.state in FINAL or record.state in {State.IN_DOUBT, State.UNCOLLECTED}
        assert at_rest or (record.state is State.PLANNED and halted is not None), record


@settings(max_examples=examples(400), deadline=None)
@given(script=scripts, jobs=st.integers(1, 6), concurrency=st.integers(1, 4))
def test_never_two_accepts_for_one_key(script: Script, jobs: int, concurrency: int) -> None:
    checkpoint = DyingCheckpoint([make_line(n) for n in range(1, jobs + 1)])
    checkpoint.script = script
    remote = Remote(script)
    halted = live_and_die(script, remote, checkpoint, concurrency)
    check(remote, checkpoint, halted)


@settings(max_examples=examples(300), deadline=None)
@example(
    script=Script(submits=[], looks=["cancelled"] * 5, downloads=[], deaths=[]), jobs=2, concurrency=1, cap=0, dearer=2
)
@given(
    script=scripts,
    jobs=st.integers(1, 8),
    concurrency=st.integers(1, 4),
    cap=st.integers(0, 10),
    dearer=st.sampled_from([1, 1, 2, 3]),
)
def test_the_budget_is_never_passed(script: Script, jobs: int, concurrency: int, cap: int, dearer: int) -> None:
    """Also where the wire turns out dearer than the price list, as long as the first job fits and its cost is told.

    What nobody tells nobody can keep: a cap below the true price of a single job is passed by that job, and what a lost
    one cost is not told. So on a dearer wire nothing gets lost and nobody dies with a POST on the way. A job that somebody
    else cancelled tells no cost either: after the wait the estimate is believed, and the first job behind it whose cost is
    told may pass the cap by what it costs beyond the estimate.
    """
    cap, looks = max(cap, dearer) * PRICE, tuple(script.looks)
    if dearer > 1:
        script.submits = [word for word in script.submits if not word.startswith("lost")]
        script.deaths = []
    checkpoint = DyingCheckpoint([make_line(n) for n in range(1, jobs + 1)], cap=cap)
    checkpoint.script = script
    remote = Remote(script, price=dearer * PRICE, tells=dearer > 1)
    halted = live_and_die(script, remote, checkpoint, concurrency)
    check(remote, checkpoint, halted)
    money = checkpoint.money()
    surprise = (dearer - 1) * PRICE if "cancelled" in looks else 0
    assert money.spent + money.reserved <= cap + surprise


def test_the_write_ahead_is_what_holds_it() -> None:
    """The same world with a checkpoint that forgets intentions: the property must break, or it proves nothing."""

    class Forgetful(DyingCheckpoint):
        async def save(self, record: Record, event: Event) -> Record:
            if isinstance(event, Reserved):
                return record  # acknowledged, and never written down
            self._records[record.id] = self._records[record.id] if record.state is State.PLANNED else record
            return await super().save(record, event)

    script = Script([], [], [], deaths=[2])
    checkpoint = Forgetful([make_line(1)])
    checkpoint.script = script
    remote = Remote(script)
    live_and_die(script, remote, checkpoint, 1)
    with pytest.raises(AssertionError, match="bought twice"):
        check(remote, checkpoint, None)


def test_three_jobs_waited_for_ever_behind_a_limit_that_refusals_taught() -> None:
    """Four 429 after a crash named a limit of one job at once, and nobody woke up when it was to be tried again."""
    script = Script(
        submits=[
            "lost after",
            "refused",
            "429",
            "lost before",
            "429",
            "429",
            "429",
            "lost before",
            "lost before",
            "429",
            "ok",
        ],
        looks=[],
        downloads=["broken"],
        deaths=[9],
    )
    checkpoint = DyingCheckpoint([make_line(n) for n in range(1, 7)])
    checkpoint.script = script
    remote = Remote(script)
    halted = live_and_die(script, remote, checkpoint, 1)
    check(remote, checkpoint, halted)
