"""Checks that the checkpoint is still the file of its name, and puts its content back if it is not.

SQLite goes on writing into a file that was deleted or replaced, and raises no error: all that is bought from there on would
be lost at the end of the process. So the file and its WAL are checked around every commit (two ``stat`` calls). When one is
gone, the open connection still has the whole content: it is copied to the old name, the file that has that name now is
moved aside, and nothing more is written or bought. But a checkpoint that has the name now and holds purchases stays, where
this one holds none: another process made it, on a disk whose locks exclude no other process.
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
    """The identity of a checkpoint's files when it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        self._file = _read_identity(path)
        self._wal_file: Identity | None = None
        self._error = self._hint = ""

    def check(self, connection: sqlite3.Connection) -> None:
        """CheckpointError once the files are no longer those that ``connection`` writes to."""
        if not self._error:
            wal = _read_identity(self._wal)
            self._wal_file = self._wal_file or wal
            if _read_identity(self._path) == self._file and wal == self._wal_file:
                return
            self._error = f"{self._path} was deleted or replaced while this run was writing to it"
            self._hint = self._put_back(connection)
        raise CheckpointError(self._error, hint=self._hint)

    def _put_back(self, connection: sqlite3.Connection) -> str:
        """Copy the connection's content to the old name. Returns the hint: what to do next."""
        if _has_bought(self._path) and not _has_events(connection):
            return (
                "this process had bought nothing, so what is there now was left alone; the same command goes on with it"
            )
        part = self._path.with_name(f"{self._path.name}.part")
        aside = self._path.with_name(f"{self._path.name}.found-here")
        try:
            create(part).close()
            with closing(sqlite3.connect(part)) as copy:
                connection.backup(copy)
            if self._path.exists():
                self._path.replace(aside)
            for leftover in (self._wal, self._path.with_name(f"{self._path.name}-shm")):
                leftover.unlink(missing_ok=True)  # of no use to the copy, and harmful
            put_in_place(part, self._path)
        except (sqlite3.Error, OSError) as error:
            return f"it could not be put back ({error}): do not buy anew before you have restored it from a backup"
        return "it was put back as this run knew it; the same command goes on"


def _has_bought(path: Path) -> bool:
    """Does the checkpoint at ``path`` hold a purchase?"""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _has_events(connection)
    except sqlite3.Error:
        return False


def _has_events(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM events LIMIT 1").fetchone() is not None


def check_single(path: Path) -> None:
    """CheckpointError if the checkpoint ``path`` is a link or has a second name.

    ``cp -al`` copies a folder by giving each file a second name. Two runs then write to one file without each other's lock
    and WAL: neither sees what the other buys, so both buy the same jobs.
    """
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            check_own(file)
        except ForeignFileError:
            raise CheckpointError(
                f"the checkpoint {file} is a link, or it has a second name in another folder (made by cp -al, for example): "
                "two runs that share it would buy the same pictures twice",
                hint="delete the other folder, or move it to another disk; to keep a copy of a run, make it with cp -a",
            ) from None


def _read_identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


_SUPER_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""The last bytes of a rollback journal that names a super-journal [SQLite, "Database File Format", 3.2]."""


def check_journal(path: Path) -> None:
    """Call it before SQLite may write to the database at ``path``. ForeignFileError where its rollback journal is a link,
    CheckpointError where it names another file: SQLite deletes that file once it has rolled back, whatever it is.

    Only transactions over several databases write such a name, and batchedit makes none.
    """
    journal = path.with_name(f"{path.name}-journal")
    check_own(journal)
    try:
        with journal.open("rb") as file:
            file.seek(-min(len(_SUPER_JOURNAL_MAGIC), os.fstat(file.fileno()).st_size), os.SEEK_END)
            names_super_journal = file.read() == _SUPER_JOURNAL_MAGIC
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(f"{journal} can't be read: {error.strerror or error}") from error
    if names_super_journal:
        raise CheckpointError(
            f"{journal} names another file of this machine, to be deleted, and no run of batchedit does that",
            hint="if the folder came from somebody else, do not use it; else move that journal away",
        )
