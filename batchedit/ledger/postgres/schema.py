"""The tables and functions of a store: numbered SQL files, applied in order, each once.

``sql/NNNN_name.sql`` leads from version N-1 to N. A file that was released is never edited. Workers refuse a store of
another version than their own, because its functions are part of their code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import psycopg
from psycopg.rows import TupleRow

from ...core.errors import CheckpointVersionError, UsageError
from ...core.shell_commands import format_command
from .url import hide_password

SCHEMA = "batchedit"
_LOCK = 0x62617463
"""The key of the advisory lock that lets one process migrate at a time."""


@cache
def read_scripts() -> Sequence[str]:
    """The migrations in order."""
    folder = resources.files(__package__).joinpath("sql")
    files = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    numbers = [int(name.partition("_")[0]) for name, _ in files]
    if numbers != list(range(1, len(numbers) + 1)):
        raise RuntimeError(f"the migrations are not numbered 1, 2, 3, …: {[name for name, _ in files]}")
    return tuple(file.read_text(encoding="utf-8") for _, file in files)


def find_newest_version() -> int:
    """The version that this batchedit works with."""
    return len(read_scripts())


def read_version(connection: psycopg.Connection[TupleRow]) -> int:
    """The version of the store; 0 where there is none. UsageError where another program has a schema of that name."""
    checks = connection.execute(
        "SELECT to_regnamespace(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL", (SCHEMA, f"{SCHEMA}.migration")
    ).fetchone()
    exists, is_store = checks or (False, False)
    if not exists:
        return 0
    if not is_store:
        raise UsageError(
            f"the database has a schema {SCHEMA} that is not a store of batchedit", hint="give a database of its own"
        )
    row = connection.execute(f"SELECT coalesce(max(number), 0) FROM {SCHEMA}.migration").fetchone()
    return int(row[0]) if row else 0


def migrate(connection: psycopg.Connection[TupleRow]) -> tuple[int, int]:
    """Migrate the store to the newest version, in one transaction. Returns the versions before and after.

    Of two processes that migrate at once one waits, and finds it done. CheckpointVersionError for a newer one. Raises
    psycopg.Error.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        before = read_version(connection)
        if before > find_newest_version():
            raise _build_too_new_error(before)
        if not before:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
            connection.execute(
                f"CREATE TABLE {SCHEMA}.migration (number integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            )
        connection.execute(f"SET LOCAL search_path = {SCHEMA}, pg_temp")
        for number, script in enumerate(read_scripts()[before:], before + 1):
            connection.execute(script.encode())
            connection.execute("INSERT INTO migration (number) VALUES (%s)", (number,))
    return before, find_newest_version()


def check_version(connection: psycopg.Connection[TupleRow], url: str) -> None:
    """UsageError (64) for a database without a store, CheckpointVersionError (74) for one of another version."""
    version = read_version(connection)
    if not version:
        raise UsageError(
            f"there is no store in {hide_password(url)}", hint=f"make one with: {_build_init_command(url)}"
        )
    if version > find_newest_version():
        raise _build_too_new_error(version)
    if version < find_newest_version():
        raise CheckpointVersionError(
            f"the store {hide_password(url)} has version {version}, and this batchedit works with {find_newest_version()}",
            hint=f"once its workers have ended: {_build_init_command(url)}",
        )


def _build_init_command(url: str) -> str:
    return format_command("store", "init", hide_password(url))


def _build_too_new_error(version: int) -> CheckpointVersionError:
    return CheckpointVersionError(
        f"the store was made by a newer batchedit (its version is {version}, this one works with {find_newest_version()})",
        hint="update batchedit: pip install --upgrade batchedit",
    )
