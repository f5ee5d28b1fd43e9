"""The row numbers that a person sees. Inside, a row is counted from 1 below the header: its index.

In CSV and Excel the number is the one that a spreadsheet shows beside the row: the header, title rows and blank rows count,
and a record with line breaks in a cell is one row. In JSONL it is the line of the file; Parquet and DataFrames have no row
numbers, so it is the position of the record, from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .rows import Form, FormKind

SHOWN_ROWS = 5
_WORDS = {FormKind.JSONL: "line", FormKind.PARQUET: "position", FormKind.FRAME: "position"}
_LIKE_ROW = re.compile(r"\blike_row_(\d+)")


def sheet_row(form: Form, index: int) -> int:
    """The number that a person sees for the row of this index. The one place where the two meet."""
    return index + form.header_row


def row_index(form: Form, row: int) -> int:
    """The inverse: the index of the row that a person names. Below 1 where that is no row of data."""
    return row - form.header_row


def row_word(form: Form) -> str:
    """What the number counts: ``row`` of a sheet, ``line`` of a file, ``position`` in a table without row numbers."""
    return _WORDS.get(form.kind, "row")


def row_id(form: Form, index: int, id_: str) -> str:
    """The row's own id; ``""`` where it has none and its number stands for one. In a run of the first edition the index did,
    and its files are called so.
    """
    number = index if form.ids_by_index else sheet_row(form, index)
    return "" if id_ == str(number) else id_


def named_row(word: str, row: int, id_: str = "") -> str:
    """``row 7 (00413)``: a number that a person sees, with the row's id where there is one."""
    return f"{word} {row} ({id_})" if id_ else f"{word} {row}"


def row_name(form: Form, index: int, id_: str = "") -> str:
    """The same for the row of this index."""
    return named_row(row_word(form), sheet_row(form, index), row_id(form, index, id_))


@dataclass(slots=True)
class Rows:
    """Rows that something is told about: how many, and the first few of them, each as ``(index, id)``."""

    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    _last: int = 0

    def add(self, index: int, id_: str) -> None:
        """Rows come in order; one that comes again is counted once."""
        if index == self._last:
            return
        self._last = index
        self.count += 1
        if len(self.first) < SHOWN_ROWS:
            self.first.append((index, id_))

    def told(self, form: Form) -> str:
        """``row 3 (00413), row 7 (00417), …``: the first few."""
        some = ", ".join(row_name(form, *row) for row in self.first)
        return f"{some}{', …' if self.count > len(self.first) else ''}"


def sheet_flags(form: Form, flags: str) -> str:
    """Flags of pictures as a person sees them: the row in ``like_row_N`` is the sheet's own."""
    if "like_row_" not in flags:
        return flags
    return _LIKE_ROW.sub(lambda found: f"like_row_{sheet_row(form, int(found.group(1)))}", flags)
