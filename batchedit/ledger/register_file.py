"""The register's file: one small SQLite database in a folder of this person.

Where the person's own state folder can't be used (read-only, full, another version's file), a spare one replaces it: in the
system's folder for temporary files, private to this person, deleted at the next start of the machine. Two processes that
find the same folder unusable use the same spare one, so that neither buys what the other does.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from ..core.errors import CheckpointError, OutputError
from ..core.safe_text import to_one_line
from ..disk import check_own
from .file_guard import check_journal

NAME = "register.sqlite"
REPAIR_WAIT_SECONDS = 10.0
FAILURE_ERRNOS = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT})
"""The errors of a disk that fails or is full."""
T = TypeVar("T")

_TABLES = {
    "runs": """
        folder  TEXT PRIMARY KEY,   -- absolute, links resolved
        source  TEXT NOT NULL,      -- the manifest's absolute path; '' before the first intake
        service TEXT NOT NULL,      -- a base URL, or sandbox
        model   TEXT NOT NULL,
        account TEXT NOT NULL,      -- a digest of the token; '' if nobody has told it yet
        made_at REAL NOT NULL,
        used_at REAL NOT NULL,
        seen_at REAL NOT NULL       -- when its folder was last there
    """,
    "costs": """
        service TEXT NOT NULL,
        model   TEXT NOT NULL,
        cost    INTEGER NOT NULL,   -- micro-dollars: the dearest picture of the last run that was told any
        PRIMARY KEY (service, model)
    """,
    "made": """
        run TEXT PRIMARY KEY,       -- an id that the run's own checkpoint keeps too
        at  REAL NOT NULL
    """,
    "older": """
        folder TEXT PRIMARY KEY,    -- of a run that stood here before runs had ids
        source TEXT NOT NULL
    """,
}


class RegisterFile:
    """The register in ``folder``. ``was_damaged`` is True after a damaged one was put aside and replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.was_damaged = False

    def is_there(self) -> bool:
        """Is there a file to read?"""
        try:
            return (self.folder / NAME).is_file()
        except OSError:
            return False

    def run_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one transaction and return its result; retried where the disk failed once. sqlite3.Error or
        OSError where the file can't be used.
        """
        try:
            return self._run_with_retry(work)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._put_aside()
            return self._run_once(work)

    def has_failed(self, error: Exception) -> bool:
        """Is ``error`` that of a disk that failed or is full, rather than of a read-only folder, or of a name that something
        else has? SQLite reports only that a file can't be opened, or can't be written.
        """
        if isinstance(error, OSError):
            return error.errno in FAILURE_ERRNOS
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            path = self.folder / NAME
            return os.access(self.folder, os.W_OK) and (
                not path.exists() or (path.is_file() and os.access(path, os.W_OK))
            )
        return code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}

    def _run_with_retry(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._run_once(work)
        except (sqlite3.OperationalError, OSError) as error:
            if not self.has_failed(error):
                raise
            return self._run_once(work)

    def _run_once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._open() as db, db:
            return work(db)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            check_journal(self.folder / NAME)
            for ending in ("", "-wal"):
                check_own(self.folder / f"{NAME}{ending}")
        except (OutputError, CheckpointError) as error:
            failure = OSError(str(error))
            if isinstance(error.__cause__, OSError):  # the disk failed, the file is ours: it is retried, and reported
                failure.errno = error.__cause__.errno
            raise failure from error
        with closing(sqlite3.connect(self.folder / NAME, timeout=10.0)) as db:
            _check_parts(db)
            _create_tables(db)
            yield db

    def _put_aside(self) -> None:
        """Two processes that see the damage must not put each other's new file aside: the second one checks it again."""
        with FileLock(self.folder / "mending.lock", timeout=REPAIR_WAIT_SECONDS, is_singleton=False):
            try:
                self._run_once(lambda db: db.execute("SELECT count(*) FROM runs").fetchone())
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                (self.folder / NAME).replace(self.folder / f"{NAME}.damaged")
                for suffix in ("-journal", "-wal", "-shm"):
                    with suppress(OSError):
                        (self.folder / f"{NAME}{suffix}").unlink()
            self.was_damaged = True


def _check_parts(db: sqlite3.Connection) -> None:
    """OSError where the file holds anything that a register does not, such as a trigger or another program's tables: such a
    file is neither changed nor put aside, because somebody may need it.
    """
    for kind, name in db.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"):
        if kind != "table" or _list_columns(db, name) != _list_our_columns().get(name):
            raise OSError(f"it holds {to_one_line(name)!r}, which is not as batchedit makes it")


def _list_columns(db: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    return db.execute("SELECT * FROM pragma_table_xinfo(?)", (table,)).fetchall()


@cache
def _list_our_columns() -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(":memory:")) as db:
        _create_tables(db)
        return {name: _list_columns(db, name) for name in _TABLES}


def _create_tables(db: sqlite3.Connection) -> None:
    """Create the tables that are missing. Runs that an earlier version entered are copied once: they are this person's, and
    have no id.
    """
    names = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if {name for (name,) in db.execute(names)} >= _TABLES.keys():
        return
    db.execute("BEGIN IMMEDIATE")
    has_no_ids = "older" not in {name for (name,) in db.execute(names)}
    for name, columns in _TABLES.items():
        db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) STRICT, WITHOUT ROWID")
    if has_no_ids:
        db.execute("INSERT INTO older SELECT folder, source FROM runs")
    db.commit()


def find_spare_folder(state: Path, environ: Mapping[str, str]) -> Path:
    """The folder of the register if ``state``, the person's own folder for it, can't be used."""
    person = os.getuid() if hasattr(os, "getuid") else "of-this-person"
    digest = blake2b(os.fsencode(state), digest_size=6).hexdigest()
    return Path(environ.get("TMPDIR") or tempfile.gettempdir()) / f"batchedit-{person}-{digest}"


def make_private(folder: Path) -> None:
    """Create ``folder``, private to this person. OSError if that fails, or if it exists and is another person's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.lstat()
    owner = os.getuid() if hasattr(os, "getuid") else status.st_uid
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or (status.st_mode & 0o022 and os.name == "posix"):
        raise PermissionError(f"{folder} is not this person's alone")
