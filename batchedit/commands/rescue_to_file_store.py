"""Ids of bought jobs that the store of a run could not take: a worker puts them beside the pictures, and looks there for
those of other workers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import CancelScope, to_thread

from ..core.errors import BatcheditError, OutputError
from ..core.model import Record
from ..core.plurals_and_durations import pluralize
from ..files.objects import Objects
from ..files.rescued_id_objects import IdWriter, has_unread
from ..ledger.rescue_file import NAME as ACCEPTED_FILE
from ..ports import Ledger, Observer
from ..results.files import FILES_URL
from .file_store import open_objects
from .take_in_rescued_ids import take_in_objects_for_worker

if TYPE_CHECKING:
    from ..ledger.postgres.ledger import PostgresLedger
    from ..ledger.postgres.store import OpenRun

CLOSE_SECONDS = 10.0
"""The longest wait of a process that ends for the store of files to take its ids. They are in its folder in any case."""

TakeIn = Callable[[], Awaitable[Sequence[Record]]]


@asynccontextmanager
async def rescue_to_files(
    objects: Objects | None, checkpoint: Ledger, folder: Path, observer: Observer
) -> AsyncIterator[TakeIn | None]:
    """For as long as the block lasts, the ids that the run's store can't take go to ``objects`` too. Yields the function that
    takes in those that are there: see ``Pool.take_in``. None where the run is not in a store, or has no store of files.
    """
    ledger = find_store_ledger(checkpoint)
    if objects is None or ledger is None:
        yield None
        return
    writer = IdWriter(objects)
    ledger.set_rescue_place(writer)
    try:
        yield _make_take_in(ledger, objects, observer)
    finally:
        ledger.set_rescue_place(None)
        with CancelScope(shield=True):
            left = await to_thread.run_sync(writer.close, CLOSE_SECONDS)
        if left:
            problem = (
                f"{pluralize(left, 'id of a bought job', 'ids of bought jobs')} could not be put into {objects.url}"
            )
            observer.note("ids_kept_here", f"{problem}: keep {folder / ACCEPTED_FILE} until a command here has read it")


def _make_take_in(ledger: PostgresLedger, objects: Objects, observer: Observer) -> TakeIn:
    async def take_in() -> Sequence[Record]:
        """See ``Pool.take_in``. Those that contradict the store are noted."""
        problems: list[str] = []
        try:
            return await to_thread.run_sync(take_in_objects_for_worker, ledger, objects, problems.append)
        except OutputError as error:  # what is in doubt stays so until the ids can be read
            observer.note("ids_not_looked_for", f"ids of bought jobs can't be looked for: {error}")
            return ()
        finally:
            for text in problems:
                observer.note("id_not_taken_in", text)

    return take_in


def find_runs_with_ids(url: str, name: str | None) -> list[OpenRun]:
    """Runs of the store, or the one called ``name``, with jobs in doubt and ids that were not taken in. One whose store of
    files can't be asked is left out: its own worker reports why.
    """
    from ..ledger.postgres import store  # noqa: PLC0415 - psycopg takes its time

    return [run for run in store.list_doubtful_runs(url, name) if _has_unread_ids(run)]


def _has_unread_ids(run: OpenRun) -> bool:
    objects = open_objects(run.facts.get(FILES_URL))
    try:
        return objects is not None and has_unread(objects)
    except BatcheditError:
        return False


def find_store_ledger(checkpoint: Ledger) -> PostgresLedger | None:
    """The store that a run is in; None for a run of a folder."""
    if not checkpoint.shared:
        return None
    from ..ledger.postgres.ledger import PostgresLedger  # noqa: PLC0415 - psycopg takes its time
    from ..ledger.postgres.shared import SharedCheckpoint  # noqa: PLC0415

    ledger = checkpoint.in_store if isinstance(checkpoint, SharedCheckpoint) else checkpoint
    return ledger if isinstance(ledger, PostgresLedger) else None
