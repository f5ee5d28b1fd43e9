"""What the pool needs from outside: four interfaces, each with one real and one in-memory implementation.

``Api`` is implemented by ``runcomfy.client``, ``Ledger`` by ``ledger.sqlite`` and ``ledger.memory``, ``Files`` by
``files.download``, ``Observer`` by ``commands.observers``. Everything but the pool has another port of the ledger:
``ledger.book``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .core.errors import BatcheditError
from .core.events import (
    Accepted,
    CancelConfirmed,
    CancelDenied,
    Completed,
    Declined,
    Errored,
    Event,
    Gone,
    Lost,
    Refused,
    Reserved,
)
from .core.model import Counts, JobKey, Money, Output, Problem, Record, SavedFile, State
from .core.pace import AccountPace, PaceReport
from .core.slowdown import Slowdown
from .core.timing import Durations


@dataclass(frozen=True, slots=True)
class StillRunning:
    """A poll found the job unfinished. ``running`` once it left the queue; ``word`` is the service's own; ``problem``
    describes the reply that came with an unlisted word.
    """

    word: str
    running: bool
    queue_position: int | None = None
    known: bool = True
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A GET (or a cancel) got no usable answer, even after the client's own retries. ``absent`` for a 404."""

    problem: Problem
    absent: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A download that can't be kept: expired link, HTML page, truncated, not a picture."""

    problem: Problem


class Permit(NamedTuple):
    """The right to have one POST that buys on the wire: ``Api.post_permit`` gives it, ``Api.submit`` asks for it."""


SubmitEvent = Accepted | Declined | Refused | Lost
PollReply = StillRunning | NoAnswer | Completed | Errored | Gone | CancelConfirmed
CancelReply = CancelConfirmed | CancelDenied | NoAnswer


class Api(Protocol):
    """The remote service. Nothing here raises for what a reply or a network can do, except TokenError on a GET."""

    async def submit(self, record: Record, permit: Permit) -> SubmitEvent:
        """Send the one POST that buys. Called once for each Reserved; never retried inside.

        ``Declined.problem.kind`` says why; ``Declined.due_at`` is ``at`` plus the service's Retry-After, 0 without one.
        """
        ...

    async def poll(self, record: Record) -> PollReply:
        """Ask for the state of a bought job, with the client's own retries within attempt and time caps."""
        ...

    async def cancel(self, record: Record) -> CancelReply:
        """Ask to cancel a queued job."""
        ...

    async def probe(self) -> bool:
        """Does the service answer at all? A free call."""
        ...

    def post_permit(self) -> AbstractAsyncContextManager[Permit]:
        """A connection for one POST. Taken before the intention is written, so that nothing waits between the two."""
        ...


class Totals(NamedTuple):
    """Sums of a run: wanted jobs by state, and money over all jobs, wanted or not."""

    counts: Counts
    money: Money


