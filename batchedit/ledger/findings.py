"""What is wrong with a dropped sheet's rows: all of it, grouped by cause, in pages."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

PAGE = 100
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|https?://\S+|\d[\d.,:]*")
_SCHEMA = """
    CREATE TABLE problems (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, id TEXT NOT NULL, cause INTEGER NOT NULL, field TEXT NOT NULL,
        value TEXT NOT NULL, reason TEXT NOT NULL, left_out INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE causes (cause INTEGER PRIMARY KEY, field TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
"""
_LONGEST = 20_000


class Finding(NamedTuple):
    """One thing wrong in one row. ``row`` is the sheet's own number; ``field`` the column, "" for the row as a whole."""

    row: int
    id: str
    field: str
    value: str
    reason: str
    left_out: bool


@dataclass(frozen=True, slots=True)
class Cause:
    """Rows that are wrong for one reason. ``alike``: how many different cells they have, and the commonest of them."""

    cause: int
    field: str
    reason: str
    count: int
    open: int
    alike: int
    value: str


class Findings:
    """``check.sqlite`` of a draft."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._causes: dict[tuple[str, str], int] = {}

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[Findings]:
        """New ones, which take the place of the old ones once they are whole."""
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part, isolation_level=None)) as db:
            db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}")
            db.execute("BEGIN")
            yield cls(db)
            db.execute("COMMIT")
            db.executescript("CREATE INDEX by_cause ON problems (cause, n); CREATE INDEX by_row ON problems (row);")
        part.replace(path)

    @classmethod
    @contextmanager
    def open_existing(cls, path: Path) -> Iterator[Findings]:
        """Those that are there, to read."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            yield cls(db)

    def add(self, found: Finding) -> None:
        """One more."""
        key = found.field, _VARYING.sub("…", found.reason)
        cause = self._causes.get(key)
        if cause is None:
            cause = self._causes[key] = len(self._causes) + 1
            self._db.execute("INSERT INTO causes VALUES (?, ?, ?)", (cause, found.field, found.reason))
        values = (found.row, found.id, cause, found.field, found.value[:_LONGEST], found.reason, int(found.left_out))
        texts = [value.encode(errors="replace").decode() if isinstance(value, str) else value for value in values]
        self._db.execute(
            "INSERT INTO problems (row, id, cause, field, value, reason, left_out) VALUES (?, ?, ?, ?, ?, ?, ?)", texts
        )

    def list_causes(self) -> list[Cause]:
        """The commonest first."""
        query = (
            "SELECT c.cause, c.field, c.reason, count(*), sum(NOT left_out), count(DISTINCT value), max(value) "
            "FROM problems JOIN causes c USING (cause) GROUP BY c.cause ORDER BY 4 DESC, 1"
        )
        return [Cause(*told) for told in self._db.execute(query)]

    def read_page(self, cause: int, begin: int) -> list[dict[str, Any]]:
        """A hundred of one cause, from the ``begin``-th (from 0); of all where ``cause`` is 0."""
        where = "WHERE cause = :cause" if cause else ""
        columns = "row, id, field, value, reason, left_out, cause"
        query = f"SELECT {columns} FROM problems {where} ORDER BY n LIMIT :most OFFSET :begin"
        names = ("row", "id", "field", "value", "reason", "left_out", "cause")
        return [
            dict(zip(names, told, strict=True))
            for told in self._db.execute(query, {"cause": cause, "most": PAGE, "begin": begin})
        ]

    def read_all(self) -> Iterator[Finding]:
        """Each fault, in order of row."""
        query = "SELECT row, id, field, value, reason, left_out FROM problems ORDER BY n"
        rows = self._db.execute(query)
        return (Finding(row, id_, field, value, reason, bool(out)) for row, id_, field, value, reason, out in rows)

    def count_before(self, cause: int, row: int) -> int | None:
        """How many of one cause stand before the first of ``row``; None if the row has no problem."""
        first = "SELECT min(n) FROM problems WHERE row = :row AND :cause IN (0, cause)"
        at = self._db.execute(first, {"row": row, "cause": cause}).fetchone()[0]
        if at is None:
            return None
        before = "SELECT count(*) FROM problems WHERE n < :at AND :cause IN (0, cause)"
        return int(self._db.execute(before, {"at": at, "cause": cause}).fetchone()[0])

    def list_rows_of_cause(self, cause: int) -> list[int]:
        """Every row of one cause; of all where ``cause`` is 0."""
        query = "SELECT DISTINCT row FROM problems WHERE :cause IN (0, cause)"
        return [row for (row,) in self._db.execute(query, {"cause": cause})]

    def count_open_rows(self) -> int:
        """How many rows are neither mended nor left out."""
        return int(self._db.execute("SELECT count(DISTINCT row) FROM problems WHERE NOT left_out").fetchone()[0])

    def count_left_out_rows(self) -> int:
        """How many rows were left out on purpose."""
        return int(self._db.execute("SELECT count(DISTINCT row) FROM problems WHERE left_out").fetchone()[0])
