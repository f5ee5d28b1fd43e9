"""Creates, checks and opens the file of a checkpoint; an existing one is never overwritten."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..core.errors import CheckpointCorruptError, CheckpointError, CheckpointVersionError, NotFoundError
from ..disk import create, put_in_place
from .book import Book, Checkpoint
from .errors import FULL_HINT, build_corrupt_error, map_sqlite_error
from .file_guard import check_journal, check_single
from .intake import delete_uncommitted
from .schema import find_newest_version, find_planted, list_our_parts, migrate, read_version
from .sqlite import SqliteCheckpoint
from .sqlite_file import BUSY_SECONDS, SqliteFile

T = TypeVar("T", bound=SqliteFile)
APPLICATION_ID = 0x62617463  # "batc", so that `file` and we recognise the database
_CHECK_VALID_SECONDS = 60.0
"""For so long a check of all pages is valid in this process: a page of the browser reads a run a hundred times."""
_checked_at: dict[tuple[Path, int, int], float] = {}
"""The time of the last successful check of all pages, by the file's path, device and inode."""


def create_checkpoint(path: Path, *, model: str, service: str) -> Checkpoint:
    """Create an empty checkpoint. ``service`` is where its jobs are bought: a base URL, or ``sandbox``.

    It is created under a temporary name, read back and synced before it gets its own: neither a process that dies here nor a
    full disk leaves a damaged one, which could not be opened again. CheckpointError where it can't be created.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        remove_checkpoint(part)
        create(part).close()  # for its owner alone: SQLite creates the WAL with the same rights
        try:
            _create(part, model, service)
            put_in_place(part, path)
        finally:
            with suppress(OSError):
                remove_checkpoint(part)
        connection = _connect(path, "rw")
        try:
            return SqliteCheckpoint(path, connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise map_sqlite_error(error, path) from error
    except OSError as error:
        raise CheckpointError(f"{path} can't be written: {error.strerror or error}", hint=FULL_HINT) from error


def _create(part: Path, model: str, service: str) -> None:
    """Write an empty checkpoint to ``part``, and read it back as a later run will."""
    with closing(_connect(part, "rw")) as connection:
        # A full disk may keep a WAL from being copied into the file, and its content is lost with its name.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection)
        connection.execute("INSERT INTO meta VALUES ('model', ?), ('service', ?)", (model, service))
        connection.execute("PRAGMA journal_mode = WAL")
    with closing(_connect(part, "rw")) as connection:
        _verify(connection, part)
        facts = dict(connection.execute("SELECT name, value FROM meta"))
        journal_mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if (facts.get("model"), facts.get("service")) != (model, service) or journal_mode != "wal":
        raise CheckpointError(f"{part} is not what was written to it", hint="look at the disk: it may be failing")


def is_blank_checkpoint(path: Path) -> bool:
    """Is the checkpoint ``path`` an empty file, or one without a job and an event? It holds no purchase, so it may be
    created again. False for a file whose jobs and events can't be read, and for one with another program's tables.
    """
    try:
        if path.stat().st_size == 0:
            return not path.with_name(f"{path.name}-wal").exists()
        with closing(_connect(path, "ro")) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            application_id = connection.execute("PRAGMA application_id").fetchone()[0]
            if not tables or application_id != APPLICATION_ID:
                return not tables and application_id in {0, APPLICATION_ID}
            return not any(
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
                for table in ("jobs", "events", "lines", "requests", "run_events")
                if table in tables
            )
    except (sqlite3.Error, CheckpointError, OSError):
        return False


def remove_checkpoint(path: Path) -> None:
    """Remove the file and its companions of SQLite. OSError where that fails."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def open_checkpoint(path: Path, *, read_only: bool = False) -> Checkpoint:
    """Open an existing checkpoint, checked before use and never overwritten. See ``open_as``."""
    return open_as(SqliteCheckpoint, path, read_only=read_only)