class Ledger(Protocol):
    """The durable record, as the pool sees it. All that may take a round trip is awaited."""

    believes_estimate: bool
    """The service does not tell costs, so the estimate counts as the price. For this process alone."""
    earlier_cost: int
    """Micro-dollars: the dearest job of this model that the service named a cost for in an earlier run; 0 for none. For
    this process alone."""

    @property
    def top_price(self) -> int:
        """Micro-dollars: the dearest job that the service has named a cost for, as far as this process knows; 0 before."""
        ...

    async def reserve(self, record: Record, event: Reserved) -> Record:
        """Write the intention to buy, and return when it is durable: the one change that permits spending.

        The cap is checked in the same transaction: BudgetReachedError, and nothing is written. Else as ``save``.
        """
        ...

    async def save(self, record: Record, event: Event) -> Record:
        """Write ``record`` (the result of ``event``, which is no ``Reserved``) and the event; return when both are durable.

        Compare-and-set on ``record.serial``: StaleRecordError if another process changed it. An ``Accepted`` whose request_id
        was accepted before, for any job, is a KnownRequestError, and nothing is written. CheckpointError if the disk fails.
        """
        ...

    @property
    def shared(self) -> bool:
        """May other processes buy in this run at the same time? Then the sums are over all processes, ``planned`` gives each
        job to one of them, and ``beat`` has to be called.
        """
        ...

    @property
    def beat_seconds(self) -> float:
        """Seconds between two beats."""
        ...

    async def beat(self) -> int:
        """Renew this process's lease, and take over the jobs of processes whose lease has run out. Called from the event loop
        every ``beat_seconds``, so that a process whose loop hangs loses its lease. Returns from how many processes it took
        over. CheckpointError if this process's own lease had run out.
        """
        ...

    async def share_pace(self, report: PaceReport) -> AccountPace | None:
        """Publish how this worker sends to the account's other workers, and return what holds for all. None where the ledger
        does not answer, or there are no others: a run does not end for want of a shared pace.
        """
        ...

    def may_send(self) -> bool:
        """May a POST that buys leave now? Asked just before its first byte; False once others may have taken over its job."""
        ...

    async def is_at_rest(self) -> bool:
        """Has no worker a job under way, and is nothing left that any of them may buy?"""
        ...

    async def adopt_jobs(self, limit: int) -> Sequence[Record]:
        """Bought jobs of processes that are gone, at most ``limit``: they belong to this process now."""
        ...

    def rescue(self, record: Record, event: Accepted) -> None:
        """The last resort for the id of a bought job that ``save`` could not take. Never raises."""
        ...

    async def totals(self) -> Totals:
        """The sums of the run at one moment: wanted jobs by state, and money over all jobs."""
        ...

    async def list_planned(self, after: int, limit: int) -> Sequence[Record]:
        """Wanted PLANNED records with ``id > after``, in order of id, at most ``limit``."""
        ...

    async def list_unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """Records in ``states`` (wanted or not: what was bought is collected), ordered by id, at most ``limit``."""
        ...

    async def list_unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """Bought records that are over and whose cost the service has not told, ordered by id, at most ``limit``."""
        ...


class Files(Protocol):
    """Where finished pictures go."""

    async def save(self, record: Record, output: Output, index: int) -> SavedFile | Broken:
        """Download one output to its final name and verify it; ``Broken`` says why not. OutputError if the disk fails."""
        ...


class Observer(Protocol):
    """Receives the events of a run: a progress bar, a log."""

    def saw(self, record: Record, event: Event) -> None:
        """``record`` is as it is after ``event``."""
        ...

    def note(self, name: str, message: str, **details: object) -> None:
        """Something about the run as a whole: a pause, a switch of shape, a stop."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the run. ``eta`` is seconds until it is over (p50, p90), None before anything is known. ``paused`` says
    why no POST goes out, ``slowed`` the limit that the service sets. ``commits`` is how long this process waited for each
    durable change; ``beat_at`` (``time.monotonic``) when it last renewed its lease, None where there is none.
    """

    counts: Counts
    money: Money
    eta: tuple[float, float] | None = None
    stalled: int = 0
    paused: str = ""
    slowed: Slowdown | None = None
    commits: Durations | None = None
    beat_at: float | None = None


StateOf = Callable[[JobKey], State | None]
"""A job's state by its key, None if no job has it."""
HasElsewhere = Callable[[JobKey], bool]
"""Has another run a job of this key, so that it need not be bought here? Asked once for each job that is to be bought."""


class Stop:
    """The switch by which a run is ended from outside: by a signal, or by a window that is closed."""

    def __init__(self) -> None:
        self.reason: BatcheditError | None = None
        self._listener: Callable[[BatcheditError], None] | None = None

    def listen(self, listener: Callable[[BatcheditError], None] | None) -> None:
        """Call ``listener`` with the reason, at once if the switch was thrown before."""
        self._listener = listener
        if listener is not None and self.reason is not None:
            listener(self.reason)

    def throw(self, reason: BatcheditError) -> bool:
        """End the run; the first reason stands. False if there is no listener: then there is nothing to end in order."""
        if self.reason is None:
            self.reason = reason
            if self._listener is not None:
                self._listener(reason)
        return self._listener is not None
