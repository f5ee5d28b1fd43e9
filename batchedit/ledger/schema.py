"""The checkpoint's tables: numbered SQL files, applied in order.

``migrations/NNNN_name.sql`` leads from version N-1 to N; ``PRAGMA user_version`` holds N. A new checkpoint and an old one
take the same way, so both end with the same tables. A file that was released is never edited: what changes the tables is
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
    """The migrations in order: the first one makes the tables of version 1."""
    folder = resources.files(__package__).joinpath("migrations")
    found = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    numbers = [int(name.partition("_")[0]) for name, _ in found]
    if numbers != list(range(1, len(numbers) + 1)):
        raise RuntimeError(f"the migrations are not numbered 1, 2, 3, …: {[name for name, _ in found]}")
    return tuple(file.read_text(encoding="utf-8") for _, file in found)


def find_newest_version() -> int:
    """The version that this batchedit writes."""
    return len(read_scripts())


def read_version(db: sqlite3.Connection) -> int:
    """The version of the tables in ``db``; 0 for an empty file. sqlite3.Error where it can't be read."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables of ``db`` to the newest version, in one transaction: all steps or none. Raises sqlite3.Error.

    The version is read inside the transaction: of two processes that open an old file one migrates it, and the other finds
    it migrated.
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


# --- what is ours ---------------------------------------------------------------------------------

INTAKE_TABLE = """
    CREATE TABLE incoming (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, id TEXT NOT NULL, job INTEGER, problems TEXT, over TEXT
    ) STRICT
"""
"""An intake's lines until it is whole. It is compared letter by letter: it stays as it is."""
INTAKE_ENDS = (
    "DROP TABLE lines",
    "ALTER TABLE incoming RENAME TO lines",
    "CREATE INDEX lines_job ON lines (job)",
    "CREATE UNIQUE INDEX IF NOT EXISTS jobs_key ON jobs (key)",
    "CREATE INDEX IF NOT EXISTS jobs_slot ON jobs (slot, version)",
)
_GUARD = "_only_grow_"
_STATISTICS = frozenset({"sqlite_stat1", "sqlite_stat4"})
"""What ``ANALYZE`` leaves in a file that somebody looked at by hand: it decides about speed alone."""

Part = tuple[str, str, str, str | None]
"""A table, index, trigger or view: its type, its name, its table, and the statement that made it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a database of ours may hold, and the ``(type, name)`` of what it must hold."""

    allowed: frozenset[Part]
    needed: frozenset[tuple[str, str]]


def find_planted(db: sqlite3.Connection, ours: Parts, *, complete: bool = True) -> str:
    """The name of a table, index, trigger or view in ``db`` that is not made by the very statement that makes ``ours``; "" if
    none. With ``complete`` also of one of ours that is missing: what only looks, ``audit`` above all, tells what became of a
    database that somebody changed.

    A database that came from somebody else could hold a trigger that buys twice or lifts the cap, at any statement of ours;
    a CHECK that no id passes, so that what was paid for is lost; a column that computes; or lack the trigger that keeps the
    sums that the cap is weighed by. The guards of what only grows may be missing: they add nothing.
    """
    found = list_parts(db)
    names = [(kind, name) for kind, name, *_ in found]
    strange = sorted(name for kind, name, *rest in found if (kind, name, *rest) not in ours.allowed)
    strange += sorted(name for kind, name in set(names) if names.count((kind, name)) > 1)
    if complete:
        strange += sorted(name for _, name in ours.needed.difference(names))
    return strange[0] if strange else ""


def list_parts(db: sqlite3.Connection) -> list[Part]:
    """The tables, indexes, triggers and views of ``db``, in the order in which they were made; what ``ANALYZE`` left is not
    among them. sqlite3.Error where the file can't be read.
    """
    found = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return [part for part in found if part[1] not in _STATISTICS]


def combine_parts(*states: Iterable[Part]) -> Parts:
    """What is ours, from the parts of a database in each of the states that it may be in: allowed is what any of ``states``
    has, needed what the first one has, but for the guards of what only grows.
    """
    first = list(states[0])
    needed = frozenset((kind, name) for kind, name, *_ in first if _GUARD not in name)
    return Parts(frozenset(part for state in (first, *states[1:]) for part in state), needed)


@cache
def list_our_parts(version: int) -> Parts:
    """The parts of a checkpoint of ``version``, from 1 on: allowed is what it has when it is empty, in the middle of an
    intake or after one, needed what an empty one has.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for script in read_scripts()[:version]:
            for statement in split_statements(script):
                db.execute(statement)
        empty = list_parts(db)
        db.execute(INTAKE_TABLE)
        amid = list_parts(db)
        for statement in INTAKE_ENDS:
            db.execute(statement)
        return combine_parts(empty, amid, list_parts(db))
