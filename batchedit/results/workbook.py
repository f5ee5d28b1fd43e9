"""The user's workbook with the results: the result columns, a link to each file and a small picture in its row.

Other sheets, widths, fills, comments and number formats stay as openpyxl keeps them. The row of the sheet has the row's
first picture; where a row has several, one more sheet holds a line for each.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.columns import RESULT_COLUMNS
from ..core.model import Outcome
from ..disk import is_plain_file
from ..images.thumbnails_and_features import to_thumb_name
from ..manifest.cells import to_cell_text
from ..manifest.rownames import RowExamples
from ..manifest.rows import BadRow, Form, Linked, Row
from ..manifest.typed_tables import XlsxManifest
from .columns import build_result_columns, to_python_values

MOST_ROWS = 50_000
"""A larger sheet takes openpyxl gigabytes and minutes: its results are written to a new workbook."""
MOST_PICTURES = 500
"""Most small pictures in a workbook: openpyxl keeps all of them in memory."""
_MOST_TEXT = 32_767
_CUT_NOTE = " … (cut: a cell of Excel holds 32,767 characters; results.csv has them all)"
_THUMBNAIL_SIDE = 96  # pixels
_WIDTHS = {"result_error": 48, "result_file": 32, "result_note": 32}
"""Widths of result columns, in characters; any other is as wide as its name."""


class TextCutter:
    """Cuts text to what a cell of Excel can hold. ``rows`` are those with a cell that was cut."""

    def __init__(self) -> None:
        self.rows = RowExamples()
        self._row = (0, "")

    def begin_line(self, outcome: Outcome) -> None:
        """The texts that follow belong to this line of the results."""
        self._row = (outcome.row, outcome.id)

    def fit(self, text: str) -> str:
        """``text``, cut if it is longer than a cell holds; its end then says so."""
        if len(text) <= _MOST_TEXT:
            return text
        self.rows.add(*self._row)
        return text[: _MOST_TEXT - len(_CUT_NOTE)] + _CUT_NOTE

    def describe_cuts(self, form: Form) -> str:
        """Which rows have a cell that was cut, for a warning; ``""`` for none."""
        if not (count := self.rows.count):
            return ""
        rows = f"{count:,} row{'s' if count > 1 else ''}"
        return (
            f"results.xlsx has {rows} with a cell that is cut, since a cell of Excel holds 32,767 characters "
            f"({self.rows.describe(form)}); results.csv has all of it"
        )


def extend_workbook(
    manifest: XlsxManifest,
    pairs: Iterable[tuple[Row | BadRow, Outcome]],
    path: Path,
    added: tuple[str, ...],
    pictures: Path | None,
    cutter: TextCutter,
) -> int | None:
    """The manifest's workbook with the results in it, to ``path``; how many lines, or None if openpyxl can't read it.

    ``pictures`` is the run's folder, from which small pictures are made; None for none. ``pairs`` is not touched before the
    workbook is known to be readable.
    """
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only Excel needs

    try:
        book = openpyxl.load_workbook(io.BytesIO(manifest.path.read_bytes()), rich_text=True)
        sheet = book[manifest.form.sheet]
        if sheet.max_row > MOST_ROWS:
            return None
    except Exception:  # noqa: BLE001 - openpyxl raises anything over styles of other programs
        return None
    writer = _Writer(book, sheet, manifest, (*added, *RESULT_COLUMNS), pictures, cutter)
    count = 0
    for row, outcome in pairs:
        cutter.begin_line(outcome)
        over = json.loads(outcome.over) if outcome.over else {}
        writer.write(
            row,
            {
                **{name: over.get(name) for name in added},
                **to_python_values(build_result_columns(outcome, manifest.form)),
            },
        )
        count += 1
    book.save(path)
    return count


class _Writer:
    """Writes the result columns after the last one of the sheet; those of an earlier result are overwritten in place."""

    def __init__(
        self,
        book: Any,
        sheet: Any,
        manifest: XlsxManifest,
        names: tuple[str, ...],
        pictures: Path | None,
        cutter: TextCutter,
    ) -> None:
        self._cutter = cutter
        self._book, self._sheet, self._manifest, self._names = book, sheet, manifest, names
        self._header_row = manifest.place + 1
        self._pictures, self._drawn = pictures, 0
        self._last_row, self._first_line = 0, dict[str, Any]()
        self._all_lines: Any = None
        self._columns: dict[str, int] = {}
        self._picture_column = self._lay_out(names)

    def _lay_out(self, names: tuple[str, ...]) -> int:
        """Find the place of each result column. Returns the column for pictures: before the others, next to the user's."""
        sheet = self._sheet
        columns_there = {str(cell.value): cell.column for cell in sheet[self._header_row] if cell.value is not None}
        end = max(sheet.max_column, len(columns_there))
        first = min((columns_there[name] for name in names if name in columns_there), default=0)
        picture = first - 1 if first > 1 and sheet.cell(self._header_row, first - 1).value is None else end + 1
        if self._pictures is not None:
            end = max(end, picture)
        for name in names:
            if name not in columns_there:
                end += 1
                self._put(self._header_row, end, name)
                self._find_dimensions(end).width = _WIDTHS.get(name, len(name) + 2)
            self._columns[name] = columns_there.get(name, end)
        return picture

    def _find_dimensions(self, column: int) -> Any:
        from openpyxl.utils import get_column_letter  # type: ignore[import-untyped]  # noqa: PLC0415 - as openpyxl

        return self._sheet.column_dimensions[get_column_letter(column)]

    def write(self, row: Row | BadRow, result: dict[str, Any]) -> None:
        """Write the result columns of one line; lines of one row are adjacent and in order."""
        if row.number == self._last_row:
            self._write_further(row, result)
            return
        self._last_row, self._first_line = row.number, result
        place = self._header_row + row.number
        for name, column in self._columns.items():
            cell = self._put(place, column, result[name])
            if name == "result_file" and result[name]:
                _link_cell(cell, result[name])
        if isinstance(row, Row):
            self._float_placed_pictures(place, row)
        self._draw(place, result)

    def _float_placed_pictures(self, place: int, row: Row) -> None:
        """Draw a picture that is placed in a cell (Excel's Place in Cell) over that cell: openpyxl reads it as an error."""
        for position, name in zip(self._manifest.positions, self._manifest.columns, strict=True):
            value = row.cells.get(name)
            cell = self._sheet.cell(place, position + 1)
            if type(value) is Linked and cell.value == "#VALUE!" and (thumbnail := _make_thumbnail(Path(value.link))):
                cell.value = None
                self._sheet.add_image(thumbnail, cell.coordinate)
                self._make_room(place)

    def _make_room(self, place: int) -> None:
        height = self._sheet.row_dimensions[place].height or 15
        self._sheet.row_dimensions[place].height = max(height, _THUMBNAIL_SIDE * 0.78)

    def _write_further(self, row: Row | BadRow, result: dict[str, Any]) -> None:
        """Write each line of a row with several pictures to a further sheet, the first line too."""
        if self._all_lines is None:
            self._all_lines = self._book.create_sheet("results")
            self._all_lines.append([_clean(name, self._cutter) for name in (*self._manifest.columns, *self._names)])
        if self._first_line:
            self._append(row, self._first_line)
            self._first_line = {}
        self._append(row, result)

    def _append(self, row: Row | BadRow, result: dict[str, Any]) -> None:
        cells = row.cells if isinstance(row, Row) else {}
        place = self._all_lines.max_row + 1
        values = [*(cells.get(name) for name in self._manifest.columns), *(result[name] for name in self._names)]
        for column, value in enumerate(values, 1):
            _set_cell(self._all_lines.cell(place, column), value, self._cutter)
        if result["result_file"]:
            _link_cell(
                self._all_lines.cell(place, len(self._manifest.columns) + self._names.index("result_file") + 1),
                result["result_file"],
            )

    def _put(self, row: int, column: int, value: Any) -> Any:
        cell = self._sheet.cell(row, column)
        if type(cell).__name__ == "MergedCell":  # part of a title that spans the table: it holds no value
            return cell
        _set_cell(cell, value, self._cutter)
        return cell

    def _draw(self, place: int, result: dict[str, Any]) -> None:
        if self._pictures is None or not result["result_width"] or self._drawn >= MOST_PICTURES:
            return
        thumbnail = self._find_thumbnail(result)
        if thumbnail is None:
            return
        self._sheet.add_image(thumbnail, self._sheet.cell(place, self._picture_column).coordinate)
        self._find_dimensions(self._picture_column).width = 14
        self._make_room(place)
        self._drawn += 1

    def _find_thumbnail(self, result: dict[str, Any]) -> Any:
        """The bought picture in small: from its thumbnail, which was made when it was decoded, or else from its file."""
        assert self._pictures is not None
        names = (f"thumbs/{to_thumb_name(result['result_sha256'])}", _to_folder_path(result["result_file"]))
        for path in (self._pictures / name for name in names):
            if is_plain_file(path, self._pictures) and (thumbnail := _make_thumbnail(path)):
                return thumbnail
        return None


