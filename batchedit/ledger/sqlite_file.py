"""The file of a checkpoint in SQLite: its connection, transactions under its name, and the facts about the run."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from ..core.model import Record
from ..core.steps import ProgressCallback, report_progress, no_progress
from .codec import RECORD_COLUMNS, read_record
from .errors import mapped
from .file_guard import FileGuard

BUSY_SECONDS = 10.0


class SqliteFile:
    """What all that is written in SQL stands on. Only this room may use it: others have the ports."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self._lock = threading.Lock()
        self._place = FileGuard(path)
        self.model = self.get("model") or ""

    # --- reading ---

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query written by this room, streamed."""
        try:
            yield from self._db.execute(query, tuple(values))
        except sqlite3.Error as error:
            raise mapped(error, self.path) from error

    def records(
        self, where: str, values: Sequence[Any] = (), told: ProgressCallback = no_progress, total: int = 0
    ) -> list[Record]:
        """Records for a condition written by this room (never by a user). ``told`` hears how many of ``total`` were read."""
        with self._reading() as db:
            rows = db.execute(f"SELECT {RECORD_COLUMNS} FROM jobs WHERE {where}", tuple(values))
            return [read_record(row, self.model) for row in report_progress(rows, told, total)]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise mapped(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See ``book.Book``."""
        with self._reading() as db:
            db.execute("BEGIN")
        try:
            yield
        finally:
            with self._reading() as db:
                db.execute("COMMIT")

    # --- writing ---

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and under the file's name; sqlite3's errors come out as CheckpointError. Waits up to
        BUSY_SECONDS for another process that is writing.
        """
        with self._lock:
            self._place.check(self._db)
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
                self._place.check(self._db)
            except sqlite3.Error as error:
                raise mapped(error, self.path) from error

    def close(self) -> None:
        """Fold the WAL back and close. Safe to call twice."""
        with self._lock:
            self._db.close()

    # --- facts about the run ---

    def get(self, name: str) -> str | None:
        """See ``book.Facts``."""
        with self._reading() as db:
            row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def put(self, name: str, value: str) -> None:
        """See ``book.Facts``."""
        with self.transaction() as db:
            self.put_in(db, name, value)

    @staticmethod
    def put_in(db: sqlite3.Connection, name: str, value: str) -> None:
        """The same inside a transaction of the caller's."""
        db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))

    def note(self, name: str, at: float, told: Mapping[str, Any]) -> None:
        """See ``book.Facts``."""
        with self.transaction() as db:
            self.note_in(db, name, at, told)

    @staticmethod
    def note_in(db: sqlite3.Connection, name: str, at: float, told: Mapping[str, Any]) -> None:
        """The same inside a transaction of the caller's."""
        db.execute("INSERT INTO run_events (at, name, data) VALUES (?, ?, ?)", (at, name, orjson.dumps(told).decode()))

    def run_events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """See ``book.Facts``."""
        return [
            (at, name, orjson.loads(data))
            for at, name, data in self.rows("SELECT at, name, data FROM run_events ORDER BY seq")
        ]
