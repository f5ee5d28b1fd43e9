"""Takes request ids that a ledger could not write into it, so that what was bought is neither lost nor bought again.

They are in the rescue file of the run's folder; where several machines work on a run, in its store of files as well.
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
from ..core.shell_commands import format_command
from ..files.objects import Objects
from ..files.rescued_id_objects import list_unread, mark_taken_in
from ..ledger.book import Book
from ..ledger.rescue_file import ID_NOT_TAKEN_IN, RescuedId, claim_rescued, clear_rescued, read_object
from ..ledger.rescue_file import NAME as ACCEPTED_FILE
from ..run_folder import RunFolder
from ..runcomfy.ids import parse_request_id

if TYPE_CHECKING:
    from ..ledger.postgres.ledger import PostgresLedger


class IdLedger(Protocol):
    """The part of a ledger that takes ids in: see ``book`` for each method."""

    @property
    def top_price(self) -> int: ...

    @property
    def id_of_run(self) -> str: ...

    def record(self, job: int) -> Record | None: ...

    def find_job_of_request(self, request_id: str) -> int | None: ...

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record: ...

    def refresh(self) -> None: ...


ConflictHandler = Callable[[RescuedId, Record | None], None]
"""Keeps an id that would displace another purchase. Called with the job's record, None where no job has that key."""


class Outcome(Enum):
    """What was done with an id."""

    NEWS = auto()
    KNOWN = auto()
    CONTRADICTS = auto()
    SENDING = auto()
    """A live worker has its job: that worker writes the id, or its job is adopted. Also for a job that other processes keep
    changing.
    """


def _ignore_warning(_: str) -> None:
    """A ``warn`` that does nothing."""


def take_in_rescued(checkpoint: Book, folder: RunFolder, warn: Callable[[str], None] = _ignore_warning) -> int:
    """Take the ids of the rescue file into the checkpoint: → WAITING. Returns how many were news.

    An id that contradicts the checkpoint would displace another purchase: it is reported through ``warn`` and kept as an
    event of the run, where ``audit`` finds it.
    """
    outcomes = _take_in_side_file(checkpoint, folder.path, _make_event_keeper(checkpoint, folder, ACCEPTED_FILE, warn))
    if Outcome.SENDING not in outcomes:
        clear_rescued(folder.path)
    return outcomes.count(Outcome.NEWS)


def take_in_objects(
    checkpoint: Book, objects: Objects, folder: RunFolder, warn: Callable[[str], None] = _ignore_warning
) -> list[Record]:
    """The same for ids in the run's store of files. Returns the records that are WAITING now. Raises as ``Objects``."""

    def make_handler(location: str) -> ConflictHandler:
        """Keeps a contradicting id as an event of the run."""
        return _make_event_keeper(checkpoint, folder, location, warn)

    return _take_in_objects(checkpoint, objects, make_handler, warn)


def take_in_for_worker(ledger: PostgresLedger, folder: Path, warn: Callable[[str], None]) -> None:
    """The rescue file for a worker of a store, which writes no events of the run as a whole: the store keeps a contradicting
    id as an orphan, where ``audit`` finds it. An id of no job of the run stays in the file.
    """
    left_ids: list[str] = []

    def keep(entry: RescuedId, record: Record | None) -> None:
        """Keep it as an orphan, or leave it in the file."""
        if not _keep_as_orphan(ledger, entry, record, warn):
            left_ids.append(entry.event.handle.request_id)
            warn(_describe_unmatched_id(f"{folder / ACCEPTED_FILE}", entry, "in that folder"))

    ledger.read_totals()  # this reads the price
    outcomes = _take_in_side_file(ledger, folder, keep)
    if not left_ids and Outcome.SENDING not in outcomes:
        clear_rescued(folder)


def take_in_objects_for_worker(ledger: PostgresLedger, objects: Objects, warn: Callable[[str], None]) -> list[Record]:
    """``take_in_objects`` for a worker: see ``take_in_for_worker``."""

    def make_handler(location: str) -> ConflictHandler:
        """Keeps a contradicting id as an orphan, or leaves it where it is."""

        def keep(entry: RescuedId, record: Record | None) -> None:
            if not _keep_as_orphan(ledger, entry, record, warn):
                warn(_describe_unmatched_id(location, entry, "there"))
                raise _LeftThereError

        return keep

    ledger.read_totals()  # this reads the price
    return _take_in_objects(ledger, objects, make_handler, warn)


class _LeftThereError(Exception):
    """An object that stays in the store of files, to be read again later."""


def _take_in_side_file(ledger: IdLedger, folder: Path, on_conflict: ConflictHandler) -> list[Outcome]:
    """Workers may share a folder, and take the same lines in at once. A job that is being sent is not waited for: the line
    belongs to that very purchase, or it contradicts.
    """
    rescued_ids = (entry for entry in claim_rescued(folder) if _is_usable(entry))
    return [_take_in_with_retries(ledger, entry, on_conflict, frozenset())[0] for entry in rescued_ids]


def _is_usable(entry: RescuedId) -> bool:
    request_id = entry.event.handle.request_id
    return parse_request_id(request_id) == request_id


