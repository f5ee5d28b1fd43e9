"""A workbook's cells as its sheet shows them: values by python-calamine, how they look by ``ooxml``.

python-calamine is made for reading and knows no style that could be broken. What it refuses is read by openpyxl.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..core.errors import ManifestError, UsageError
from ..core.plurals_and_durations import pluralize
from .cell_attributes import RowAttributes
from .nearest import join_names
from .number_formats import UnknownFormatError, apply_number_format, as_general
from .ooxml import WorkbookMarkup
from .rows import Linked, Uncomputed, truncate_text
from .sheetpictures import SheetPictures

_TABLE_SEARCH_ROWS = 50  # rows in which a table is looked for


class Workbook:
    """A workbook, one sheet of which is read, any number of times.

    ``title`` is that sheet. ``notes`` and ``warnings`` about it are complete once all rows are read.
    """

    def __init__(self, path: Path, sheet: str, name: str, pictures: Path | None = None) -> None:
        """``pictures`` is the folder that the pictures in the sheet are written to; None leaves them out.

        UsageError if there is no such ``sheet``, ManifestError if the file can't be read.
        """
        self._name = name
        self._book = _open_book(path, name)
        self.markup = WorkbookMarkup(path)
        titles = self._book.titles
        hidden = {sheet.title for sheet in self.markup.sheets if not sheet.visible} | self._book.hidden
        self._notes: list[str] = []
        self.title = _find_title(sheet, titles, name) if sheet else self._choose_sheet(titles, hidden)
        others = [f"{title!r} (hidden)" if title in hidden else repr(title) for title in titles if title != self.title]
        if others and not sheet:
            self._notes.append(f"sheet {self.title!r} is read, not {join_names(others)} (--sheet chooses)")
        self._lines = self._book.read_lines(self.title)
        sheet_part = self.markup.find_part(self.title)
        self._pictures = SheetPictures(path, sheet_part, pictures) if pictures and sheet_part else None
        if not self.markup.sheets:
            self._notes.append(_VALUES_ONLY_NOTE)
        self._picture_columns = frozenset[int]()
        self._covered_links: dict[str, None] = {}
        self._unknown_formats: dict[str, str] = {}
        self._uncomputed: list[str] = []

    def _choose_sheet(self, titles: list[str], hidden: set[str]) -> str:
        """The first visible sheet with a table: the first sheet often holds notes."""
        visible = [title for title in titles if title not in hidden] or titles
        damaged: list[BaseException] = []
        for title in visible if len(visible) > 1 else ():
            if _is_table(self._book.read_lines(title), damaged):
                return title
        if damaged:  # the table may be in the sheet that can't be read: no other one is used for it
            raise _make_unreadable_error(self._name, damaged[0])
        return visible[0]

    @property
    def height(self) -> int:
        """Rows of the sheet down to its last cell; 0 if not known."""
        return self._book.read_height(self.title)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user on how the sheet was read."""
        notes = list(self._notes)
        notes += [
            f"the number format {truncate_text(code)!r} is not one that batchedit knows: such cells are read as plain values "
            f"(the first is {place})"
            for code, place in self._unknown_formats.items()
        ]
        if places := [*self._covered_links]:
            cells = pluralize(len(places), "cell holds a link", "cells hold a link")
            notes.append(f"{cells} with a picture over it ({join_names(places, 'and', 3)}): the link is taken")
        return tuple(notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user on the sheet's content, such as formulas that were never computed."""
        if not self._uncomputed:
            return ()
        count = f"{len(self._uncomputed):,}" if len(self._uncomputed) < _MAX_PLACES else f"at least {_MAX_PLACES:,}"
        is_plural = len(self._uncomputed) > 1
        warning = (
            f"{count} cell{'s hold formulas' if is_plural else ' holds a formula'} without a value "
            f"({', '.join(self._uncomputed[:3])}{', …' if len(self._uncomputed) > 3 else ''}): the program that wrote the "
            "file did not calculate them; open it in Excel and save it"
        )
        return (warning,)

    def read_rows(self) -> Iterator[tuple[list[Any], RowAttributes | None]]:
        """Yield each row's cells from the sheet's first row and column on, and its attributes; None if it has none."""
        remaining = self.markup.read_rows(self.title)
        next_attributes = next(remaining, None)
        number = -1
        try:
            for number, values in enumerate(self._lines):
                while next_attributes is not None and next_attributes.row < number:
                    next_attributes = next(remaining, None)
                attributes = next_attributes if next_attributes is not None and next_attributes.row == number else None
                cells = self._format_cells(values, attributes)
                yield self._add_pictures(cells, number, attributes) if self._pictures else cells, attributes
        except (GeneratorExit, KeyboardInterrupt, SystemExit, ManifestError):
            raise
        except Exception as error:  # noqa: BLE001 - openpyxl raises anything over a damaged sheet
            raise _make_unreadable_error(self._name, error) from None

    def take_pictures(self, header: int, named_columns: frozenset[int], result_column: int) -> Iterator[str]:
        """Use floating pictures as the links of their cells in ``named_columns`` below the row ``header``; both count from 0.

        Yields notes on the pictures that are not in such a cell, except in ``result_column``, where a run's results show
        what was bought; and on rows with several pictures, each of which is used for its own column only.
        """
        if self._pictures is None:
            return
        self._picture_columns = named_columns
        left_out = dict.fromkeys(self._pictures.covered, "a second one in its cell")
        shared_rows: list[str] = []
        for row, columns in sorted(self._pictures.floating.items()):
            if row > header and len(picture_columns := sorted(named_columns & columns.keys())) > 1:
                shared_rows.append(join_names([format_cell_address(row, column) for column in picture_columns], "and"))
            for column in columns:
                if row <= header:
                    left_out[row, column] = "not below the column names"
                elif column not in named_columns and column != result_column:
                    left_out[row, column] = "in no column of the table"
        descriptions = [f"{format_cell_address(*place)} ({why})" for place, why in sorted(left_out.items())]
        if descriptions:
            count_text = pluralize(len(descriptions), "picture in the sheet is", "pictures in the sheet are")
            yield f"{count_text} left out: {join_names(descriptions, 'and', 6)}"
        if shared_rows:
            rows = pluralize(len(shared_rows), "row has pictures", "rows have pictures")
            places = "; ".join(shared_rows[:3])
            yield f"{rows} in several columns ({places}): each counts for the column that it stands in"

    def _format_cells(self, values: list[Any], attributes: RowAttributes | None) -> list[Any]:
        cells = [value or None if type(value) is str else as_general(value) for value in values]
        if attributes is None:
            return cells
        last = max((*attributes.errors, *attributes.links, *attributes.rich, *attributes.uncomputed, len(values) - 1))
        cells += [None] * (last + 1 - len(cells))
        for column, code in attributes.formats.items():
            if column < len(values):
                cells[column] = self._format_value(values[column], code, attributes.row, column)
        for column, error in attributes.errors.items():
            cells[column] = error or "#VALUE!"
        for column, link in attributes.links.items():
            cells[column] = _link_cell(cells[column], link)
        for column in attributes.uncomputed:
            if cells[column] is None:
                cells[column] = Uncomputed()
                self._note_uncomputed(format_cell_address(attributes.row, column))
        return cells

    def _note_uncomputed(self, place: str) -> None:
        if len(self._uncomputed) < _MAX_PLACES and place not in self._uncomputed:
            self._uncomputed.append(place)

    def _add_pictures(self, cells: list[Any], number: int, attributes: RowAttributes | None) -> list[Any]:
        """Use pictures as the links of their cells; the texts of the cells stay."""
        assert self._pictures is not None
        for column, rich in (attributes.rich if attributes else {}).items():
            if file := self._pictures.rich.get(rich):
                cells[column] = Linked.of(file, file)
        for column, file in self._pictures.floating.get(number, {}).items():
            if column >= len(cells) or column not in self._picture_columns:
                continue
            if type(cells[column]) is Linked or str(cells[column]).lower().startswith("http"):
                self._covered_links[format_cell_address(number, column)] = None
            else:
                cells[column] = _link_cell(cells[column], file)
        return cells

    def _format_value(self, value: Any, code: str, row: int, column: int) -> Any:
        try:
            return apply_number_format(value, code) if value != "" else None
        except UnknownFormatError:
            self._unknown_formats.setdefault(code, format_cell_address(row, column))
            return as_general(value)


_MAX_PLACES = 1000
_VALUES_ONLY_NOTE = (
    "of this kind of workbook the values alone are read: no number formats, links behind cells, pictures or hidden rows "
    "(saved as .xlsx they are)"
)


def _link_cell(cell: Any, link: str) -> Linked:
    return Linked.of(str(cell) if cell is not None and cell != "" else link, link)


def format_cell_address(row: int, column: int) -> str:
    """``C7`` of the row 6 and the column 2."""
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"


def _find_title(sheet: str, titles: list[str], name: str) -> str:
    if sheet in titles:
        return sheet
    alike = [title for title in titles if title.strip().casefold() == sheet.strip().casefold()]
    if len(alike) == 1:
        return alike[0]
    raise UsageError(f"{name} has no sheet {sheet!r}", hint=f"Its sheets: {join_names(titles, 'and')}.")


def _is_table(lines: Iterable[list[Any]], damaged: list[BaseException]) -> bool:
    """True if there are two rows with two cells or more. An error of reading is appended to ``damaged``."""
    try:
        filled_rows = [
            line for line in islice(lines, _TABLE_SEARCH_ROWS) if sum(cell not in {None, ""} for cell in line) > 1
        ]
    except Exception as error:  # noqa: BLE001 - openpyxl raises anything over a damaged sheet
        damaged.append(error)
        return False
    return len(filled_rows) > 1


def _make_unreadable_error(name: str, error: BaseException) -> ManifestError:
    return ManifestError(
        f"{name} is no Excel workbook that can be read: {truncate_text(str(error) or type(error).__name__, 160)}",
        hint="Open it in Excel and save it as .xlsx or .csv.",
    )


class _DamagedSheetError(Exception):
    """calamine can't read one sheet of the workbook."""


class _Calamine:
    """Reads values with python-calamine; .xlsb, .xls and .ods, too."""

    def __init__(self, data: bytes) -> None:
        from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum  # noqa: PLC0415 - as openpyxl

        self._book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [sheet for sheet in self._book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        self.titles = [sheet.name for sheet in sheets]
        self.hidden = {sheet.name for sheet in sheets if sheet.visible != SheetVisibleEnum.Visible}
        self._read: dict[str, Any] = {}
        for title in self.titles[:1]:  # an unreadable sheet fails now, not in the middle
            self._read_sheet(title)

    def _read_sheet(self, title: str) -> Any:
        if title not in self._read:
            try:
                self._read[title] = self._book.get_sheet_by_name(title)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                raise _DamagedSheetError(str(error)) from error
        return self._read[title]

    def read_height(self, title: str) -> int:
        try:
            return int(self._read_sheet(title).total_height)
        except _DamagedSheetError:
            return 0

    def read_lines(self, title: str) -> _RepeatableRows:
        return _RepeatableRows(lambda: self._read_rows(title))

    def _read_rows(self, title: str) -> Iterator[list[Any]]:
        sheet = self._read_sheet(title)
        padding = [""] * (sheet.start[1] if sheet.start else 0)
        return (padding + line for line in sheet.iter_rows()) if padding else iter(sheet.iter_rows())


class _Openpyxl:
    """Reads values with openpyxl, which fails on broken styles but reads on after broken cells."""

    def __init__(self, data: bytes) -> None:
        import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only damaged workbooks need

        self._book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        self.titles = [sheet.title for sheet in self._book.worksheets]
        self.hidden = {sheet.title for sheet in self._book.worksheets if sheet.sheet_state != "visible"}

    def read_height(self, title: str) -> int:  # noqa: ARG002 - known only after reading the sheet
        return 0

    def read_lines(self, title: str) -> _RepeatableRows:
        sheet = self._book[title]
        sheet.reset_dimensions()
        return _RepeatableRows(lambda: map(list, sheet.iter_rows(values_only=True)))


class _RepeatableRows:
    """Rows that can be iterated any number of times."""

    def __init__(self, read: Any) -> None:
        self._read = read

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self._read())


def _open_book(path: Path, name: str) -> _Calamine | _Openpyxl:
    """Open with the first reader that can: with the styles and, in case these are broken, without them."""
    data = path.read_bytes()
    first_error: BaseException | None = None
    for reader, with_styles in ((_Calamine, True), (_Calamine, False), (_Openpyxl, True), (_Openpyxl, False)):
        try:
            book = reader(data if with_styles else _remove_styles(data))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - calamine's panic is no Exception, openpyxl raises anything
            first_error = first_error or error
            continue
        if book.titles:
            return book
    if first_error is None:
        raise ManifestError(f"{name} holds no sheet with cells", hint="Give a workbook with a table in it.")
    raise _make_unreadable_error(name, first_error)


def _remove_styles(data: bytes) -> bytes:
    """The same workbook with an empty style sheet."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as file, zipfile.ZipFile(output, "w") as target:
        for member in file.namelist():
            is_style_sheet = member.lower().endswith("styles.xml")
            target.writestr(member, _NO_STYLES if is_style_sheet else file.read(member))
    return output.getvalue()


_NO_STYLES = '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
