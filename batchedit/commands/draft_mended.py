"""The sheet with what was mended in it, as a file of its own beside the sheet, which is never changed.

It has the sheet's rows where they were: the numbers that a person sees stay. A CSV file keeps each record that nobody touched
as it is written, a workbook all but the cells that were mended. Other forms become JSON lines, a row at the line of its own
number; so does a workbook that is not what was meant when it is read again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, TextIO

from ..core.errors import ManifestError
from ..disk import replace_atomically
from ..manifest.cells import to_json_text, to_cell_text
from ..manifest.csvfile import CsvManifest
from ..manifest.read import Form, Manifest
from ..manifest.rownames import to_sheet_row
from ..manifest.rows import BadRow, Linked, Row
from ..manifest.sheets import XlsxManifest
from ..manifest.splice import NotReplacedError, replace_cells
from ..run_folder import open_source
from ..settings.model import Settings
from .draft_edits import Edits
from .drafts import Draft

NAME = "mended"


def mended(draft: Draft) -> tuple[Path, Settings]:
    """The file to buy from, and the settings to read it with: the sheet itself where nothing was mended.

    ManifestError where the sheet can't be read, OSError where the disk refuses.
    """
    edits, settings = Edits.of(draft), draft.settings
    if not edits:
        return draft.source, settings
    manifest = open_source(draft.source, settings, draft.name)
    if isinstance(manifest, CsvManifest):
        return _as_csv(draft, manifest, edits, settings)
    if isinstance(manifest, XlsxManifest) and (book := _as_workbook(draft, manifest, edits, settings)) is not None:
        return book
    path = draft.source.with_name(f"{NAME}.jsonl")
    _write(path, "utf-8", lambda file: _write_lines(file, manifest, edits))
    return path, replace(settings, encoding=None, delimiter=None, sheet=None, header_row=None)


def _as_csv(draft: Draft, manifest: CsvManifest, edits: Edits, settings: Settings) -> tuple[Path, Settings]:
    """In the sheet's own encoding, or in UTF-8 where that has not every letter that was written."""
    form, path = manifest.form, draft.source.with_name(f"{NAME}.csv")
    told = replace(settings, delimiter=form.delimiter, header_row=form.header_row or None)
    try:
        _write(path, form.encoding, lambda file: _write_records(file, manifest, edits, form))
        return path, replace(told, encoding=form.encoding)
    except UnicodeEncodeError:
        _write(path, "utf-8", lambda file: _write_records(file, manifest, edits, form))
        return path, replace(told, encoding="utf-8")


def _as_workbook(
    draft: Draft, manifest: XlsxManifest, edits: Edits, settings: Settings
) -> tuple[Path, Settings] | None:
    """None where the workbook takes no other texts in its cells, or where it is read in another way with them."""
    path, form = draft.source.with_name(f"{NAME}.xlsx"), manifest.form
    told = replace(settings, sheet=form.sheet, header_row=form.header_row)
    try:
        with replace_atomically(path) as part, part.open("wb") as file:
            replace_cells(manifest.path, file, form.sheet, _texts(manifest, edits))
        again = open_source(path, told, draft.name)
        wanted = (_as_meant(row, edits, form) for row in manifest.rows())
        found = (_as_meant(row, Edits(), form) for row in again.rows())
        same = all(one == other for one, other in zip_longest(wanted, found))
    except (NotReplacedError, ManifestError):
        return None
    return (path, told) if same and again.columns == manifest.columns else None


def _texts(manifest: XlsxManifest, edits: Edits) -> dict[int, dict[int, str]]:
    """The cells that were mended, by row and column of the sheet, both from 0."""
    found: dict[int, dict[int, str]] = {}
    places = dict(zip(manifest.columns, manifest.positions, strict=True))
    for row in manifest.rows():
        if isinstance(row, Row):
            cells = edits.apply(to_sheet_row(manifest.form, row.number), row.cells)
            texts = {at: to_cell_text(cells[name]) for name, at in places.items() if cells[name] is not row.cells[name]}
            if texts:
                found[manifest.place + row.number] = texts
    return found


def _as_meant(row: Row | BadRow, edits: Edits, form: Form) -> tuple[int, Any]:
    """The row's number and cells, with what was mended in it; an empty cell is None."""
    if isinstance(row, BadRow):
        return row.number, row.reason
    cells = edits.apply(to_sheet_row(form, row.number), row.cells)
    return row.number, [(type(cell) is Linked and cell.link, cell or None) for cell in cells.values()]


def _write(path: Path, encoding: str, write: Callable[[TextIO], None]) -> None:
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    with replace_atomically(path) as part, part.open("w", encoding=encoding, errors=errors, newline="") as file:
        write(file)


def _write_records(file: TextIO, manifest: CsvManifest, edits: Edits, form: Form) -> None:
    if form.bom:
        file.write("\ufeff")
    file.write(manifest.preamble + form.newline)
    last = 0
    for row in manifest.rows():
        file.write(form.newline * (row.number - last - 1))
        last = row.number
        file.write(_record(row, manifest, edits, form) + form.newline)


def _record(row: Row | BadRow, manifest: CsvManifest, edits: Edits, form: Form) -> str:
    if isinstance(row, BadRow):
        return row.raw
    cells = edits.apply(to_sheet_row(form, row.number), row.cells)
    if cells == row.cells:
        return row.raw
    values = next(csv.reader(row.raw.splitlines(keepends=True), delimiter=form.delimiter))
    values += [""] * (manifest.width - len(values))
    for place, column in zip(manifest.positions, manifest.columns, strict=True):
        values[place] = cells[column]
    text = io.StringIO()
    csv.writer(text, delimiter=form.delimiter, lineterminator="").writerow(values)
    return text.getvalue()


def _write_lines(file: TextIO, manifest: Manifest, edits: Edits) -> None:
    line = 1
    for row in manifest.rows():
        number = to_sheet_row(manifest.form, row.number)
        file.write("\n" * (number - line))
        line = number + 1
        file.write((_text(row.raw) if isinstance(row, BadRow) else to_json_text(edits.apply(number, row.cells))) + "\n")


def _text(raw: Any) -> str:
    """A row that could not be read stays one: on one line, and no object."""
    return " ".join(str(raw).split()) or "-"