def _take_in_objects(
    ledger: IdLedger, objects: Objects, make_handler: Callable[[str], ConflictHandler], warn: Callable[[str], None]
) -> list[Record]:
    """Several workers may take ids in at once: a job that was changed since it was read is read again."""
    taken_in: list[Record] = []
    for name, content in list_unread(objects):
        location, entry = f"{objects.url}/{name}", read_object(content)
        if entry is None or not _is_usable(entry):
            warn(f"{location} is no id of a bought job as batchedit keeps it, and stays there: look who put it there")
            continue
        if entry.run and entry.run != ledger.id_of_run:
            # Two stores may share a place for files and have runs of one name there, made from one sheet: then job id and key
            # are equal. The workers of that run read it.
            warn(
                f"{location} is an id of another run, {entry.run}, and stays there for it: give each store its own --files"
            )
            continue
        try:
            outcome, record = _take_in_with_retries(
                ledger, entry, make_handler(location), frozenset({State.SUBMITTING})
            )
        except _LeftThereError:
            continue
        if outcome is Outcome.NEWS and record is not None:
            taken_in.append(record)
        if outcome is not Outcome.SENDING:
            mark_taken_in(objects, name)
    return taken_in


def _take_in_with_retries(
    ledger: IdLedger, entry: RescuedId, on_conflict: ConflictHandler, left_states: frozenset[State]
) -> tuple[Outcome, Record | None]:
    for _ in range(_MAX_TRIES):
        try:
            return _take_in(ledger, entry, on_conflict, left_states)
        except StaleRecordError:
            ledger.refresh()
    return Outcome.SENDING, None


def _take_in(
    ledger: IdLedger, entry: RescuedId, on_conflict: ConflictHandler, left_states: frozenset[State]
) -> tuple[Outcome, Record | None]:
    """The id is bought, so the run's cap is not checked and stays as it is.

    A PLANNED job was bought as well: its intention was lost with the disk, or with a store that was restored to an earlier
    time, or it was released as a doubt while the id was here. If the id were ignored, the job would be bought again.

    A job in one of ``left_states`` is left as it is. StaleRecordError where another process has changed it since it was read.
    """
    job, event = entry.job, entry.event
    owner = ledger.find_job_of_request(event.handle.request_id)
    if owner == job:
        return Outcome.KNOWN, None
    record = ledger.record(job)
    if record is not None and (record.job.key != entry.key or (entry.run and entry.run != ledger.id_of_run)):
        record = None
    if owner is None and record is not None and record.state in left_states:
        return Outcome.SENDING, None
    if (
        owner is not None
        or record is None
        or record.state not in _STATES_THAT_TAKE_IDS
        or _is_of_another_purchase(entry, record)
    ):
        on_conflict(entry, record)
        return Outcome.CONTRADICTS, None
    try:
        if record.state is State.PLANNED:
            intention = Reserved(event.at if entry.submitted_at is None else entry.submitted_at, ledger.top_price)
            record = ledger.save_now(advance(record, intention), intention, bought=True)
        return Outcome.NEWS, ledger.save_now(advance(record, event), event)
    except KnownRequestError:  # another process took it in after the check above
        ledger.refresh()
        if ledger.find_job_of_request(event.handle.request_id) != job:
            on_conflict(entry, record)
            return Outcome.CONTRADICTS, None
        return Outcome.KNOWN, None


def _is_of_another_purchase(entry: RescuedId, record: Record) -> bool:
    """Is the job in doubt, or being sent, because of a later purchase than the one that the id belongs to? Ending that doubt
    would lose a purchase; and the process that sends it now could not write its answer.
    """
    submitted_at, is_unsettled = entry.submitted_at, record.state in {State.SUBMITTING, State.IN_DOUBT}
    return is_unsettled and submitted_at is not None and submitted_at != record.submitted_at


_STATES_THAT_TAKE_IDS = frozenset({State.PLANNED, State.SUBMITTING, State.IN_DOUBT})
_MAX_TRIES = 3


def _describe_unmatched_id(location: str, entry: RescuedId, stays_where: str) -> str:
    return (
        f"{location} says that job {entry.job} was bought as {entry.event.handle.request_id}, which fits nothing in the "
        f"store; the id stays {stays_where}. Look at it on the service's site"
    )


def _keep_as_orphan(
    ledger: PostgresLedger, entry: RescuedId, record: Record | None, warn: Callable[[str], None]
) -> bool:
    if record is not None:
        try:
            ledger.keep_orphan(record._replace(submitted_at=entry.submitted_at or record.submitted_at), entry.event)
        except BatcheditError as error:
            warn(str(error))
    return ledger.find_job_of_request(entry.event.handle.request_id) == entry.job


def _make_event_keeper(
    checkpoint: Book, folder: RunFolder, location: str, warn: Callable[[str], None]
) -> ConflictHandler:
    def keep(entry: RescuedId, record: Record | None) -> None:
        """Keep it as an event of the run, once."""
        job, handle = entry.job, entry.event.handle
        if any(
            name == ID_NOT_TAKEN_IN and event["handle"]["request_id"] == handle.request_id
            for _, name, event in checkpoint.list_run_events()
        ):
            return
        contradiction = f"has {record.job.name} as {record.state}" if record else f"has no job {job} of that key"
        details = {"job": job, "accepted_at": entry.event.at, "handle": handle, "stands": contradiction}
        checkpoint.note(ID_NOT_TAKEN_IN, time(), details)
        warn(
            f"warning: {location} says that job {job} was bought as {handle.request_id}, and the checkpoint {contradiction}. "
            "This id is not collected and its cost is in no sum; it is kept. Look at it on the service's site; to see it "
            "again: " + format_command("audit", folder.path)
        )

    return keep
