"""A run in hand, the morning after: locked, or only read while another process buys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ..core.errors import LockedError, NotFoundError
from ..ledger.lock import run_lock
from ..ledger.opening import open_checkpoint
from ..ledger.sqlite import SqliteCheckpoint
from ..manifest.read import Manifest
from ..planning.intake import open_source
from ..run_folder import RunFolder, find_run
from ..settings.model import Settings
from .run import Given, kept_settings


@dataclass(frozen=True, slots=True)
class Run:
    """A run. ``writable`` if its lock is ours; else another process works on it, and it is only read."""

    folder: RunFolder
    checkpoint: SqliteCheckpoint
    settings: Settings
    writable: bool

    def manifest(self) -> Manifest:
        """The manifest as the run last took it in."""
        snapshot = self.folder.snapshot()
        if snapshot is None:
            raise NotFoundError(
                f"the run in {self.folder.path} never took a manifest in", hint="start it with batchedit run MANIFEST"
            )
        return open_source(snapshot, self.settings, snapshot.name)


@contextmanager
def opened(run_name: str, given: Given, doing: str, *, may_read_only: bool = False) -> Iterator[Run]:
    """A run, locked: SQLite's WAL-reset bug needs two writers, so marks are never written beside a run.

    LockedError (75) if another process works on it, unless ``may_read_only``.
    """
    folder = find_run(run_name, given.get("out"))
    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(folder.path, doing))
            writable = True
        except LockedError as error:
            if not may_read_only:
                raise LockedError(
                    f"{error}; marks can't be written meanwhile",
                    hint=f"wait until it ends, or look at what is there by now: batchedit gallery {run_name}",
                ) from None
            writable = False
        checkpoint = open_checkpoint(folder.checkpoint, read_only=not writable)
        stack.callback(checkpoint.close)
        yield Run(folder, checkpoint, kept_settings(checkpoint, given), writable)
