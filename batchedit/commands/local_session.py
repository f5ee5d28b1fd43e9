"""An open run without its service, for gallery, review and delivery; the part of a ``Session`` that sends nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import LockedError
from ..files.objects import Objects
from ..ledger.book import Book
from ..ledger.lock import hold_run_lock
from ..ledger.opening import open_checkpoint, open_for_reading
from ..ledger.register import is_mine
from ..ledger.review_file import build_store_run_error
from ..manifest.read import Manifest
from ..planning.recipe import list_run_roots
from ..run_folder import RunFolder, open_snapshot
from ..settings.model import Settings
from .file_store import open_objects_of_run
from .kept_settings import Given, load_kept_settings
from .open_run_to_read import find_run_here


@dataclass
class LocalSession:
    """An open run. ``writable`` if this process holds its lock; else another works on it, and it is only read."""

    folder: RunFolder
    checkpoint: Book
    settings: Settings
    writable: bool = field(default=True, kw_only=True)
    picture_roots: Sequence[Path] | None = field(default=None, kw_only=True)
    """The folders below which local pictures are read and shown; None (any folder) for a run of this person."""

    @property
    def objects(self) -> Objects | None:
        """The store of this run's pictures; None where they are in its folder alone."""
        return open_objects_of_run(self.checkpoint, self.folder.path, os.environ, self.settings)

    def open_manifest(self) -> Manifest:
        """The manifest as of the run's last intake."""
        return open_snapshot(self.checkpoint, self.folder, self.settings)


@contextmanager
def open_locally(run_name: str, given: Given, doing: str) -> Iterator[LocalSession]:
    """Open a run, locked for as long as the block lasts, or only for reading if another process works on it. The copy of a
    run of a store is brought up to date first; decisions about it go into the store.
    """
    folder = find_run_here(run_name, given)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_run_lock(folder.path, doing))
            writable = True
        except LockedError:
            writable = False
        folder.check_links()
        checkpoint = _open_book(folder, given.get("store"), read_only=not writable)
        stack.callback(checkpoint.close)
        roots = None if is_mine(checkpoint, folder.path, os.environ) else list_run_roots(folder)
        settings = load_kept_settings(checkpoint, folder, given)
        yield LocalSession(folder, checkpoint, settings, writable=writable, picture_roots=roots)


def _open_book(folder: RunFolder, url: str | None, *, read_only: bool) -> Book:
    with open_for_reading(folder.checkpoint) as checkpoint:
        store = checkpoint.get("store")
    if not store:
        return open_checkpoint(folder.checkpoint, read_only=read_only)
    if url is None:
        raise build_store_run_error(folder.path, store)
    from ..ledger.postgres.store_copy import open_copy  # noqa: PLC0415 - psycopg takes its time

    return open_copy(folder.checkpoint, url, read_only=read_only)
