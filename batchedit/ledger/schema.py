"""The checkpoint's tables: numbered SQL files, applied in order.

``migrations/NNNN_name.sql`` leads from version N-1 to N; ``PRAGMA user_version`` holds N. A new checkpoint and an old one
take the same way, so both end with the same tables. A file that was released is never edited: what changes the tables is
the next number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib import resources


@cache
def scripts() -> tuple[str, ...]:
    """The migrations in order: the first one makes the tables of version 1."""
    folder = resources.files(__package__).joinpath("migrations")
    found = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    numbers = [int(name.partition("_")[0]) for name, _ in found]
    if numbers != list(range(1, len(numbers) + 1)):
        raise RuntimeError(f"the migrations are not numbered 1, 2, 3, …: {[name for name, _ in found]}")
    return tuple(file.read_text(encoding="utf-8") for _, file in found)


def newest_version() -> int:
    """The version that this batchedit writes."""
    return len(scripts())


def version_of(db: sqlite3.Connection) -> int:
    """The version of the tables in ``db``; 0 for an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables of ``db`` to the newest version, in one transaction: all steps or none. Raises sqlite3.Error.

    The version is read inside the transaction: of two processes that open an old file one migrates it, and the other finds
    it migrated.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(db)
        for script in scripts()[version:]:
            for statement in statements(script):
                db.execute(statement)
        if version < newest_version():
            db.execute(f"PRAGMA user_version = {newest_version()}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def statements(script: str) -> Iterator[str]:
    """The statements of ``script``, each ending at the end of a line. ``executescript`` would commit between them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


_GUARD = "_only_grow_"


def planted(db: sqlite3.Connection, ours: frozenset[tuple[str, str]], *, complete: bool = True) -> str:
    """The name of a trigger or a view in ``db`` that is not among ``ours``; "" if none. With ``complete`` also of one of ours
    that is missing: what only looks, ``audit`` above all, tells what became of a database that somebody changed.

    A database that came from somebody else could hold one that buys twice or lifts the cap, at any statement of ours; or lack
    the one that keeps the sums that the cap is weighed by. The guards of what only grows may be missing: they add nothing.
    """
    found = rules_of(db)
    missing = {(name, sql) for name, sql in ours - found if complete and _GUARD not in name}
    strange = sorted((found - ours) | missing)
    return strange[0][0] if strange else ""


def rules_of(db: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """``(name, SQL)`` of every trigger and view in ``db``."""
    return frozenset(db.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"))


def our_rules() -> frozenset[tuple[str, str]]:
    """Those of a checkpoint of the newest version."""
    return _rules_after(scripts())


@cache
def _rules_after(migrations: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for script in migrations:
            for statement in statements(script):
                db.execute(statement)
        return rules_of(db)
