"""What all jobs of a run share, and the one way in which a job changes: ``apply_event``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic

import anyio

from ..core.actions import Patience
from ..core.approval import Approval
from ..core.errors import CheckpointError, KnownRequestError, StaleRecordError
from ..core.events import Accepted, Event, Priced, Reserved, Resumed
from ..core.lifecycle import advance
from ..core.model import Kind, Problem, Record
from ..core.timing import Durations
from ..ports import Api, Files, Ledger, Observer
from .governor import Clock, Governor

DOWNLOADS = 8
"""Files under way at once: a limit of their own, so that a slow file host holds no place among the jobs in flight."""
OTHERS_SECONDS = 0.5
"""So long money that is not enough is waited for where others may set it free."""
CHUNK = 500
"""Records that are read from the ledger at once."""


@dataclass
class Pool:
    """What all jobs of a run share.

    ``approval`` is what may be bought, how often, and at which price. ``price`` is the estimate for one job in
    micro-dollars, 0 if unknown.
    ``prepare`` makes a job's request ready to be sent: it is waited for before the intention is written.
    ``take_in`` looks for ids that other processes could not write down, and returns the records that are WAITING for it;
    ``took_over``: there may be some, for one of them is dead.
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
    asked_in_vain: int = 0
    pricing: anyio.Lock = field(default_factory=anyio.Lock)
    first_cost: anyio.Lock = field(default_factory=anyio.Lock)
    commits: Durations = field(default_factory=Durations)
    beat_at: float | None = None
    downloads: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(DOWNLOADS, fast_acquire=True))


async def taken_in(pool: Pool) -> Sequence[Record]:
    """Jobs in doubt whose id was found: it is written down, and they are this process's."""
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
        except BaseException as error:  # a KeyboardInterrupt, too, may come while an id is written down
            if isinstance(event, Accepted) and not isinstance(error, KnownRequestError):
                pool.checkpoint.rescue(after, event)
            if isinstance(error, CheckpointError) and not (
                isinstance(event, Resumed | Priced) and isinstance(error, others_changes(pool))
            ):
                pool.governor.switch.halt(error)  # nobody buys on while this one's error is on its way up
            raise
        pool.commits.add(monotonic() - began)
    pool.observer.saw(after, event)
    return after


def others_changes(pool: Pool) -> tuple[type[Exception], ...]:
    """What a change raises that another process has made meanwhile: nobody has such a job, so whoever comes first does it."""
    return (StaleRecordError,) if pool.checkpoint.shared else ()


def unforeseen(error: Exception) -> Problem:
    """What a row says where an error of this program stopped its job."""
    told = f"an unexpected error of batchedit: {ascii(error)[:200]}; please report it"
    return Problem(Kind.INTERNAL, told)
