"""Finds the row of a table that holds the column names, and the columns that are read. For all forms with rows of cells.

The rows below a header identify it. Above it there may be a title, report lines, what Numbers calls "Table 1", and in
the templates of Amazon and Meta lines of explanations; the last line of names above the data is the header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.columns import RESULT_COLUMNS
from ..core.errors import ManifestError, UsageError
from ..core.plurals_and_durations import pluralize
from .blank import strip_invisible
from .nearest import join_names, normalize_name
from .shop_column_names import COLUMN_WORDS

HEADER_SEARCH_ROWS = 60
"""Rows from the top that are searched for the header."""

OUR_COLUMNS = frozenset(RESULT_COLUMNS)
"""Columns of an earlier results file, which are not read. Only exactly these names are ours."""

_MAX_NAME_LENGTH = 100  # characters of a column's name
_DATA = re.compile(
    r"https?://|//|data:|.*\.(?:jpe?g|png|webp|gif|avif|heic|tiff?|bmp)\s*$", re.IGNORECASE | re.DOTALL
).match
_TECHNICAL = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*").fullmatch
_AMOUNT = re.compile(r"[\s\d.,:/%€$£+-]*\d[\s\d.,:/%€$£+-]*").fullmatch


def find_header(records: Sequence[Sequence[Any]], header_row: int | None = None) -> int:
    """The position (from 0) of the header among a sheet's first ``records``, blank ones included.

    ``header_row`` is the value of ``--header-row``, from 1: UsageError if that row is missing or empty. ManifestError if no
    record has a cell.
    """
    rows = [[_clean_name(cell) for cell in record] for record in records]
    cell_counts = [sum(1 for cell in row if cell) for row in rows]
    first = next((place for place, count in enumerate(cell_counts) if count), None)
    if first is None:
        raise ManifestError("the sheet is empty", hint="A manifest begins with a line of column names.")
    if header_row is not None:
        if not 0 < header_row <= len(rows) or not cell_counts[header_row - 1]:
            raise UsageError(
                f"--header-row {header_row}: there is no row of column names",
                hint="Count as the spreadsheet does, from 1.",
            )
        return header_row - 1
    first_data = next((place for place, row in enumerate(rows) if any(map(_DATA, row))), len(rows))
    width = max(cell_counts)
    candidates = [
        place for place in range(first, first_data) if _could_be_names(rows[place], cell_counts[place], width)
    ]
    if not candidates or first_data == first:
        return first
    known_counts = {place: sum(_is_known(cell) for cell in rows[place]) for place in candidates}
    best_count = max(known_counts.values())
    if not best_count and first_data == len(rows):
        return first  # no data below, and no known names
    above_data = known_counts.get(first_data - 1, 0)
    if best_count and (above_data == best_count or (above_data > 1 and _is_technical(rows[first_data - 1]))):
        return (
            first_data - 1
        )  # a template's technical names stand below its names for people, which may be known better
    if known_counts[candidates[0]] * 2 >= best_count:
        return candidates[0]
    return next(place for place in candidates if known_counts[place] == best_count)


def describe_header(row: int, above: int) -> str:
    """The plan's note on a header that is not the first row; ``""`` if no row with cells is above it."""
    if not above:
        return ""
    return f"the header is row {row}; {above} row{'s' if above > 1 else ''} above it {'are' if above > 1 else 'is'} left out"


def _could_be_names(row: Sequence[str], filled: int, width: int) -> bool:
    cells = [cell for cell in row if cell]
    if filled < min(2, width) or filled * 2 < width or len(set(cells)) < len(cells) - 2:
        return False
    if any(len(cell) > _MAX_NAME_LENGTH or cell.startswith("#") for cell in cells):
        return False
    return not any(map(_AMOUNT, cells))


def _is_technical(row: Sequence[str]) -> bool:
    """True if these are the names of a program: ``item_sku``, ``main_image_url``."""
    cells = [cell for cell in row if cell]
    return all(map(_TECHNICAL, cells)) and any("_" in cell for cell in cells)


def _is_known(cell: str) -> bool:
    return normalize_name(cell) in COLUMN_WORDS


def _clean_name(cell: Any) -> str:
    return "" if cell is None else strip_invisible(str(cell))


@dataclass(frozen=True, slots=True)
class Columns:
    """A header's columns: ``width`` cells a record, of which those at ``positions`` have the names ``names``.

    ``unnamed`` are positions without a name, where every row must be empty. ``min_width`` is the least number of cells of a
    row: empty ones at the end may be missing. ``dropped`` is True if columns of ours, or unnamed ones, are left out.
    """

    names: tuple[str, ...]
    positions: tuple[int, ...]
    unnamed: tuple[int, ...]
    width: int
    min_width: int
    notes: tuple[str, ...]

    @property
    def dropped(self) -> bool:
        return len(self.positions) < self.width


def choose_columns(header: Sequence[Any], name: str) -> Columns:
    """The columns of ``header``. ManifestError if it can't be the header of the table ``name``."""
    names = [_clean_name(cell) for cell in header]
    unnamed = tuple(place for place, column in enumerate(names) if not column)
    named_places = [place for place, column in enumerate(names) if column]
    if not named_places:
        raise ManifestError(f"{name} is empty", hint="A manifest begins with a line of column names.")
    check_unique(names, name)
    positions = tuple(place for place in named_places if names[place] not in OUR_COLUMNS)
    our_names = [names[place] for place in named_places if names[place] in OUR_COLUMNS]
    left_out = pluralize(len(our_names), "column of an earlier result is", "columns of an earlier result are")
    notes = (f"{left_out} left out ({join_names(our_names, 'and', 4)})",) if our_names else ()
    if not positions:
        raise ManifestError(f"{name} has only columns of ours, of an earlier result", hint="Give the original table.")
    return Columns(
        tuple(names[place] for place in positions), positions, unnamed, len(names), named_places[-1] + 1, notes
    )


def check_unique(names: Sequence[str], name: str) -> None:
    """ManifestError if two columns have the same name."""
    duplicates = {column for column, count in Counter(filter(None, names)).items() if count > 1}
    if duplicates:
        descriptions = [
            f"{column!r} (columns {join_names([str(at) for at, other in enumerate(names, 1) if other == column], 'and')})"
            for column in names
            if column in duplicates
        ]
        raise ManifestError(
            f"{name}: two columns have one name: {join_names(dict.fromkeys(descriptions), 'and')}",
            hint="Rename one of them.",
        )


def refuse_unnamed(records: Sequence[Sequence[Any]], columns: Columns, name: str) -> None:
    """ManifestError if the first rows below the header have a value in a column without a name."""
    for values in records if columns.unnamed else ():
        if explain_unnamed_cell(values, columns.unnamed):
            places = [str(at + 1) for at in columns.unnamed if at < len(values) and not _is_empty(values[at])]
            raise ManifestError(
                f"{name}: column {join_names(places, 'and')} has no name",
                hint="Give each column a name in the header, or delete the column.",
            )


def _is_empty(value: Any) -> bool:
    return value is None or (type(value) is str and not value)


def explain_unnamed_cell(values: Sequence[Any], unnamed: Sequence[int]) -> str:
    """Why a row with a value in a column without a name can't be read; ``""`` if all those cells are empty."""
    position = next((index for index in unnamed if index < len(values) and not _is_empty(values[index])), None)
    if position is None:
        return ""
    return f"has {str(values[position])[:40]!r} in column {position + 1}, which has no name in the header"
