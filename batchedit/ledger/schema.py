"""The checkpoint's tables: numbered SQL files, applied in order.

``migrations/NNNN_name.sql`` leads from version N-1 to N; ``PRAGMA user_version`` holds N. A new checkpoint and an old
one run the same files, so both end with the same tables. A released file is never edited: a change of the tables gets
the next number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib import resources


@cache
def read_scripts() -> tuple[str, ...]:
    """The migrations in order: the first one creates the tables of version 1."""
    folder = resources.files(__package__).joinpath("migrations")
    files = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    numbers = [int(name.partition("_")[0]) for name, _ in files]
    if numbers != list(range(1, len(numbers) + 1)):
        raise RuntimeError(f"the migrations are not numbered 1, 2, 3, …: {[name for name, _ in files]}")
    return tuple(file.read_text(encoding="utf-8") for _, file in files)


def find_newest_version() -> int:
    """The version that this batchedit writes."""
    return len(read_scripts())


def read_version(db: sqlite3.Connection) -> int:
    """The version of the tables in ``db``; 0 for an empty file. sqlite3.Error where it can't be read."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Migrate the tables of ``db`` to the newest version, in one transaction: all steps or none. Raises sqlite3.Error.

    The version is read inside the transaction: of two processes that open an old file one migrates it, and the other
    finds it migrated.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        version = read_version(db)
        for script in read_scripts()[version:]:
            for statement in split_statements(script):
                db.execute(statement)
        if version < find_newest_version():
            db.execute(f"PRAGMA user_version = {find_newest_version()}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def split_statements(script: str) -> Iterator[str]:
    """The statements of ``script``, each ending at the end of a line. ``executescript`` would commit between them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


# --- our own parts --------------------------------------------------------------------------------

INTAKE_TABLE = """
    CREATE TABLE incoming (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, id TEXT NOT NULL, job INTEGER, problems TEXT, over TEXT
    ) STRICT
"""
"""An intake's lines until it is complete. The statement is compared letter by letter, so it must not be edited."""
INTAKE_ENDS = (
    "DROP TABLE lines",
    "ALTER TABLE incoming RENAME TO lines",
    "CREATE INDEX lines_job ON lines (job)",
    "CREATE UNIQUE INDEX IF NOT EXISTS jobs_key ON jobs (key)",
    "CREATE INDEX IF NOT EXISTS jobs_slot ON jobs (slot, version)",
)
_GUARD_INFIX = "_only_grow_"
_STATISTICS = frozenset({"sqlite_stat1", "sqlite_stat4"})
"""Tables that ``ANALYZE`` leaves in a file that a person inspected by hand: they affect speed alone."""

Part = tuple[str, str, str, str | None]
"""A table, index, trigger or view: its type, its name, its table, and the statement that created it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a database of ours may hold, and the ``(type, name)`` of those that it must hold."""

    allowed: frozenset[Part]
    needed: frozenset[tuple[str, str]]


def find_planted(db: sqlite3.Connection, own_parts: Parts, *, complete: bool = True) -> str:
    """The name of a table, index, trigger or view in ``db`` that differs from the statement in ``own_parts``; "" if
    none. With ``complete`` also the name of a missing one. Without, commands that only read, ``audit`` above all, can
    report what was done to a database.

    A database from another person could hold a trigger that buys twice or lifts the cap, at any statement of ours; a
    CHECK that no id passes, so that what was paid for is lost; a generated column; or lack the trigger that updates the
    sums that the cap is checked by. The guards of append-only tables may be missing: they add nothing.
    """
    parts = list_parts(db)
    names = [(kind, name) for kind, name, *_ in parts]
    unexpected = sorted(name for kind, name, *rest in parts if (kind, name, *rest) not in own_parts.allowed)
    unexpected += sorted(name for kind, name in set(names) if names.count((kind, name)) > 1)
    if complete:
        unexpected += sorted(name for _, name in own_parts.needed.difference(names))
    return unexpected[0] if unexpected else ""


def list_parts(db: sqlite3.Connection) -> list[Part]:
    """The tables, indexes, triggers and views of ``db``, in the order of their creation, without those of ``ANALYZE``.
    sqlite3.Error where the file can't be read.
    """
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return [part for part in rows if part[1] not in _STATISTICS]


def combine_parts(*states: Iterable[Part]) -> Parts:
    """Our own parts, from those of a database in each of its possible states: allowed are the parts of any of
    ``states``, needed those of the first one, except the guards of append-only tables.
    """
    first_state = list(states[0])
    needed = frozenset((kind, name) for kind, name, *_ in first_state if _GUARD_INFIX not in name)
    return Parts(frozenset(part for state in (first_state, *states[1:]) for part in state), needed)


@cache
def list_our_parts(version: int) -> Parts:
    """The parts of a checkpoint of ``version``, from 1 on: allowed are those of an empty one, of one during an intake
    and of one after it; needed are those of an empty one.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for script in read_scripts()[:version]:
            for statement in split_statements(script):
                db.execute(statement)
        empty = list_parts(db)
        db.execute(INTAKE_TABLE)
        during_intake = list_parts(db)
        for statement in INTAKE_ENDS:
            db.execute(statement)
        return combine_parts(empty, during_intake, list_parts(db))