def open_as(build: Callable[[Path, sqlite3.Connection], T], path: Path, *, read_only: bool = False) -> T:
    """Open an existing checkpoint as the object that ``build`` returns. It is checked before use and never overwritten.

    The file of an older batchedit is migrated. With ``read_only`` the file is unchanged, because another process may be
    writing to it: a migrated copy of its present state is read instead. With ``read_only`` all pages are checked at most
    once a minute, as for a connection that stays open; without, always.

    Raises NotFoundError, CheckpointCorruptError, CheckpointVersionError (a newer batchedit wrote it), CheckpointError.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no checkpoint at {path}", hint="a run is started with its manifest")
    if not read_only:
        check_single(path)
    try:
        connection = _connect(path, "ro" if read_only else "rw")
        try:
            _verify(connection, path, may_skip_pages=read_only)
            _check_parts(connection, path, complete=not read_only)
            if read_version(connection) < find_newest_version():
                if read_only:
                    connection = _copy_to_temporary(connection)
                migrate(connection)
                connection.execute(f"PRAGMA query_only = {int(read_only)}")
            checkpoint = build(path, connection)
            if not read_only:
                with checkpoint.transaction() as db:
                    delete_uncommitted(db)
            return checkpoint
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise map_sqlite_error(error, path) from error


@contextmanager
def open_for_reading(path: Path) -> Iterator[Book]:
    """Open the checkpoint at ``path`` for the block, for reading only. The errors of ``open_checkpoint``."""
    with closing(open_checkpoint(path, read_only=True)) as checkpoint:
        yield checkpoint


def _list_durability_pragmas() -> tuple[str, ...]:
    """On macOS fsync leaves written data in the drive's own memory; only F_FULLFSYNC is durable [SQLite, "PRAGMA
    fullfsync"].
    """
    return ("fullfsync = ON", "checkpoint_fullfsync = ON") if sys.platform == "darwin" else ()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    check_journal(path)
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS, cached_statements=64
        )
    except sqlite3.Error as error:
        raise map_sqlite_error(error, path) from error
    try:
        for pragma in ("synchronous = FULL", "foreign_keys = ON", *_list_durability_pragmas()):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _verify(connection: sqlite3.Connection, path: Path, *, may_skip_pages: bool = False) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise CheckpointCorruptError(
            f"{path} is not a batchedit checkpoint", hint="move it away, or give another --out DIR"
        )
    version = read_version(connection)
    if version > find_newest_version():
        raise CheckpointVersionError(
            f"{path} was written by a newer batchedit (its format is {version}, this one knows {find_newest_version()})",
            hint="update batchedit: pip install --upgrade batchedit",
        )
    if version < 1:
        raise build_corrupt_error(path, f"its format is {version}, and the first one is 1")
    identity = _identify(path)
    if (
        not may_skip_pages
        or identity is None
        or time.monotonic() - _checked_at.get(identity, -_CHECK_VALID_SECONDS) >= _CHECK_VALID_SECONDS
    ):
        _check_pages(connection, path)
        if identity is not None:
            _checked_at[identity] = time.monotonic()


def _identify(path: Path) -> tuple[Path, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return path.absolute(), status.st_dev, status.st_ino


def _check_parts(connection: sqlite3.Connection, path: Path, *, complete: bool) -> None:
    """Call it before anything is written: a planted trigger would run at each statement of ours."""
    connection.execute("BEGIN")  # version and parts of one moment: another process may be migrating it
    try:
        unexpected = find_planted(connection, list_our_parts(read_version(connection)), complete=complete)
    finally:
        connection.execute("COMMIT")
    if unexpected:
        raise build_corrupt_error(path, f"it holds {unexpected!r}, which is not as batchedit makes it")


def _copy_to_temporary(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A temporary copy: SQLite keeps it in memory while it is small, else in an unnamed file. Closes the original."""
    with closing(connection):
        copy = sqlite3.connect("", isolation_level=None, check_same_thread=False, cached_statements=64)
        try:
            connection.backup(copy)
        except BaseException:
            copy.close()
            raise
    return copy


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Run ``quick_check`` where it is fast; a checkpoint of a million rows is checked while it is read."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    if pages <= 20_000:  # 80 MB, 0.2 s
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise build_corrupt_error(path, verdict)
