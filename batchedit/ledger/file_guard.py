"""Is the checkpoint still the file of that name? If not, what it knew is put back.

SQLite goes on writing into a file that was deleted or replaced, and tells nobody: all that is bought from there on would be
forgotten at the end of the process. So the file and its WAL are looked at around every commit (two ``stat`` calls). When
one is gone, the open connection still has everything: it is copied to the old name, what stands there now is moved aside,
and nothing more is written or bought.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from ..core.errors import CheckpointError

Identity = tuple[int, int]


class Place:
    """Where a checkpoint's files were when it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        self._file = _identity(path)
        self._wal_file: Identity | None = None
        self._error = self._hint = ""

    def check(self, connection: sqlite3.Connection) -> None:
        """CheckpointError once the files are no longer those that ``connection`` writes to."""
        if not self._error:
            wal = _identity(self._wal)
            self._wal_file = self._wal_file or wal
            if _identity(self._path) == self._file and wal == self._wal_file:
                return
            self._error = f"{self._path} was deleted or replaced while this run was writing to it"
            self._hint = self._put_back(connection)
        raise CheckpointError(self._error, hint=self._hint)

    def _put_back(self, connection: sqlite3.Connection) -> str:
        """Copy what the connection knows to the old name. Returns what to do next."""
        part = self._path.with_name(f"{self._path.name}.part")
        other = self._path.with_name(f"{self._path.name}.found-here")
        try:
            part.unlink(missing_ok=True)
            with closing(sqlite3.connect(part)) as copy:
                connection.backup(copy)
            if self._path.exists():
                self._path.replace(other)
            for name in (self._wal, self._path.with_name(f"{self._path.name}-shm")):
                name.unlink(missing_ok=True)  # of no use to the copy, and harmful
            put_in_place(part, self._path)
        except (sqlite3.Error, OSError) as error:
            return f"it could not be put back ({error}): do not buy anew before you have restored it from a backup"
        return "it was put back as this run knew it; the same command goes on"


def put_in_place(part: Path, path: Path) -> None:
    """Give ``part`` its final name, durably."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    with suppress(OSError):  # not every system lets a folder be opened
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