def _to_folder_path(file: str) -> str:
    """The name of a picture's copy in the run's folder; ``file`` may be its address in a store of files."""
    return file if file.startswith("files/") else f"files/{file.rpartition('/files/')[2]}"


def _clean(value: Any, cutter: TextCutter) -> str:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # type: ignore[import-untyped]  # noqa: PLC0415 - as openpyxl

    return cutter.fit(str(ILLEGAL_CHARACTERS_RE.sub("", to_cell_text(value))))


def _set_cell(cell: Any, value: Any, cutter: TextCutter) -> None:
    """Text is written as text: ``=A1`` becomes no formula."""
    if value is None or type(value) in {int, float, bool}:
        cell.value = value
        return
    cell.value = _clean(value, cutter)
    cell.data_type = "s"


def _link_cell(cell: Any, file: str) -> None:
    from openpyxl.styles import Font  # type: ignore[import-untyped]  # noqa: PLC0415 - as openpyxl

    cell.hyperlink = quote(file)
    cell.font = Font(color="0563C1", underline="single")


def _make_thumbnail(path: Path) -> Any:
    """The picture in a few kilobytes; None if it is missing or can't be drawn."""
    from openpyxl.drawing.image import Image as Drawing  # type: ignore[import-untyped]  # noqa: PLC0415 - as openpyxl
    from PIL import Image  # noqa: PLC0415 - only where pictures are drawn

    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
            picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
            data = io.BytesIO()
            picture.convert("RGB").save(data, "JPEG", quality=80)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Drawing(data)
