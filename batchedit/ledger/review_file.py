"""``review.sqlite``: people's decisions and wishes, kept beside the checkpoint so that they can be written while the
run goes on.

The checkpoint keeps its one writer, the run's own process; this file is written by the commands of a person (the
browser, ``review``, ``pause``), each time in one short transaction. It has a rollback journal and no WAL: SQLite's
WAL-reset bug needs two writers, and here there may be two.

The marks of an older batchedit are in the checkpoint. They are read from there until the first write here; that same
transaction copies them, so that no mark is ever in neither file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from ..core.errors import CheckpointCorruptError, CheckpointVersionError, UsageError
from ..core.shell_commands import quote_word
from ..disk import FILE_MODE, check_own
from .errors import map_sqlite_error
from .file_guard import check_journal
from .schema import Parts, combine_parts, find_planted, list_parts, split_statements

NAME = "review.sqlite"
APPLICATION_ID = 0x62617472  # "batr"
VERSION = 1
BUSY_SECONDS = 10.0

_TABLES = """
    CREATE TABLE marks (
        job     INTEGER PRIMARY KEY,
        verdict TEXT    NOT NULL CHECK (verdict IN ('', 'approve', 'reject', 'hold')),  -- '': undone, or only a note
        note    TEXT    NOT NULL,
        serial  INTEGER NOT NULL CHECK (serial > 0),                                    -- compare-and-set
        who     TEXT    NOT NULL,
        at      REAL    NOT NULL
    ) STRICT;
    CREATE TABLE mark_events (
        seq     INTEGER PRIMARY KEY,
        job     INTEGER NOT NULL,
        serial  INTEGER NOT NULL,
        verdict TEXT    NOT NULL,
        note    TEXT    NOT NULL,
        who     TEXT    NOT NULL,
        at      REAL    NOT NULL,
        via     TEXT    NOT NULL                  -- review, or import
    ) STRICT;
    CREATE INDEX mark_events_job ON mark_events (job);
    CREATE TABLE wishes (
        seq   INTEGER PRIMARY KEY,
        at    REAL NOT NULL,
        who   TEXT NOT NULL,
        name  TEXT NOT NULL CHECK (name IN ('pause', 'resume', 'stop', 'concurrency', 'max_cost')),
        value TEXT NOT NULL                       -- a number, micro-dollars, or none
    ) STRICT;
    CREATE TRIGGER mark_events_only_grow_update BEFORE UPDATE ON mark_events
        BEGIN SELECT raise(ABORT, 'events are append-only'); END;
    CREATE TRIGGER mark_events_only_grow_delete BEFORE DELETE ON mark_events
        BEGIN SELECT raise(ABORT, 'events are append-only'); END;
    CREATE TRIGGER wishes_only_grow_update BEFORE UPDATE ON wishes
        BEGIN SELECT raise(ABORT, 'wishes are append-only'); END;
    CREATE TRIGGER wishes_only_grow_delete BEFORE DELETE ON wishes
        BEGIN SELECT raise(ABORT, 'wishes are append-only'); END;
