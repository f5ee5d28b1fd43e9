"""Which row of a table holds the column names, and which of its columns count. For every form that has rows of cells.

A header is found by what stands under it. Above it there may be a title, report lines, what Numbers calls "Table 1", and
in the templates of Amazon and Meta lines of explanations; the last line of names above the data is the header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.columns import RESULT_COLUMNS
from ..core.errors import ManifestError, UsageError
from ..core.words import pluralize
from .blank import visible
from .nearest import listed, plain
from .platforms import COLUMN_WORDS

LOOKED_AT = 60
"""Rows from the top among which the header is looked for."""

OURS = frozenset(RESULT_COLUMNS)
"""Columns of an earlier results file: dropped on the way in. Only these very names are ours."""

_LONGEST = 100  # characters of a column's name
_DATA = re.compile(
    r"https?://|//|data:|.*\.(?:jpe?g|png|webp|gif|avif|heic|tiff?|bmp)\s*$", re.IGNORECASE | re.DOTALL
).match
_TECHNICAL = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*").fullmatch
_AMOUNT = re.compile(r"[\s\d.,:/%€$£+-]*\d[\s\d.,:/%€$£+-]*").fullmatch


def find_header(records: Sequence[Sequence[Any]], wanted: int | None = None) -> int:
    """The place (from 0) of the header among a sheet's first ``records``, blank ones included.

    ``wanted`` is what ``--header-row`` says, from 1: UsageError if that row is not there or empty. ManifestError if no
    record has a cell.
    """
    rows = [[_text(cell) for cell in record] for record in records]
    filled = [sum(1 for cell in row if cell) for row in rows]
    first = next((place for place, count in enumerate(filled) if count), None)
    if first is None:
        raise ManifestError("the sheet is empty", hint="A manifest begins with a line of column names.")
    if wanted is not None:
        if not 0 < wanted <= len(rows) or not filled[wanted - 1]:
            raise UsageError(
                f"--header-row {wanted}: there is no row of column names", hint="Count as the spreadsheet does, from 1."
            )
        return wanted - 1
    data = next((place for place, row in enumerate(rows) if any(map(_DATA, row))), len(rows))
    width = max(filled)
    named = [place for place in range(first, data) if _could_be_names(rows[place], filled[place], width)]
    if not named or data == first:
        return first
    known = {place: sum(_is_known(cell) for cell in rows[place]) for place in named}
    best = max(known.values())
    if not best and data == len(rows):
        return first  # nothing below tells names from cells
    if best and (known.get(data - 1) == best or (known.get(data - 1, 0) > 1 and _is_technical(rows[data - 1]))):
        return data - 1  # a template's own names stand below its words for people, which may be better known
    if known[named[0]] * 2 >= best:
        return named[0]
    return next(place for place in named if known[place] == best)


def header_note(row: int, above: int) -> str:
    """What the plan tells of a header that is not the first row; ``""`` where nothing stands above it."""
    if not above:
        return ""
    return f"the header is row {row}; {above} row{'s' if above > 1 else ''} above it {'are' if above > 1 else 'is'} left out"


def _could_be_names(row: Sequence[str], filled: int, width: int) -> bool:
    cells = [cell for cell in row if cell]
    if filled < min(2, width) or filled * 2 < width or len(set(cells)) < len(cells) - 2:
        return False
    if any(len(cell) > _LONGEST or cell.startswith("#") for cell in cells):
        return False
    return not any(map(_AMOUNT, cells))


def _is_technical(row: Sequence[str]) -> bool:
    """Are these the names of a program: ``item_sku``, ``main_image_url``?"""
    cells = [cell for cell in row if cell]
    return all(map(_TECHNICAL, cells)) and any("_" in cell for cell in cells)


def _is_known(cell: str) -> bool:
    return plain(cell) in COLUMN_WORDS


def _text(cell: Any) -> str:
    return "" if cell is None else visible(str(cell))


@dataclass(frozen=True, slots=True)
class Columns:
    """A header's columns: ``width`` cells a record, of which those at ``kept`` have the names ``names``.

    ``unnamed`` are places without a name, where no row may have anything; ``least`` is how many cells a row has at least:
    empty ones at the end may be missing. ``dropped`` tells whether columns of ours, or unnamed ones, are left out.
    """

    names: tuple[str, ...]
    kept: tuple[int, ...]
    unnamed: tuple[int, ...]
    width: int
    least: int
    notes: tuple[str, ...]

    @property
    def dropped(self) -> bool:
        return len(self.kept) < self.width


def choose_columns(header: Sequence[Any], name: str) -> Columns:
    """ManifestError if ``header`` can't head the table ``name``."""
    names = [_text(cell) for cell in header]
    unnamed = tuple(place for place, column in enumerate(names) if not column)
    named = [place for place, column in enumerate(names) if column]
    if not named:
        raise ManifestError(f"{name} is empty", hint="A manifest begins with a line of column names.")
    check_unique(names, name)
    kept = tuple(place for place in named if names[place] not in OURS)
    ours = [names[place] for place in named if names[place] in OURS]
    many = pluralize(len(ours), "column of an earlier result is", "columns of an earlier result are")
    notes = (f"{many} left out ({listed(ours, 'and', 4)})",) if ours else ()
    if not kept:
        raise ManifestError(f"{name} has only columns of ours, of an earlier result", hint="Give the original table.")
    return Columns(tuple(names[place] for place in kept), kept, unnamed, len(names), named[-1] + 1, notes)


def check_unique(names: Sequence[str], name: str) -> None:
    """ManifestError if a column's name stands twice."""
    twice = {column for column, count in Counter(filter(None, names)).items() if count > 1}
    if twice:
        told = [
            f"{column!r} (columns {listed([str(at) for at, other in enumerate(names, 1) if other == column], 'and')})"
            for column in names
            if column in twice
        ]
        raise ManifestError(
            f"{name}: two columns have one name: {listed(dict.fromkeys(told), 'and')}", hint="Rename one of them."
        )


def refuse_unnamed(records: Sequence[Sequence[Any]], columns: Columns, name: str) -> None:
    """ManifestError where the first rows below the header have something in a column without a name."""
    for values in records if columns.unnamed else ():
        if why_unnamed(values, columns.unnamed):
            places = [str(at + 1) for at in columns.unnamed if at < len(values) and not _is_empty(values[at])]
            raise ManifestError(
                f"{name}: column {listed(places, 'and')} has no name",
                hint="Give each column a name in the header, or delete the column.",
            )


def _is_empty(value: Any) -> bool:
    return value is None or (type(value) is str and not value)


def why_unnamed(values: Sequence[Any], unnamed: Sequence[int]) -> str:
    """Why a row can't be read whose cells stand in columns without a name; ``""`` if they are empty."""
    found = next((place for place in unnamed if place < len(values) and not _is_empty(values[place])), None)
    if found is None:
        return ""
    return f"has {str(values[found])[:40]!r} in column {found + 1}, which has no name in the header"
