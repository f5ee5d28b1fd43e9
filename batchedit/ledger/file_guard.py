"""Is the checkpoint still the file of that name? If not, what it knew is put back.

SQLite goes on writing into a file that was deleted or replaced, and tells nobody: all that is bought from there on would be
forgotten at the end of the process. So the file and its WAL are looked at around every commit (two ``stat`` calls). When
one is gone, the open connection still has everything: it is copied to the old name, what stands there now is moved aside,
and nothing more is written or bought. But a checkpoint that stands there now and knows of purchases stays where this one
knows of none: another process made it, on a disk whose locks hold nobody off.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ..core.errors import CheckpointError
from ..disk import ForeignFileError, check_own, create, put_in_place

Identity = tuple[int, int]


class FileGuard:
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
        if _has_bought(self._path) and not _knows_of_any(connection):
            return (
                "this process had bought nothing, so what is there now was left alone; the same command goes on with it"
            )
        part = self._path.with_name(f"{self._path.name}.part")
        other = self._path.with_name(f"{self._path.name}.found-here")
        try:
            create(part).close()
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


def _has_bought(path: Path) -> bool:
    """Is there a checkpoint at ``path`` that knows of a purchase?"""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _knows_of_any(connection)
    except sqlite3.Error:
        return False


def _knows_of_any(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM events LIMIT 1").fetchone() is not None


def check_single(path: Path) -> None:
    """CheckpointError if the checkpoint ``path`` is a link or has a second name.

    ``cp -al`` copies a folder by giving each file a second name. Two runs then write to one file without each other's lock
    and WAL: neither sees what the other buys, so both buy the same jobs.
    """
    for name in (path, path.with_name(f"{path.name}-wal")):
        try:
            check_own(name)
        except ForeignFileError:
            raise CheckpointError(
                f"the checkpoint {name} is a link, or it has a second name in another folder (made by cp -al, for example): "
                "two runs that share it would buy the same pictures twice",
                hint="delete the other folder, or move it to another disk; to keep a copy of a run, make it with cp -a",
            ) from None


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")
"""What a rollback journal ends with that names a super-journal [SQLite, "Database File Format", 3.2]."""


def check_journal(path: Path) -> None:
    """To be called before SQLite may write to the database at ``path``. ForeignFileError where its rollback journal is a
    link, CheckpointError where it names another file: SQLite deletes that file once it has rolled back, whatever it is.

    Only transactions over several databases write such a name, and batchedit makes none.
    """
    journal = path.with_name(f"{path.name}-journal")
    check_own(journal)
    try:
        with journal.open("rb") as file:
            file.seek(-min(len(_NAMES_ANOTHER), os.fstat(file.fileno()).st_size), os.SEEK_END)
            names_another = file.read() == _NAMES_ANOTHER
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(f"{journal} can't be read: {error.strerror or error}") from error
    if names_another:
        raise CheckpointError(
            f"{journal} names another file of this machine, to be deleted, and no run of batchedit does that",
            hint="if the folder came from somebody else, do not use it; else move that journal away",
        )
