"""The row numbers that a person sees. In the code a row has an index, counted from 1 below the header.

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


def to_sheet_row(form: Form, index: int) -> int:
    """The number that a person sees for the row of this index."""
    return index + form.header_row


def to_row_index(form: Form, row: int) -> int:
    """The inverse of ``to_sheet_row``. Below 1 for a row that is not below the header."""
    return row - form.header_row


def choose_row_word(form: Form) -> str:
    """What the number counts: a ``row`` of a sheet, a ``line`` of a file, a ``position`` in a table without row numbers."""
    return _WORDS.get(form.kind, "row")


def find_row_id(form: Form, index: int, id_: str) -> str:
    """The row's own id; ``""`` if it has none, so that ``id_`` is its number. In a run of the first edition ``id_`` is the
    index, and the files have it in their names.
    """
    number = index if form.ids_by_index else to_sheet_row(form, index)
    return "" if id_ == str(number) else id_


def format_row_label(word: str, row: int, id_: str = "") -> str:
    """``row 7 (00413)``: a number that a person sees, with the row's id if it has one."""
    return f"{word} {row} ({id_})" if id_ else f"{word} {row}"


def describe_row(form: Form, index: int, id_: str = "") -> str:
    """``row 7 (00413)`` for the row of this index."""
    return format_row_label(choose_row_word(form), to_sheet_row(form, index), find_row_id(form, index, id_))


@dataclass(slots=True)
class RowExamples:
    """The rows that a message is about: their count, and the first few of them, each as ``(index, id)``."""

    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    _last: int = 0

    def add(self, index: int, id_: str) -> None:
        """Add rows in order; a repeated row is counted once."""
        if index == self._last:
            return
        self._last = index
        self.count += 1
        if len(self.first) < SHOWN_ROWS:
            self.first.append((index, id_))

    def describe(self, form: Form) -> str:
        """``row 3 (00413), row 7 (00417), …``: the first few."""
        names = ", ".join(describe_row(form, *row) for row in self.first)
        return f"{names}{', …' if self.count > len(self.first) else ''}"


def to_sheet_flags(form: Form, flags: str) -> str:
    """The flags of pictures with the row in ``like_row_N`` as a person sees it."""
    if "like_row_" not in flags:
        return flags
    return _LIKE_ROW.sub(lambda match: f"like_row_{to_sheet_row(form, int(match.group(1)))}", flags)
