"""The sentence: manifest → jobs → checkpoint → pool (submit, poll, download) → results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
import orjson

from ..commands.observers import Snapshot
from ..core.errors import BatcheditError
from ..core.model import InvalidLine, JobKey, Line, Record, State
from ..ledger.intake import Intake
from ..pool.collecting import Pool, ask_prices, gravest, resume, work

REFRESH_SECONDS = 0.5
PRICES_SECONDS = 20.0
"""How often a run asks for costs that came without the result."""
StateOf = Callable[[JobKey], State | None]
"""A job's state by its key, None if no job has it."""

EXAMPLES = 3
EXAMPLES_WITHIN = 1000
"""Among so many pictures to buy the examples are looked for."""
TOLD_PROBLEMS = 200
"""So many invalid rows are kept to be told one by one; the rest is counted."""


class Stop:
    """The switch by which somebody outside ends a run: a signal, a window that is closed."""

    def __init__(self) -> None:
        self.reason: BatcheditError | None = None
        self._listener: Callable[[BatcheditError], None] | None = None

    def listen(self, listener: Callable[[BatcheditError], None] | None) -> None:
        """Call ``listener`` with the reason, at once if the switch was thrown before."""
        self._listener = listener
        if listener is not None and self.reason is not None:
            listener(self.reason)

    def throw(self, reason: BatcheditError) -> bool:
        """End the run; the first reason stands. False if nobody listened: then there is nothing to end in order."""
        if self.reason is None:
            self.reason = reason
            if self._listener is not None:
                self._listener(reason)
        return self._listener is not None


@dataclass
class Survey:
    """What a manifest asks for, counted while its lines go by. Memory does not grow with the manifest.

    ``wanted`` counts distinct jobs within ``limit``; of these ``to_buy`` are not bought yet: ``left`` were planned by an
    earlier run, ``edited`` are in the place of an older job, the rest is new. ``others`` counts what was bought before
    and is not done, by state. ``state_of`` is how the jobs stood before this manifest.
    """

    limit: int | None = None
    state_of: StateOf = lambda key: None  # noqa: ARG005 - nothing is known
    rows: int = 0
    lines: int = 0
    twins: int = 0
    wanted: int = 0
    to_buy: int = 0
    left: int = 0
    edited: int = 0
    beyond: int = 0
    invalid_rows: int = 0
    others: Counter[State] = field(default_factory=Counter)
    invalid: list[InvalidLine] = field(default_factory=list)
    examples: list[Line] = field(default_factory=list)
    edits: list[Line] = field(default_factory=list)
    _row: int = 0

    def watch(self, lines: Iterable[Line | InvalidLine]) -> Iterator[Line | InvalidLine]:
        """Pass ``lines`` on, counting them."""
        for line in lines:
            if line.row != self._row:
                self._row = line.row
                self.rows += 1
            if isinstance(line, InvalidLine):
                self._count_invalid(line)
            else:
                self._count(line)
            yield line

    def _count(self, line: Line) -> None:
        self.lines += 1
        if line.twin:
            self.twins += 1
            return
        if self.limit is not None and self.wanted >= self.limit:
            self.beyond += 1
            return
        self.wanted += 1
        state = self.state_of(line.job.key)
        if state is not None and state is not State.PLANNED:
            if state is not State.DONE:
                self.others[state] += 1
            return
        self.to_buy += 1
        if len(self.examples) < EXAMPLES and self.to_buy <= EXAMPLES_WITHIN:
            self._keep_example(line)
        if state is State.PLANNED:
            self.left += 1
        elif line.job.version > 1:
            self.edited += 1
            if len(self.edits) < TOLD_PROBLEMS:
                self.edits.append(line)

    def _keep_example(self, line: Line) -> None:
        """Unlike ones: two sizes of one row show nothing new."""
        prompt = orjson.loads(line.job.inputs).get("prompt")
        if all(orjson.loads(other.job.inputs).get("prompt") != prompt for other in self.examples):
            self.examples.append(line)

    def _count_invalid(self, line: InvalidLine) -> None:
        self.invalid_rows += 1
        if len(self.invalid) < TOLD_PROBLEMS:
            self.invalid.append(line)

    @property
    def reused(self) -> int:
        """Wanted jobs that were bought before."""
        return self.wanted - self.to_buy


def plan(lines: Iterable[Line | InvalidLine], survey: Survey) -> Survey:
    """Count everything, keep nothing, send nothing."""
    for _ in survey.watch(lines):
        pass
    return survey


def take_in(intake: Intake, lines: Iterable[Line | InvalidLine], survey: Survey) -> None:
    """Manifest → jobs → checkpoint. Nothing of it counts before ``commit``."""
    intake.add(survey.watch(lines))


async def collect_and_buy(
    pool: Pool,
    *,
    buy: bool,
    stop: Stop,
    refresh: Callable[[Snapshot], None] | None = None,
    only: Sequence[Record] | None = None,
) -> None:
    """The pool's part. Returns when every job rests, buying has stopped, or ``stop`` was thrown.

    With ``only``, of the planned jobs just these are bought. ``refresh`` is None where nobody watches.

    ``stop`` ends polling and downloading at once; a POST on the wire is waited for and its answer written down.
    """
    with anyio.CancelScope() as scope:

        def end(reason: BatcheditError) -> None:
            pool.governor.halt(reason)
            scope.cancel()

        stop.listen(end)
        try:
            async with anyio.create_task_group() as around:
                if refresh is not None:
                    around.start_soon(_show, pool, refresh)
                around.start_soon(_ask_prices_now_and_then, pool)
                await resume(pool)
                await work(pool, buy=buy, only=only)
                await ask_prices(pool)
                around.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise gravest(group) from group
        finally:
            stop.listen(None)
    if refresh is not None:
        refresh(snapshot(pool))


async def _ask_prices_now_and_then(pool: Pool) -> None:
    """While the run goes on, so that the budget knows what the wire really costs."""
    while True:
        await anyio.sleep(PRICES_SECONDS)
        await ask_prices(pool)


async def _show(pool: Pool, refresh: Callable[[Snapshot], None]) -> None:
    while True:
        began = anyio.current_time()
        refresh(snapshot(pool))
        # With thousands in flight a snapshot takes its time: never more than a fiftieth of all.
        await anyio.sleep(max(REFRESH_SECONDS, 50 * (anyio.current_time() - began)))


def snapshot(pool: Pool) -> Snapshot:
    """How the run stands now."""
    counts, money = pool.checkpoint.counts(), pool.checkpoint.money()
    governor = pool.governor
    return Snapshot(counts, money, governor.eta(counts.of(State.PLANNED)), governor.stalled(), governor.paused())
