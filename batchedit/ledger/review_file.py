"""``review.sqlite``: what people say about a run, kept beside its checkpoint so that they can say it while the run goes on.

Marks and wishes stand here. The checkpoint keeps its one writer, the run's own process; this file is written by whoever a
person speaks through (the browser, ``review``, ``pause``), one short transaction after the other. It has a rollback
journal and no WAL: SQLite's WAL-reset bug needs two writers, and here there may be two.

The marks of an older batchedit stand in the checkpoint. They are read from there until somebody first writes here; that
same transaction copies them, so that no mark is ever in neither file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from ..core.errors import CheckpointCorruptError, CheckpointVersionError, UsageError
from ..core.typed import quote_word
from ..disk import FILE_MODE, check_own
from .errors import mapped
from .file_guard import check_journal
from .schema import Parts, made_of, parts_of, planted, statements

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
_COPIED = {
    "marks": "job, verdict, note, serial, who, at",
    "mark_events": "seq, job, serial, verdict, note, who, at, via",
}


class ReviewFile:
    """The review file of the run in ``folder``. A connection lasts for one call: nothing is to be closed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._checkpoint = folder / "checkpoint.sqlite"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """For looking; None where nobody has written yet. CheckpointError where it can't be read."""
        if not self.path.exists():
            yield None
            return
        check_own(self.path)
        try:
            # Open for writing too: a writer that was killed leaves a journal, which the next one who looks puts right.
            with closing(_connect(self.path, "rw")) as db:
                if not _version(db, self.path):
                    yield None
                    return
                db.execute("PRAGMA query_only = ON")
                yield db
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable once the block has ended well; the file is made if there is none. Waits up to
        BUSY_SECONDS for another writer. CheckpointError where the disk refuses.
        """
        check_own(self.path)
        try:
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))
            with closing(_connect(self.path, "rw")) as db:
                db.execute("BEGIN IMMEDIATE")
                try:
                    if not _version(db, self.path):
                        self._make(db)
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error

    @contextmanager
    def marks(self) -> Iterator[sqlite3.Connection]:
        """A connection whose ``marks`` and ``mark_events`` are the run's: here, or still in the checkpoint."""
        with self.reading() as db:
            if db is not None:
                yield db
                return
        try:
            with closing(_connect(self._checkpoint, "ro")) as old:
                yield old
        except sqlite3.Error as error:
            raise mapped(error, self._checkpoint) from error

    def check_its_own(self) -> None:
        """UsageError (64) where the run is one of a store: what is said here nobody else would hear."""
        if not self._checkpoint.exists():
            return
        with closing(_connect(self._checkpoint, "ro")) as db:
            row = db.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
        if row and row[0]:
            raise not_its_own(self._checkpoint.parent, row[0])

    def last_change(self) -> int:
        """The number of the latest change of a mark, 0 before the first."""
        with self.marks() as db:
            return int(db.execute("SELECT coalesce(max(seq), 0) FROM mark_events").fetchone()[0])

    def _make(self, db: sqlite3.Connection) -> None:
        _make_tables(db)
        self._copy_marks(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")

    def _copy_marks(self, db: sqlite3.Connection) -> None:
        """What an older batchedit wrote into the checkpoint."""
        if not self._checkpoint.exists():
            return
        with closing(_connect(self._checkpoint, "ro")) as old:
            for table, columns in _COPIED.items():
                places = ", ".join("?" * (columns.count(",") + 1))
                db.executemany(
                    f"INSERT INTO {table} ({columns}) VALUES ({places})", old.execute(f"SELECT {columns} FROM {table}")
                )


def not_its_own(folder: Path, store: str) -> UsageError:
    """For a command that was given no store, and changes a run of one."""
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
    except BaseException:  # no database at all: the pages of ``batchedit ui`` ask for it again and again
        db.close()
        raise
    return db


def _make_tables(db: sqlite3.Connection) -> None:
    for statement in statements(_TABLES):
        db.execute(statement)


@cache
def _our_parts() -> Parts:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        _make_tables(db)
        return made_of(parts_of(db))


def _version(db: sqlite3.Connection, path: Path) -> int:
    """0 for a file that somebody began and never finished. An error for one that is not ours, or newer."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    owner = db.execute("PRAGMA application_id").fetchone()[0]
    if version > VERSION and owner == APPLICATION_ID:
        raise CheckpointVersionError(
            f"{path} was written by a newer batchedit", hint="update batchedit: pip install --upgrade batchedit"
        )
    if version and owner != APPLICATION_ID:
        raise CheckpointCorruptError(f"{path} is not a file of batchedit's", hint="move it away: it holds no marks")
    if version and (strange := planted(db, _our_parts())):
        raise CheckpointCorruptError(
            f"{path} holds {strange!r}, which is not as batchedit makes it",
            hint="it decides about the run as a person does: if the folder came from somebody else, do not use it; else move "
            "that file away, and its marks with it",
        )
    return version
