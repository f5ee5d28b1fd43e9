"""Write the sheet with its edits to a file beside the sheet, which is itself never changed.

The rows keep their places, so the numbers that a person sees stay the same. A CSV file keeps each unedited record as it was
written, a workbook all but the edited cells. Other forms become JSON lines, each row at the line of its number; so does a
workbook that does not read back as expected.
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
from ..manifest.cells import to_cell_text, to_json_text
from ..manifest.csvfile import CsvManifest
from ..manifest.read import Form, Manifest
from ..manifest.rownames import to_sheet_row
from ..manifest.rows import BadRow, Linked, Row
from ..manifest.splice import NotReplacedError, replace_cells
from ..manifest.typed_tables import XlsxManifest
from ..run_folder import open_source
from ..settings.model import Settings
from .draft_edits import Edits
from .drafts import Draft

NAME = "mended"


def apply_edits(draft: Draft) -> tuple[Path, Settings]:
    """The file to buy from, and the settings to read it with: the sheet itself if it has no edits.

    ManifestError where the sheet can't be read, OSError where the disk refuses.
    """
    edits, settings = Edits.load(draft), draft.settings
    if not edits:
        return draft.source, settings
    manifest = open_source(draft.source, settings, draft.name)
    if isinstance(manifest, CsvManifest):
        return _write_edited_csv(draft, manifest, edits, settings)
    if (
        isinstance(manifest, XlsxManifest)
        and (book := _write_edited_workbook(draft, manifest, edits, settings)) is not None
    ):
        return book
    path = draft.source.with_name(f"{NAME}.jsonl")
    _write_text(path, "utf-8", lambda file: _write_lines(file, manifest, edits))
    return path, replace(settings, encoding=None, delimiter=None, sheet=None, header_row=None)


def _write_edited_csv(draft: Draft, manifest: CsvManifest, edits: Edits, settings: Settings) -> tuple[Path, Settings]:
    """Write CSV in the sheet's encoding, or in UTF-8 if that can't encode the edits."""
    form, path = manifest.form, draft.source.with_name(f"{NAME}.csv")
    csv_settings = replace(settings, delimiter=form.delimiter, header_row=form.header_row or None)
    try:
        _write_text(path, form.encoding, lambda file: _write_records(file, manifest, edits, form))
        return path, replace(csv_settings, encoding=form.encoding)
    except UnicodeEncodeError:
        _write_text(path, "utf-8", lambda file: _write_records(file, manifest, edits, form))
        return path, replace(csv_settings, encoding="utf-8")


def _write_edited_workbook(
    draft: Draft, manifest: XlsxManifest, edits: Edits, settings: Settings
) -> tuple[Path, Settings] | None:
    """None if its cells can't be replaced, or if the workbook is read differently with them."""
    path, form = draft.source.with_name(f"{NAME}.xlsx"), manifest.form
    xlsx_settings = replace(settings, sheet=form.sheet, header_row=form.header_row)
    try:
        with replace_atomically(path) as part, part.open("wb") as file:
            replace_cells(manifest.path, file, form.sheet, _list_edited_cells(manifest, edits))
        reread = open_source(path, xlsx_settings, draft.name)
        expected = (_normalise_row(row, edits, form) for row in manifest.rows())
        actual = (_normalise_row(row, Edits(), form) for row in reread.rows())
        is_same = all(expected_row == actual_row for expected_row, actual_row in zip_longest(expected, actual))
    except (NotReplacedError, ManifestError):
        return None
    return (path, xlsx_settings) if is_same and reread.columns == manifest.columns else None


def _list_edited_cells(manifest: XlsxManifest, edits: Edits) -> dict[int, dict[int, str]]:
    """The edited cells, by row and column of the sheet, both from 0."""
    texts_by_row: dict[int, dict[int, str]] = {}
    positions = dict(zip(manifest.columns, manifest.positions, strict=True))
    for row in manifest.rows():
        if isinstance(row, Row):
            cells = edits.apply(to_sheet_row(manifest.form, row.number), row.cells)
            texts = {
                position: to_cell_text(cells[name])
                for name, position in positions.items()
                if cells[name] is not row.cells[name]
            }
            if texts:
                texts_by_row[manifest.place + row.number] = texts
    return texts_by_row


def _normalise_row(row: Row | BadRow, edits: Edits, form: Form) -> tuple[int, Any]:
    """The row's number and cells, with the edits applied; an empty cell is None."""
    if isinstance(row, BadRow):
        return row.number, row.reason
    cells = edits.apply(to_sheet_row(form, row.number), row.cells)
    return row.number, [(type(cell) is Linked and cell.link, cell or None) for cell in cells.values()]


def _write_text(path: Path, encoding: str, write: Callable[[TextIO], None]) -> None:
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
        file.write(_format_record(row, manifest, edits, form) + form.newline)


def _format_record(row: Row | BadRow, manifest: CsvManifest, edits: Edits, form: Form) -> str:
    if isinstance(row, BadRow):
        return row.raw
    cells = edits.apply(to_sheet_row(form, row.number), row.cells)
    if cells == row.cells:
        return row.raw
    values = next(csv.reader(row.raw.splitlines(keepends=True), delimiter=form.delimiter))
    values += [""] * (manifest.width - len(values))
    for position, column in zip(manifest.positions, manifest.columns, strict=True):
        values[position] = cells[column]
    text = io.StringIO()
    csv.writer(text, delimiter=form.delimiter, lineterminator="").writerow(values)
    return text.getvalue()


def _write_lines(file: TextIO, manifest: Manifest, edits: Edits) -> None:
    line = 1
    for row in manifest.rows():
        number = to_sheet_row(manifest.form, row.number)
        file.write("\n" * (number - line))
        line = number + 1
        file.write(
            (_format_bad_row(row.raw) if isinstance(row, BadRow) else to_json_text(edits.apply(number, row.cells)))
            + "\n"
        )


def _format_bad_row(raw: Any) -> str:
    """A row that could not be read stays unreadable: on one line, and no JSON object."""
    return " ".join(str(raw).split()) or "-"
