"""What all jobs of a run share, and the one way in which a job changes: ``apply_event``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic

import anyio

from ..core.actions import Patience
from ..core.approved_purchases import Approval
from ..core.errors import CheckpointError, KnownRequestError, StaleRecordError
from ..core.events import Accepted, Event, Priced, Reserved, Resumed
from ..core.lifecycle import advance
from ..core.model import Kind, Problem, Record
from ..core.timing import Durations
from ..ports import Api, Files, Ledger, Observer
from .governor import Clock, Governor

DOWNLOADS = 8
"""Downloads at once: a limit of their own, so that a slow file host holds no slot among the jobs in flight."""
OTHERS_SECONDS = 0.5
"""How long to wait before the budget is checked again where other processes may release money."""
CHUNK = 500
"""Records that are read from the ledger at once."""


@dataclass
class Pool:
    """What all jobs of a run share.

    ``approval`` is what may be bought, how often, and at which price. ``price`` is the estimate for one job in
    micro-dollars, 0 if unknown.
    ``prepare`` makes a job's request ready to be sent: it is awaited before the intention is written.
    ``take_in`` looks for ids that other processes could not record, and returns the records that are WAITING for it;
    ``took_over``: there may be such ids, as another process is gone.
    ``costs_not_told`` counts finished jobs whose cost was asked for and not told.
    """

    api: Api
    checkpoint: Ledger
    files: Files
    observer: Observer
    governor: Governor
    clock: Clock
    rng: Random
    approval: Approval = field(default_factory=lambda: Approval(()))
    price: int = 0
    patience: Patience = field(default_factory=Patience)
    prepare: Callable[[Record], Awaitable[None]] | None = None
    take_in: Callable[[], Awaitable[Sequence[Record]]] | None = None
    took_over: bool = False
    costs_not_told: int = 0
    pricing: anyio.Lock = field(default_factory=anyio.Lock)
    first_cost: anyio.Lock = field(default_factory=anyio.Lock)
    commits: Durations = field(default_factory=Durations)
    beat_at: float | None = None
    downloads: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(DOWNLOADS, fast_acquire=True))


async def take_in_left_ids(pool: Pool) -> Sequence[Record]:
    """Jobs in doubt whose id was found: the id is recorded, and they belong to this process now."""
    pool.took_over = False
    return () if pool.take_in is None else await pool.take_in()


async def apply_event(pool: Pool, record: Record, event: Event) -> Record:
    """The record after ``event``, on disk if the event is a durable one."""
    after = advance(record, event)
    if event.durable:
        began = monotonic()
        try:
            after = await (
                pool.checkpoint.reserve(after, event)
                if isinstance(event, Reserved)
                else pool.checkpoint.save(after, event)
            )
        except BaseException as error:  # a KeyboardInterrupt, too, may come while an id is written
            if isinstance(event, Accepted) and not isinstance(error, KnownRequestError):
                pool.checkpoint.rescue(after, event)
            if isinstance(error, CheckpointError) and not (
                isinstance(event, Resumed | Priced) and isinstance(error, list_conflict_errors(pool))
            ):
                pool.governor.switch.halt(error)  # no other job buys while this error propagates
            raise
        pool.commits.add(monotonic() - began)
    pool.observer.saw(after, event)
    return after


def list_conflict_errors(pool: Pool) -> tuple[type[Exception], ...]:
    """Errors of a change that another process made first. Only for jobs that no process owns: any of them may do it."""
    return (StaleRecordError,) if pool.checkpoint.shared else ()


def describe_unforeseen(error: Exception) -> Problem:
    """What a row says where an error of this program stopped its job."""
    message = f"an unexpected error of batchedit: {ascii(error)[:200]}; please report it"
    return Problem(Kind.INTERNAL, message)