"""
_COPIED_COLUMNS = {
    "marks": "job, verdict, note, serial, who, at",
    "mark_events": "seq, job, serial, verdict, note, who, at, via",
}


class ReviewFile:
    """The review file of the run in ``folder``. A connection lasts for one call, so there is nothing to close."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._checkpoint = folder / "checkpoint.sqlite"

    @contextmanager
    def open_for_reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open the file for reading; None where nothing was written yet. CheckpointError where it can't be read."""
        if not self.path.exists():
            yield None
            return
        check_own(self.path)
        try:
            # Open for writing too: a writer that was killed leaves a journal, which the next reader rolls back.
            with closing(_connect(self.path, "rw")) as db:
                if not _check_version(db, self.path):
                    yield None
                    return
                db.execute("PRAGMA query_only = ON")
                yield db
        except sqlite3.Error as error:
            raise map_sqlite_error(error, self.path) from error

    @contextmanager
    def open_for_writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable once the block has ended without an error; a missing file is created. Waits up to
        BUSY_SECONDS for another writer. CheckpointError where the disk fails.
        """
        check_own(self.path)
        try:
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))
            with closing(_connect(self.path, "rw")) as db:
                db.execute("BEGIN IMMEDIATE")
                try:
                    if not _check_version(db, self.path):
                        self._create(db)
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise map_sqlite_error(error, self.path) from error

    @contextmanager
    def open_decisions(self) -> Iterator[sqlite3.Connection]:
        """Open a connection with the run's ``marks`` and ``mark_events``: of this file, or still of the checkpoint."""
        with self.open_for_reading() as db:
            if db is not None:
                yield db
                return
        try:
            with closing(_connect(self._checkpoint, "ro")) as checkpoint:
                yield checkpoint
        except sqlite3.Error as error:
            raise map_sqlite_error(error, self._checkpoint) from error

    def check_not_of_store(self) -> None:
        """UsageError (64) where the run is one of a store: other workers would not see what is written here."""
        if not self._checkpoint.exists():
            return
        with closing(_connect(self._checkpoint, "ro")) as db:
            row = db.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
        if row and row[0]:
            raise build_store_run_error(self._checkpoint.parent, row[0])

    def last_change(self) -> int:
        """The number of the latest change of a mark, 0 before the first."""
        with self.open_decisions() as db:
            return int(db.execute("SELECT coalesce(max(seq), 0) FROM mark_events").fetchone()[0])

    def _create(self, db: sqlite3.Connection) -> None:
        _create_tables(db)
        self._copy_decisions(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")

    def _copy_decisions(self, db: sqlite3.Connection) -> None:
        """Copy the marks that an older batchedit wrote into the checkpoint."""
        if not self._checkpoint.exists():
            return
        with closing(_connect(self._checkpoint, "ro")) as checkpoint:
            for table, columns in _COPIED_COLUMNS.items():
                placeholders = ", ".join("?" * (columns.count(",") + 1))
                db.executemany(
                    f"INSERT INTO {table} ({columns}) VALUES ({placeholders})",
                    checkpoint.execute(f"SELECT {columns} FROM {table}"),
                )


def build_store_run_error(folder: Path, store: str) -> UsageError:
    """The error for a command that changes a run of a store, and was given no store."""
    return UsageError(
        f"the run in {folder} is one of the store {store}",
        hint=f"the same command with --store {quote_word(store)}, or with that address as BATCHEDIT_STORE",
    )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    check_journal(path)
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")
    except BaseException:  # not a database: the pages of ``batchedit ui`` try it again and again
        db.close()
        raise
    return db


def _create_tables(db: sqlite3.Connection) -> None:
    for statement in split_statements(_TABLES):
        db.execute(statement)


@cache
def _list_own_parts() -> Parts:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        _create_tables(db)
        return combine_parts(list_parts(db))


def _check_version(db: sqlite3.Connection, path: Path) -> int:
    """The version of the file; 0 for one that was begun and never finished. An error for one that is not ours, or newer."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application_id = db.execute("PRAGMA application_id").fetchone()[0]
    if version > VERSION and application_id == APPLICATION_ID:
        raise CheckpointVersionError(
            f"{path} was written by a newer batchedit", hint="update batchedit: pip install --upgrade batchedit"
        )
    if version and application_id != APPLICATION_ID:
        raise CheckpointCorruptError(f"{path} is not a file of batchedit's", hint="move it away: it holds no marks")
    if version and (unexpected := find_planted(db, _list_own_parts())):
        raise CheckpointCorruptError(
            f"{path} holds {unexpected!r}, which is not as batchedit makes it",
            hint="it decides about the run as a person does: if the folder came from somebody else, do not use it; else move "
            "that file away, and its marks with it",
        )
    return version
