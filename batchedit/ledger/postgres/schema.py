"""The tables and functions of a store: numbered SQL files, applied in order, each once.

``sql/NNNN_name.sql`` leads from version N-1 to N. A file that was released is never edited. Workers refuse a store of another
version than their own: its functions are half of their code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import CheckpointVersionError, UsageError
from ...core.typed import format_command
from .url import blotted

SCHEMA = "batchedit"
_LOCK = 0x62617463
"""The key of the advisory lock that lets one process migrate at a time."""


@cache
def scripts() -> Sequence[str]:
    """The migrations in order."""
    folder = resources.files(__package__).joinpath("sql")
    found = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    numbers = [int(name.partition("_")[0]) for name, _ in found]
    if numbers != list(range(1, len(numbers) + 1)):
        raise RuntimeError(f"the migrations are not numbered 1, 2, 3, …: {[name for name, _ in found]}")
    return tuple(file.read_text(encoding="utf-8") for _, file in found)


def newest_version() -> int:
    """The version that this batchedit works with."""
    return len(scripts())


def version_of(connection: psycopg.Connection[TupleRow]) -> int:
    """The version of the store; 0 where there is none. UsageError where the schema's name is somebody else's."""
    found = connection.execute(
        "SELECT to_regnamespace(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL", (SCHEMA, f"{SCHEMA}.migration")
    ).fetchone()
    there, ours = found or (False, False)
    if not there:
        return 0
    if not ours:
        raise UsageError(
            f"the database has a schema {SCHEMA} that is not a store of batchedit", hint="give a database of its own"
        )
    row = connection.execute(f"SELECT coalesce(max(number), 0) FROM {SCHEMA}.migration").fetchone()
    return int(row[0]) if row else 0


def migrate(connection: psycopg.Connection[TupleRow]) -> tuple[int, int]:
    """Bring the store to the newest version, in one transaction. Returns the versions before and after.

    Of two that do so at once one waits, and finds it done. CheckpointVersionError for a newer one. Raises psycopg.Error.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        before = version_of(connection)
        if before > newest_version():
            raise _too_new(before)
        if not before:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
            connection.execute(
                f"CREATE TABLE {SCHEMA}.migration (number integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            )
        connection.execute(f"SET LOCAL search_path = {SCHEMA}, pg_temp")
        for number, script in enumerate(scripts()[before:], before + 1):
            connection.execute(script.encode())
            connection.execute("INSERT INTO migration (number) VALUES (%s)", (number,))
    return before, newest_version()


def check_version(connection: psycopg.Connection[TupleRow], url: str) -> None:
    """UsageError (64) for a database without a store, CheckpointVersionError (74) for one of another version."""
    version = version_of(connection)
    if not version:
        raise UsageError(f"there is no store in {blotted(url)}", hint=f"make one with: {_to_make(url)}")
    if version > newest_version():
        raise _too_new(version)
    if version < newest_version():
        raise CheckpointVersionError(
            f"the store {blotted(url)} has version {version}, and this batchedit works with {newest_version()}",
            hint=f"once its workers have ended: {_to_make(url)}",
        )


def _to_make(url: str) -> str:
    return format_command("store", "init", blotted(url))


def _too_new(version: int) -> CheckpointVersionError:
    return CheckpointVersionError(
        f"the store was made by a newer batchedit (its version is {version}, this one works with {newest_version()})",
        hint="update batchedit: pip install --upgrade batchedit",
    )
