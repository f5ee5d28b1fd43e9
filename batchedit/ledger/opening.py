"""A checkpoint's file made, checked and opened; never overwritten."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

from ..core.errors import CheckpointCorruptError, CheckpointError, CheckpointVersionError, NotFoundError
from .errors import corrupt, mapped
from .file_guard import put_in_place
from .intake import sweep
from .sqlite import BUSY_SECONDS, SqliteCheckpoint

APPLICATION_ID = 0x62617463  # "batc", so that `file` and we know whose database it is
SCHEMA_VERSION = 1
MIGRATIONS: dict[int, str] = {}
"""From version N to N+1: a script, run in one transaction. Empty while there is one version."""


def create_checkpoint(path: Path, *, model: str, service: str) -> SqliteCheckpoint:
    """A new, empty checkpoint. ``service`` says where its jobs live: a base URL, or ``sandbox``.

    Made under another name: a process that dies here leaves no half of one, which nobody could open again.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        connection = _connect(part, "rwc")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            script = resources.files(__package__).joinpath("migrations/0001_first.sql").read_text(encoding="utf-8")
            connection.executescript(
                f"BEGIN; {script} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
            connection.execute("INSERT INTO meta VALUES ('model', ?), ('service', ?)", (model, service))
        finally:
            connection.close()
        put_in_place(part, path)
        return SqliteCheckpoint(path, _connect(path, "rw"))
    except sqlite3.Error as error:
        raise mapped(error, path) from error
    except OSError as error:
        raise CheckpointError(f"{path} can't be written: {error.strerror or error}") from error


def open_checkpoint(path: Path, *, read_only: bool = False) -> SqliteCheckpoint:
    """An existing checkpoint, checked before use and never overwritten.

    Raises NotFoundError, CheckpointCorruptError, CheckpointVersionError (a newer batchedit wrote it), CheckpointError.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no checkpoint at {path}", hint="start one with: batchedit run MANIFEST")
    try:
        connection = _connect(path, "ro" if read_only else "rw")
        try:
            _verify(connection, path)
            checkpoint = SqliteCheckpoint(path, connection)
            if not read_only:
                with checkpoint.transaction() as db:
                    sweep(db)
            return checkpoint
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise mapped(error, path) from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS, cached_statements=64
        )
    except sqlite3.Error as error:
        raise mapped(error, path) from error
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _verify(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise CheckpointCorruptError(
            f"{path} is not a batchedit checkpoint", hint="move it away, or give another --out DIR"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise CheckpointVersionError(
            f"{path} was written by a newer batchedit (its format is {version}, this one knows {SCHEMA_VERSION})",
            hint="update batchedit: pip install --upgrade batchedit",
        )
    _check_pages(connection, path)
    for step in range(version, SCHEMA_VERSION):
        connection.executescript(f"BEGIN; {MIGRATIONS[step]}; PRAGMA user_version = {step + 1}; COMMIT;")


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """``quick_check`` while that is fast; a checkpoint of a million rows is checked where it is read."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    if pages <= 20_000:  # 80 MB, 0.2 s
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise corrupt(path, verdict)
