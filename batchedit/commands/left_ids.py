"""Ids that the store of a run could not take: where a process of several puts them, and when it looks for those of others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import CancelScope, to_thread

from ..core.errors import BatcheditError, OutputError
from ..core.model import Record
from ..core.words import pluralize
from ..files.objects import Objects
from ..files.rescued import IdWriter, has_unread
from ..ledger.rescue import NAME as ACCEPTED_FILE
from ..ports import Ledger, Observer
from ..results.files import FILES_URL
from .file_store import objects_at
from .rescued import take_in_objects_for_worker

if TYPE_CHECKING:
    from ..ledger.postgres.ledger import PostgresLedger
    from ..ledger.postgres.store import OpenRun

CLOSE_SECONDS = 10.0
"""So long a process that ends waits for the store of files to take its ids. They are in its folder in any case."""

TakeIn = Callable[[], Awaitable[Sequence[Record]]]


@asynccontextmanager
async def rescuing(
    objects: Objects | None, checkpoint: Ledger, folder: Path, observer: Observer
) -> AsyncIterator[TakeIn | None]:
    """For as long as the block lasts the ids that the run's store can't take go to ``objects`` too. Gives what takes in those
    that lie there: see ``Pool.take_in``. None where nobody else works on the run, or its pictures are in its folder.
    """
    ledger = in_store(checkpoint)
    if objects is None or ledger is None:
        yield None
        return
    writer = IdWriter(objects)
    ledger.set_rescue_place(writer)
    try:
        yield _taking_in(ledger, objects, observer)
    finally:
        ledger.set_rescue_place(None)
        with CancelScope(shield=True):
            left = await to_thread.run_sync(writer.close, CLOSE_SECONDS)
        if left:
            told = f"{pluralize(left, 'id of a bought job', 'ids of bought jobs')} could not be put into {objects.url}"
            observer.note("ids_kept_here", f"{told}: keep {folder / ACCEPTED_FILE} until a command here has read it")


def _taking_in(ledger: PostgresLedger, objects: Objects, observer: Observer) -> TakeIn:
    async def take_in() -> Sequence[Record]:
        """See ``Pool.take_in``. Those that are found and contradict the store are told."""
        told: list[str] = []
        try:
            return await to_thread.run_sync(take_in_objects_for_worker, ledger, objects, told.append)
        except OutputError as error:  # what is in doubt stays so until somebody can look
            observer.note("ids_not_looked_for", f"ids of bought jobs can't be looked for: {error}")
            return ()
        finally:
            for text in told:
                observer.note("id_not_taken_in", text)

    return take_in


def runs_with_ids(url: str, name: str | None) -> list[OpenRun]:
    """Runs of the store, or the one called ``name``, with jobs in doubt and ids that nobody has taken in. One whose store of
    files can't be asked is left out: who works at it is told why.
    """
    from ..ledger.postgres import store  # noqa: PLC0415 - psycopg takes its time

    return [run for run in store.list_doubtful_runs(url, name) if _has_ids(run)]


def _has_ids(run: OpenRun) -> bool:
    objects = objects_at(run.facts.get(FILES_URL))
    try:
        return objects is not None and has_unread(objects)
    except BatcheditError:
        return False


def in_store(checkpoint: Ledger) -> PostgresLedger | None:
    """The store that a run is in; None for a run of a folder."""
    if not checkpoint.shared:
        return None
    from ..ledger.postgres.ledger import PostgresLedger  # noqa: PLC0415 - psycopg takes its time
    from ..ledger.postgres.shared import SharedCheckpoint  # noqa: PLC0415

    found = checkpoint.in_store if isinstance(checkpoint, SharedCheckpoint) else checkpoint
    return found if isinstance(found, PostgresLedger) else None
