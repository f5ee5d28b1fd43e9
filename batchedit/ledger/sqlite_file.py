"""The file of a checkpoint in SQLite: its connection, guarded transactions, and the facts about the run."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from ..core.model import Record
from ..core.steps import ProgressCallback, no_progress, report_progress
from .codec import RECORD_COLUMNS, read_record
from .errors import map_sqlite_error
from .file_guard import FileGuard

BUSY_SECONDS = 10.0


class SqliteFile:
    """The base of all classes that use SQL. For this package only: others use the ports."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self._lock = threading.Lock()
        self._guard = FileGuard(path)
        self.model = self.get("model") or ""

    # --- reading ---

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query written in this package, streamed."""
        try:
            yield from self._db.execute(query, tuple(values))
        except sqlite3.Error as error:
            raise map_sqlite_error(error, self.path) from error

    def records(
        self, where: str, values: Sequence[Any] = (), on_progress: ProgressCallback = no_progress, total: int = 0
    ) -> list[Record]:
        """Records for a condition written in this package (never by a user). ``on_progress`` gets how many of ``total``
        are read.
        """
        with self._lock_connection() as db:
            rows = db.execute(f"SELECT {RECORD_COLUMNS} FROM jobs WHERE {where}", tuple(values))
            return [read_record(row, self.model) for row in report_progress(rows, on_progress, total)]

    @contextmanager
    def _lock_connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise map_sqlite_error(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See ``book.Book``."""
        with self._lock_connection() as db:
            db.execute("BEGIN")
        try:
            yield
        finally:
            with self._lock_connection() as db:
                db.execute("COMMIT")

    # --- writing ---

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, with the ``FileGuard`` checked before and after; raises sqlite3's errors as CheckpointError.
        Waits up to BUSY_SECONDS for another process that is writing.
        """
        with self._lock:
            self._guard.check(self._db)
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
                self._guard.check(self._db)
            except sqlite3.Error as error:
                raise map_sqlite_error(error, self.path) from error

    def close(self) -> None:
        """Merge the WAL into the file and close. Safe to call twice."""
        with self._lock:
            self._db.close()

    # --- facts about the run ---

    def get(self, name: str) -> str | None:
        """See ``book.Facts``."""
        with self._lock_connection() as db:
            row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def put(self, name: str, value: str) -> None:
        """See ``book.Facts``."""
        with self.transaction() as db:
            self.put_in(db, name, value)

    @staticmethod
    def put_in(db: sqlite3.Connection, name: str, value: str) -> None:
        """The same inside the caller's transaction."""
        db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))

    def note(self, name: str, at: float, data: Mapping[str, Any]) -> None:
        """See ``book.Facts``."""
        with self.transaction() as db:
            self.note_in(db, name, at, data)

    @staticmethod
    def note_in(db: sqlite3.Connection, name: str, at: float, data: Mapping[str, Any]) -> None:
        """The same inside the caller's transaction."""
        db.execute("INSERT INTO run_events (at, name, data) VALUES (?, ?, ?)", (at, name, orjson.dumps(data).decode()))

    def list_run_events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """See ``book.Facts``."""
        return [
            (at, name, orjson.loads(data))
            for at, name, data in self.rows("SELECT at, name, data FROM run_events ORDER BY seq")
        ]
