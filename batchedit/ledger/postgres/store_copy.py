"""A run of the store for commands that read and decide: reads go to the folder's copy, decisions to the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ..book import Decisions
from ..gallery_rows import compute_flags_version, put_flags_in, read_flags
from ..opening import open_as
from ..sqlite import SqliteCheckpoint
from .decisions import FLAGS_VERSION, StoreDecisions, follow_decisions, keep_flags, make_ask


class StoreCopy(SqliteCheckpoint):
    """``book.Book`` over the copy at ``path`` of a run of the store at ``url``.

    ``follows``: the caller holds the run's lock.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, url: str, *, follows: bool) -> None:
        super().__init__(path, connection)
        self._ask, self._run, self._follows = make_ask(url), int(self.get("store_run") or 0), follows

    @property
    def decisions(self) -> Decisions:
        """See ``book.Book``. May be used when the copy is closed."""
        return StoreDecisions(self._ask, self._run, self._follow_decisions)

    def _follow_decisions(self) -> None:
        if self._follows:
            follow_decisions(self, self._ask, self._run)

    def keep_flags(self, flags: Mapping[int, str]) -> bool:
        """See ``book.Lines``. They are shared by all workers."""
        new_flags = {job: text for job, text in flags.items() if text}
        if read_flags(self) == new_flags:
            return False
        version = compute_flags_version(new_flags)
        keep_flags(self._ask, self._run, new_flags, version)
        with self.transaction() as db:
            put_flags_in(db, new_flags)
            self.put_in(db, FLAGS_VERSION, version)
        return True

    def close(self) -> None:
        """See ``book.Book``."""
        self._follows = False
        super().close()


def open_copy(path: Path, url: str, *, read_only: bool) -> StoreCopy:
    """The copy at ``path``, which is up to date, or is kept so by the process that holds the run's lock."""
    return open_as(lambda at, db: StoreCopy(at, db, url, follows=not read_only), path, read_only=read_only)
