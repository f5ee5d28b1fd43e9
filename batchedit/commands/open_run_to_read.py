"""Finds a run in its folder or in a store, and opens one for reading."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ..core.errors import LockedError, NotFoundError, OutputError
from ..ledger.book import Book
from ..ledger.lock import hold_run_lock
from ..ledger.opening import open_for_reading
from ..run_folder import RunFolder, find_run
from .kept_settings import Given
from .store import need_psycopg


@contextmanager
def open_run_to_read(run_name: str, given: Given) -> Iterator[tuple[RunFolder, Book]]:
    """The run's folder and its ledger, for reading. See ``find_run_here``."""
    folder = find_run_here(run_name, given)
    with open_for_reading(folder.checkpoint) as checkpoint:
        yield folder, checkpoint


def find_run_here(run_name: str, given: Given, environ: Mapping[str, str] = os.environ) -> RunFolder:
    """The folder of an existing run.

    Where a store's address is ``given``, the copy of a store's run is brought up to date, unless a process here works on it,
    which does so itself. On a machine without a copy the ledger and the manifest are copied to where ``work`` would put the
    pictures. A run of a folder alone is found as without a store.
    """
    url = given.get("store")
    if url is None:
        return find_run(run_name, given.get("out"), environ)
    need_psycopg()
    folder = _find_folder(run_name, given, url, environ)
    with suppress(LockedError), hold_run_lock(folder.path, "read"):
        update_copy_from_store(folder, url)
    return folder


@contextmanager
def open_current_copy(folder: RunFolder, url: str) -> Iterator[RunFolder]:
    """A folder with a current copy of the store's run of this folder's name, for as long as the block lasts: this folder, or
    a temporary one where this machine has no copy or another process works on it. No run is made here.
    """
    need_psycopg()
    if folder.checkpoint.is_file():
        try:
            with hold_run_lock(folder.path, "plan"):
                update_copy_from_store(folder, url)
                yield folder
            return
        except LockedError:
            pass
    with TemporaryDirectory(prefix="batchedit-") as scratch:
        copy = RunFolder(Path(scratch) / folder.path.resolve().name)
        copy.make()
        with suppress(NotFoundError):  # the run is not begun yet
            update_copy_from_store(copy, url)
        yield copy


def update_copy_from_store(folder: RunFolder, url: str) -> None:
    """Bring the copy of the store's run of this name up to date. The caller holds the run's lock."""
    from ..ledger.postgres.shared_opening import bring_up_to_date  # noqa: PLC0415 - psycopg takes its time

    if folder.checkpoint.is_file():
        with open_for_reading(folder.checkpoint) as copy:
            if not copy.get("store"):
                return
    bring_up_to_date(folder.checkpoint, url)
    with open_for_reading(folder.checkpoint) as checkpoint:
        copy_sheet_from_store(folder, checkpoint, url)


def copy_sheet_from_store(folder: RunFolder, checkpoint: Book, url: str) -> None:
    """Copy the run's manifest from the store, where the folder has none or an older one."""
    from ..ledger.postgres.sheets import take_sheet  # noqa: PLC0415 - psycopg takes its time

    fingerprint = checkpoint.get("fingerprint") or ""
    if fingerprint and not folder.has_copy(fingerprint):
        try:
            take_sheet(url, folder.path.name, folder.path)
        except OSError as error:
            raise OutputError(f"the manifest can't be copied to {folder.path}: {error.strerror or error}") from error
        folder.settle_snapshot(fingerprint)


def _find_folder(run_name: str, given: Given, url: str, environ: Mapping[str, str]) -> RunFolder:
    from ..ledger.postgres.store import check_run  # noqa: PLC0415 - psycopg takes its time

    try:
        return find_run(run_name, given.get("out"), environ)
    except NotFoundError:
        folder = RunFolder(Path(given.get("out") or Path("outputs") / Path(run_name).name))
        check_run(url, folder.path.name)
    folder.make()
    return folder
