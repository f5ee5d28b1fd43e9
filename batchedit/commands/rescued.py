"""Ids that a ledger could not take, from where they lie into it: what was bought is not forgotten, and not bought again.

They stand in the side file of the run's folder; where several machines work at a run, in its store of files as well.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Protocol

from ..core.errors import BatcheditError, KnownRequestError, StaleRecordError
from ..core.events import Event, Reserved
from ..core.lifecycle import advance
from ..core.model import Record, State
from ..core.typed import to_type
from ..files.objects import Objects
from ..files.rescued import mark_taken_in, unread
from ..ledger.book import Book
from ..ledger.rescue import ID_NOT_TAKEN_IN, RescuedId, claim_rescued, clear_rescued, read_object
from ..ledger.rescue import NAME as ACCEPTED_FILE
from ..run_folder import RunFolder
from ..runcomfy.ids import usable_id

if TYPE_CHECKING:
    from ..ledger.postgres.ledger import PostgresLedger


class TakesIds(Protocol):
    """What an id is taken in with: see ``book`` for each."""

    @property
    def top_price(self) -> int: ...

    @property
    def id_of_run(self) -> str: ...

    def record(self, job: int) -> Record | None: ...

    def find_job_of_request(self, request_id: str) -> int | None: ...

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record: ...

    def refresh(self) -> None: ...


Contradicts = Callable[[RescuedId, Record | None], None]
"""Keeps an id that would have to displace another purchase. With the job as it stands, None for none of that key."""


class Outcome(Enum):
    """What became of an id."""

    NEWS = auto()
    KNOWN = auto()
    CONTRADICTS = auto()
    SENDING = auto()
    """Its job is with a worker that lives: that one writes it down, or is taken over from. So is one that others change
    again and again.
    """


def _unheard(_: str) -> None:
    """Where nobody reads warnings."""


def take_in_rescued(checkpoint: Book, folder: RunFolder, warn: Callable[[str], None] = _unheard) -> int:
    """Side-file ids into the checkpoint: → WAITING. Returns how many were news.

    An id that contradicts the checkpoint would have to displace another purchase: it is told to ``warn`` and kept as an event
    of the run, where ``audit`` finds it.
    """
    outcomes = _take_in_side_file(checkpoint, folder.path, _kept_as_event(checkpoint, folder, ACCEPTED_FILE, warn))
    if Outcome.SENDING not in outcomes:
        clear_rescued(folder.path)
    return outcomes.count(Outcome.NEWS)


def take_in_objects(
    checkpoint: Book, objects: Objects, folder: RunFolder, warn: Callable[[str], None] = _unheard
) -> list[Record]:
    """The same for what lies in the run's store of files. Returns the records that are WAITING now. Raises as ``Objects``."""

    def contradicts(where: str) -> Contradicts:
        """As an event of the run."""
        return _kept_as_event(checkpoint, folder, where, warn)

    return _take_in_objects(checkpoint, objects, contradicts, warn)


def take_in_for_worker(ledger: PostgresLedger, folder: Path, warn: Callable[[str], None]) -> None:
    """The side file for a worker of a store, which says nothing about a run as a whole: the store keeps a contradiction as an
    orphan, where ``audit`` finds it. One that is of no job of the run stays in the file.
    """
    stays: list[str] = []

    def keep(found: RescuedId, record: Record | None) -> None:
        """As an orphan, or where it is."""
        if not _kept_as_orphan(ledger, found, record, warn):
            stays.append(found.event.handle.request_id)
            warn(_fits_nothing(f"{folder / ACCEPTED_FILE}", found, "in that folder"))

    ledger.read_totals()  # which tells the price
    outcomes = _take_in_side_file(ledger, folder, keep)
    if not stays and Outcome.SENDING not in outcomes:
        clear_rescued(folder)


def take_in_objects_for_worker(ledger: PostgresLedger, objects: Objects, warn: Callable[[str], None]) -> list[Record]:
    """``take_in_objects`` for a worker: see ``take_in_for_worker``."""

    def contradicts(where: str) -> Contradicts:
        """As an orphan, or where it is."""

        def keep(found: RescuedId, record: Record | None) -> None:
            if not _kept_as_orphan(ledger, found, record, warn):
                warn(_fits_nothing(where, found, "there"))
                raise _StaysError

        return keep

    ledger.read_totals()  # which tells the price
    return _take_in_objects(ledger, objects, contradicts, warn)


class _StaysError(Exception):
    """An object that is to be read again by whoever looks next."""


def _take_in_side_file(ledger: TakesIds, folder: Path, contradicts: Contradicts) -> list[Outcome]:
    """Workers may share a folder, and take the same lines in at once. A job that is being sent is none to wait for: the line
    is of that very purchase, or it contradicts.
    """
    found = (one for one in claim_rescued(folder) if _is_usable(one))
    return [_take_in_anew(ledger, one, contradicts, frozenset())[0] for one in found]


def _is_usable(found: RescuedId) -> bool:
    request_id = found.event.handle.request_id
    return usable_id(request_id) == request_id


