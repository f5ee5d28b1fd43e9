"""What the pool needs of the world: four seams, each with one real edge and one in-memory stand-in.

``Api`` is answered by ``api.client``, ``Checkpoint`` by ``checkpoint.sqlite`` and ``checkpoint.memory``, ``Files`` by
``pool.download``, ``Observer`` by ``progress``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from .core.lifecycle import (
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
)
from .core.model import Counts, Money, Output, Problem, Record, SavedFile, State


@dataclass(frozen=True, slots=True)
class StillRunning:
    """A look found the job unfinished. ``running`` once it left the queue; ``word`` is the service's own."""

    word: str
    running: bool
    queue_position: int | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A GET (or a cancel) told nothing, even after the client's own retries. ``absent`` for a 404."""

    problem: Problem
    absent: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A download that can't be kept: expired link, HTML page, truncated, not a picture."""

    problem: Problem


SubmitEvent = Accepted | Declined | Refused | Lost
LookReply = StillRunning | NoAnswer | Completed | Errored | Gone | CancelConfirmed
CancelReply = CancelConfirmed | CancelDenied | NoAnswer


class Api(Protocol):
    """The remote service. Nothing here raises for what a reply or a network can do, except TokenError on a GET."""

    async def submit(self, record: Record) -> SubmitEvent:
        """Send the one POST that buys. Called once for each Reserved; never retried inside.

        ``Declined.problem.kind`` says why; ``Declined.due_at`` is ``at`` plus the service's Retry-After, 0 without one.
        """
        ...

    async def look(self, record: Record) -> LookReply:
        """Ask how a bought job stands, with the client's own retries within attempt and time caps."""
        ...

    async def cancel(self, record: Record) -> CancelReply:
        """Ask to cancel a queued job."""
        ...

    async def probe(self) -> bool:
        """Does the service answer at all? A free call."""
        ...

    def post_permit(self) -> AbstractAsyncContextManager[None]:
        """A connection for one POST. Taken before the intention is written, so that nothing waits between the two."""
        ...


class Checkpoint(Protocol):
    """The durable record, as the pool sees it."""

    believes_estimate: bool
    """The service does not tell costs, so the estimate must do. For this process alone."""

    @property
    def top_price(self) -> int:
        """Micro-dollars: the dearest job that the service has named a cost for; 0 before it has."""
        ...

    async def save(self, record: Record, event: Event) -> Record:
        """Write ``record`` (the result of ``event``) and the event; return when both are durable.

        Compare-and-set on ``record.serial``: StaleRecordError if somebody else moved it. For ``Reserved`` the budget is
        checked in the same transaction: BudgetReachedError, and nothing is written. CheckpointError if the disk fails.
        """
        ...

    def rescue(self, record: Record, event: Accepted) -> None:
        """The last resort for the id of a bought job that ``save`` could not take. Never raises."""
        ...

    def counts(self) -> Counts:
        """Wanted jobs by state."""
        ...

    def money(self) -> Money:
        """The purse of the run."""
        ...

    async def planned(self, after: int, limit: int) -> Sequence[Record]:
        """Wanted PLANNED records with ``id > after``, in order of id, at most ``limit``."""
        ...

    async def unsettled(self, after: int, limit: int, states: frozenset[State]) -> Sequence[Record]:
        """Records in ``states`` (wanted or not: what was bought is collected), ordered by id, at most ``limit``."""
        ...

    async def unpriced(self, after: int, limit: int) -> Sequence[Record]:
        """Bought records that are over and whose cost nobody has named, ordered by id, at most ``limit``."""
        ...


class Files(Protocol):
    """Where finished pictures go."""

    async def save(self, record: Record, output: Output, index: int) -> SavedFile | Broken:
        """Download one output to its final name, verified; or say why not. OutputError if the disk fails."""
        ...


class Observer(Protocol):
    """Somebody who watches: a progress bar, a log."""

    def saw(self, record: Record, event: Event) -> None:
        """``record`` is as it is after ``event``."""
        ...

    def note(self, name: str, message: str, **details: object) -> None:
        """Something about the run as a whole: a pause, a switch of shape, a stop."""
        ...
