"""Ids that a ledger could not take, from the side file into it: what was bought is not forgotten, and not bought again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Protocol

from ..core.errors import BatcheditError, KnownRequestError
from ..core.events import Accepted, Event, Reserved
from ..core.lifecycle import advance
from ..core.model import Record, State
from ..core.typed import to_type
from ..ledger.book import Book
from ..ledger.rescue import ID_NOT_TAKEN_IN, clear_rescued, rescued
from ..ledger.rescue import NAME as ACCEPTED_FILE
from ..run_folder import RunFolder

if TYPE_CHECKING:
    from ..ledger.postgres.ledger import PostgresLedger


class TakesIds(Protocol):
    """What an id is taken in with: see ``book`` for each."""

    @property
    def top_price(self) -> int: ...

    def record(self, job: int) -> Record | None: ...

    def job_of_request(self, request_id: str) -> int | None: ...

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record: ...


def _unheard(_: str) -> None:
    """Where nobody reads warnings."""


def take_in_rescued(checkpoint: Book, folder: RunFolder, warn: Callable[[str], None] = _unheard) -> int:
    """Side-file ids into the checkpoint: → WAITING. Returns how many were news.

    An id that contradicts the checkpoint would have to displace another purchase: it is told to ``warn`` and kept as an event
    of the run, where ``audit`` finds it.
    """

    def keep(job: int, record: Record | None, event: Accepted) -> None:
        """As an event of the run."""
        _keep_contradiction(checkpoint, folder, job, record, event, warn)

    taken = _take_in(checkpoint, folder.path, keep)
    clear_rescued(folder.path)
    return taken


def take_in_for_worker(ledger: PostgresLedger, folder: Path, warn: Callable[[str], None]) -> None:
    """The same for a worker of a store, which says nothing about a run as a whole: the store keeps a contradiction as an
    orphan, where ``audit`` finds it. One that is of no job of the run stays in the file.
    """
    stays: list[str] = []

    def keep(job: int, record: Record | None, event: Accepted) -> None:
        """As an orphan, or where it is."""
        request_id = event.handle.request_id
        if record is not None:
            try:
                ledger.keep_orphan(record, event)
            except BatcheditError as error:
                warn(str(error))
        if ledger.job_of_request(request_id) != job:
            stays.append(request_id)
            warn(
                f"{folder / ACCEPTED_FILE} says that job {job} was bought as {request_id}, which fits nothing in the "
                "store; the id stays in that folder. Look at it on the service's site"
            )

    ledger.totals_now()  # which tells the price
    _take_in(ledger, folder, keep)
    if not stays:
        clear_rescued(folder)


def _take_in(ledger: TakesIds, folder: Path, contradicts: Callable[[int, Record | None, Accepted], None]) -> int:
    """They are bought, so the run's cap has no say in it and stays as it is.

    A job that is PLANNED is bought all the same: its intention was lost with the disk, or with a store that went back in
    time, or it was given up as a doubt while the id lay here. Left aside, it would be bought again.
    """
    taken = 0
    for job, key, event in rescued(folder):
        owner = ledger.job_of_request(event.handle.request_id)
        if owner == job:
            continue
        record = ledger.record(job)
        if record is not None and record.job.key != key:
            record = None
        if owner is not None or record is None or record.state not in _TAKES_AN_ID:
            contradicts(job, record, event)
            continue
        try:
            if record.state is State.PLANNED:
                intention = Reserved(event.at, ledger.top_price)
                record = ledger.save_now(advance(record, intention), intention, bought=True)
            ledger.save_now(advance(record, event), event)
        except KnownRequestError:  # on a disk that knows no locks another process took it in since it was looked for
            if ledger.job_of_request(event.handle.request_id) != job:
                contradicts(job, record, event)
            continue
        taken += 1
    return taken


_TAKES_AN_ID = frozenset({State.PLANNED, State.SUBMITTING, State.IN_DOUBT})


def _keep_contradiction(
    checkpoint: Book,
    folder: RunFolder,
    job: int,
    record: Record | None,
    event: Accepted,
    warn: Callable[[str], None],
) -> None:
    request_id = event.handle.request_id
    if any(
        name == ID_NOT_TAKEN_IN and told["handle"]["request_id"] == request_id
        for _, name, told in checkpoint.run_events()
    ):
        return
    stands = f"has {record.job.name} as {record.state}" if record else f"has no job {job} of that key"
    told = {"job": job, "accepted_at": event.at, "handle": event.handle, "stands": stands}
    checkpoint.note(ID_NOT_TAKEN_IN, time(), told)
    warn(
        f"warning: {ACCEPTED_FILE} says that job {job} was bought as {request_id}, and the checkpoint {stands}. This id is "
        "not collected and its cost is in no sum; it is kept. Look at it on the service's site; to see it again: "
        + to_type("audit", folder.path)
    )