def _take_in_objects(
    ledger: TakesIds, objects: Objects, contradicts: Callable[[str], Contradicts], warn: Callable[[str], None]
) -> list[Record]:
    """Several may take in at once, so a job may be changed since it was read: then it is read again."""
    taken: list[Record] = []
    for name, content in unread(objects):
        where, found = f"{objects.url}/{name}", read_object(content)
        if found is None or not _is_usable(found):
            warn(f"{where} is no id of a bought job as batchedit keeps it, and stays there: look who put it there")
            continue
        if found.run and found.run != ledger.id_of_run:
            # Two stores may share a place for files, and have runs of one name there, made from one sheet: then key, number
            # and all are the same. That run's workers look for it.
            warn(
                f"{where} is an id of another run, {found.run}, and stays there for it: give each store its own --files"
            )
            continue
        try:
            outcome, record = _take_in_anew(ledger, found, contradicts(where), frozenset({State.SUBMITTING}))
        except _StaysError:
            continue
        if outcome is Outcome.NEWS and record is not None:
            taken.append(record)
        if outcome is not Outcome.SENDING:
            mark_taken_in(objects, name)
    return taken


def _take_in_anew(
    ledger: TakesIds, found: RescuedId, contradicts: Contradicts, leaves: frozenset[State]
) -> tuple[Outcome, Record | None]:
    for _ in range(_TRIES):
        try:
            return _take_in(ledger, found, contradicts, leaves)
        except StaleRecordError:
            ledger.refresh()
    return Outcome.SENDING, None


def _take_in(
    ledger: TakesIds, found: RescuedId, contradicts: Contradicts, leaves: frozenset[State]
) -> tuple[Outcome, Record | None]:
    """It is bought, so the run's cap has no say in it and stays as it is.

    A job that is PLANNED is bought all the same: its intention was lost with the disk, or with a store that went back in
    time, or it was given up as a doubt while the id lay here. Left aside, it would be bought again.

    A job in one of the states ``leaves`` is left as it is. StaleRecordError where somebody else has changed it since it was
    read.
    """
    job, event = found.job, found.event
    owner = ledger.find_job_of_request(event.handle.request_id)
    if owner == job:
        return Outcome.KNOWN, None
    record = ledger.record(job)
    if record is not None and (record.job.key != found.key or (found.run and found.run != ledger.id_of_run)):
        record = None
    if owner is None and record is not None and record.state in leaves:
        return Outcome.SENDING, None
    if (
        owner is not None
        or record is None
        or record.state not in _TAKES_AN_ID
        or _is_of_another_purchase(found, record)
    ):
        contradicts(found, record)
        return Outcome.CONTRADICTS, None
    try:
        if record.state is State.PLANNED:
            intention = Reserved(event.at if found.submitted_at is None else found.submitted_at, ledger.top_price)
            record = ledger.save_now(advance(record, intention), intention, bought=True)
        return Outcome.NEWS, ledger.save_now(advance(record, event), event)
    except KnownRequestError:  # another process took it in since it was looked for
        ledger.refresh()
        if ledger.find_job_of_request(event.handle.request_id) != job:
            contradicts(found, record)
            return Outcome.CONTRADICTS, None
        return Outcome.KNOWN, None


def _is_of_another_purchase(found: RescuedId, record: Record) -> bool:
    """Is the job in doubt, or being sent, because of a later purchase than the one that the id is of? To end that doubt would
    be to forget a purchase; and whoever sends it now would find its answer's place taken.
    """
    told, pending = found.submitted_at, record.state in {State.SUBMITTING, State.IN_DOUBT}
    return pending and told is not None and told != record.submitted_at


_TAKES_AN_ID = frozenset({State.PLANNED, State.SUBMITTING, State.IN_DOUBT})
_TRIES = 3


def _fits_nothing(where: str, found: RescuedId, stays: str) -> str:
    return (
        f"{where} says that job {found.job} was bought as {found.event.handle.request_id}, which fits nothing in the "
        f"store; the id stays {stays}. Look at it on the service's site"
    )


def _kept_as_orphan(
    ledger: PostgresLedger, found: RescuedId, record: Record | None, warn: Callable[[str], None]
) -> bool:
    if record is not None:
        try:
            ledger.keep_orphan(record._replace(submitted_at=found.submitted_at or record.submitted_at), found.event)
        except BatcheditError as error:
            warn(str(error))
    return ledger.find_job_of_request(found.event.handle.request_id) == found.job


def _kept_as_event(checkpoint: Book, folder: RunFolder, where: str, warn: Callable[[str], None]) -> Contradicts:
    def keep(found: RescuedId, record: Record | None) -> None:
        """As an event of the run, once."""
        job, handle = found.job, found.event.handle
        if any(
            name == ID_NOT_TAKEN_IN and told["handle"]["request_id"] == handle.request_id
            for _, name, told in checkpoint.list_run_events()
        ):
            return
        stands = f"has {record.job.name} as {record.state}" if record else f"has no job {job} of that key"
        about = {"job": job, "accepted_at": found.event.at, "handle": handle, "stands": stands}
        checkpoint.note(ID_NOT_TAKEN_IN, time(), about)
        warn(
            f"warning: {where} says that job {job} was bought as {handle.request_id}, and the checkpoint {stands}. This id "
            "is not collected and its cost is in no sum; it is kept. Look at it on the service's site; to see it again: "
            + to_type("audit", folder.path)
        )

    return keep
