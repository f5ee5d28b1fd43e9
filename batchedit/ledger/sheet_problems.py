"""The problems of a dropped sheet's rows, grouped by cause, in pages."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..disk import replace_atomically

PAGE = 100
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|https?://\S+|\d[\d.,:]*")
_SCHEMA = """
    CREATE TABLE problems (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, id TEXT NOT NULL, cause INTEGER NOT NULL, field TEXT NOT NULL,
        value TEXT NOT NULL, reason TEXT NOT NULL, left_out INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE causes (cause INTEGER PRIMARY KEY, field TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
"""
_LONGEST_VALUE = 20_000


class Finding(NamedTuple):
    """One problem of one row. ``row`` is the sheet's own number; ``field`` the column, "" for the row as a whole."""

    row: int
    id: str
    field: str
    value: str
    reason: str
    left_out: bool


@dataclass(frozen=True, slots=True)
class Cause:
    """Rows that have a problem for one reason. ``alike``: how many different cells they have, and the commonest of them."""

    cause: int
    field: str
    reason: str
    count: int
    open: int
    alike: int
    value: str


class Findings:
    """The file ``check.sqlite`` of a draft."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._causes: dict[tuple[str, str], int] = {}

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[Findings]:
        """Make a new file. It replaces the old one when the block ends."""
        with replace_atomically(path) as part, closing(sqlite3.connect(part, isolation_level=None)) as db:
            db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA}")
            db.execute("BEGIN")
            yield cls(db)
            db.execute("COMMIT")
            db.executescript("CREATE INDEX by_cause ON problems (cause, n); CREATE INDEX by_row ON problems (row);")

    @classmethod
    @contextmanager
    def open_existing(cls, path: Path) -> Iterator[Findings]:
        """Open the file for reading."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            yield cls(db)

    def add(self, finding: Finding) -> None:
        """Write one finding."""
        key = finding.field, _VARYING.sub("…", finding.reason)
        cause = self._causes.get(key)
        if cause is None:
            cause = self._causes[key] = len(self._causes) + 1
            self._db.execute("INSERT INTO causes VALUES (?, ?, ?)", (cause, finding.field, finding.reason))
        values = (
            finding.row,
            finding.id,
            cause,
            finding.field,
            finding.value[:_LONGEST_VALUE],
            finding.reason,
            int(finding.left_out),
        )
        encoded = [value.encode(errors="replace").decode() if isinstance(value, str) else value for value in values]
        self._db.execute(
            "INSERT INTO problems (row, id, cause, field, value, reason, left_out) VALUES (?, ?, ?, ?, ?, ?, ?)",
            encoded,
        )

    def list_causes(self) -> list[Cause]:
        """All causes, the commonest first."""
        query = (
            "SELECT c.cause, c.field, c.reason, count(*), sum(NOT left_out), count(DISTINCT value), max(value) "
            "FROM problems JOIN causes c USING (cause) GROUP BY c.cause ORDER BY 4 DESC, 1"
        )
        return [Cause(*row) for row in self._db.execute(query)]

    def read_page(self, cause: int, begin: int) -> list[dict[str, Any]]:
        """PAGE findings of one cause, from the ``begin``-th (from 0); of all causes where ``cause`` is 0."""
        where = "WHERE cause = :cause" if cause else ""
        columns = "row, id, field, value, reason, left_out, cause"
        query = f"SELECT {columns} FROM problems {where} ORDER BY n LIMIT :most OFFSET :begin"
        names = ("row", "id", "field", "value", "reason", "left_out", "cause")
        return [
            dict(zip(names, row, strict=True))
            for row in self._db.execute(query, {"cause": cause, "most": PAGE, "begin": begin})
        ]

    def read_all(self) -> Iterator[Finding]:
        """Each finding, in order of row."""
        query = "SELECT row, id, field, value, reason, left_out FROM problems ORDER BY n"
        rows = self._db.execute(query)
        return (Finding(row, id_, field, value, reason, bool(out)) for row, id_, field, value, reason, out in rows)

    def count_before(self, cause: int, row: int) -> int | None:
        """The number of findings of one cause before the first of ``row``; None if the row has none."""
        first_query = "SELECT min(n) FROM problems WHERE row = :row AND :cause IN (0, cause)"
        first_n = self._db.execute(first_query, {"row": row, "cause": cause}).fetchone()[0]
        if first_n is None:
            return None
        before_query = "SELECT count(*) FROM problems WHERE n < :at AND :cause IN (0, cause)"
        return int(self._db.execute(before_query, {"at": first_n, "cause": cause}).fetchone()[0])

    def list_rows_of_cause(self, cause: int) -> list[int]:
        """Every row of one cause; of all causes where ``cause`` is 0."""
        query = "SELECT DISTINCT row FROM problems WHERE :cause IN (0, cause)"
        return [row for (row,) in self._db.execute(query, {"cause": cause})]

    def count_open_rows(self) -> int:
        """The number of rows that are neither mended nor left out."""
        return int(self._db.execute("SELECT count(DISTINCT row) FROM problems WHERE NOT left_out").fetchone()[0])

    def count_left_out_rows(self) -> int:
        """The number of rows that were left out on purpose."""
        return int(self._db.execute("SELECT count(DISTINCT row) FROM problems WHERE left_out").fetchone()[0])
