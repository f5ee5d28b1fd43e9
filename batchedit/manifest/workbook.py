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
from ..core.words import pluralize
from .excel import UnknownFormatError, as_general, as_shown
from .looks import LookOfRow
from .nearest import listed
from .ooxml import Look
from .rows import Linked, Uncomputed, shown
from .sheetpictures import SheetPictures

_LOOKED_AT = 50  # rows in which a table is looked for


class Workbook:
    """A workbook, one sheet of which is read any number of times.

    ``title`` is that sheet, ``notes`` and ``warnings`` what there is to tell about it; both are complete once all rows are
    read.
    """

    def __init__(self, path: Path, wanted: str, name: str, pictures: Path | None = None) -> None:
        """``pictures`` is where the pictures in the sheet are kept; None leaves them out.

        UsageError if there is no sheet ``wanted``, ManifestError if the file can't be read.
        """
        self._name = name
        self._book = _open(path, name)
        self.look = Look(path)
        titles = self._book.titles
        hidden = {sheet.title for sheet in self.look.sheets if not sheet.visible} | self._book.hidden
        self._notes: list[str] = []
        self.title = _named(wanted, titles, name) if wanted else self._choose(titles, hidden)
        others = [f"{title!r} (hidden)" if title in hidden else repr(title) for title in titles if title != self.title]
        if others and not wanted:
            self._notes.append(f"sheet {self.title!r} is read, not {listed(others)} (--sheet chooses)")
        self._lines = self._book.lines(self.title)
        part = self.look.part_of(self.title)
        self._pictures = SheetPictures(path, part, pictures) if pictures and part else None
        if not self.look.sheets:
            self._notes.append(_VALUES_ALONE)
        self._pictured = frozenset[int]()
        self._under_pictures: dict[str, None] = {}
        self._unknown: dict[str, str] = {}
        self._uncomputed: list[str] = []

    def _choose(self, titles: list[str], hidden: set[str]) -> str:
        """The first visible sheet that holds a table: people put their notes on the first one."""
        visible = [title for title in titles if title not in hidden] or titles
        damaged: list[BaseException] = []
        for title in visible if len(visible) > 1 else ():
            if _is_table(self._book.lines(title), damaged):
                return title
        if damaged:  # the table may stand in a sheet that can't be read: no other one is taken for it
            raise _unreadable(self._name, damaged[0])
        return visible[0]

    @property
    def height(self) -> int:
        """Rows of the sheet down to its last cell, 0 where nobody knows."""
        return self._book.height(self.title)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the sheet was read, a sentence each."""
        found = list(self._notes)
        found += [
            f"the number format {shown(code)!r} is not one that batchedit knows: such cells are read as plain values "
            f"(the first is {place})"
            for code, place in self._unknown.items()
        ]
        if places := [*self._under_pictures]:
            cells = pluralize(len(places), "cell holds a link", "cells hold a link")
            found.append(f"{cells} with a picture over it ({listed(places, 'and', 3)}): the link is taken")
        return tuple(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the sheet, such as formulas that no program has computed."""
        if not self._uncomputed:
            return ()
        count = f"{len(self._uncomputed):,}" if len(self._uncomputed) < _MOST_PLACES else f"at least {_MOST_PLACES:,}"
        many = len(self._uncomputed) > 1
        told = (
            f"{count} cell{'s hold formulas' if many else ' holds a formula'} without a value "
            f"({', '.join(self._uncomputed[:3])}{', …' if len(self._uncomputed) > 3 else ''}): the program that wrote the "
            "file did not calculate them; open it in Excel and save it"
        )
        return (told,)

    def rows(self) -> Iterator[tuple[list[Any], LookOfRow | None]]:
        """Each row's cells from the sheet's first row and column on, and what there is to tell about it."""
        looks = self.look.rows(self.title)
        look = next(looks, None)
        number = -1
        try:
            for number, values in enumerate(self._lines):
                while look is not None and look.row < number:
                    look = next(looks, None)
                mine = look if look is not None and look.row == number else None
                cells = self._cells(values, mine)
                yield self._with_pictures(cells, number, mine) if self._pictures else cells, mine
        except (GeneratorExit, KeyboardInterrupt, SystemExit, ManifestError):
            raise
        except Exception as error:  # noqa: BLE001 - openpyxl raises anything over a damaged sheet
            raise _unreadable(self._name, error) from None

    def take_pictures(self, header: int, named: frozenset[int], ours: int) -> Iterator[str]:
        """From now on a floating picture counts for its cell in the columns ``named``, below the row ``header``; both from 0.

        Notes on those that are no such cell's, but for the column ``ours``, in which a run's results show what was bought;
        and on rows with several, of which each counts for its own column alone.
        """
        if self._pictures is None:
            return
        self._pictured = named
        found = dict.fromkeys(self._pictures.seconds, "a second one in its cell")
        several: list[str] = []
        for row, columns in sorted(self._pictures.floating.items()):
            if row > header and len(side := sorted(named & columns.keys())) > 1:
                several.append(listed([place_of(row, column) for column in side], "and"))
            for column in columns:
                if row <= header:
                    found[row, column] = "not below the column names"
                elif column not in named and column != ours:
                    found[row, column] = "in no column of the table"
        told = [f"{place_of(*place)} ({why})" for place, why in sorted(found.items())]
        if told:
            many = pluralize(len(told), "picture in the sheet is", "pictures in the sheet are")
            yield f"{many} left out: {listed(told, 'and', 6)}"
        if several:
            rows = pluralize(len(several), "row has pictures", "rows have pictures")
            places = "; ".join(several[:3])
            yield f"{rows} in several columns ({places}): each counts for the column that it stands in"

    def _cells(self, values: list[Any], look: LookOfRow | None) -> list[Any]:
        cells = [value or None if type(value) is str else as_general(value) for value in values]
        if look is None:
            return cells
        last = max((*look.errors, *look.links, *look.rich, *look.uncomputed, len(values) - 1))
        cells += [None] * (last + 1 - len(cells))
        for column, code in look.formats.items():
            if column < len(values):
                cells[column] = self._formatted(values[column], code, look.row, column)
        for column, error in look.errors.items():
            cells[column] = error or "#VALUE!"
        for column, link in look.links.items():
            cells[column] = _linked(cells[column], link)
        for column in look.uncomputed:
            if cells[column] is None:
                cells[column] = Uncomputed()
                self._note_uncomputed(place_of(look.row, column))
        return cells

    def _note_uncomputed(self, place: str) -> None:
        if len(self._uncomputed) < _MOST_PLACES and place not in self._uncomputed:
            self._uncomputed.append(place)

    def _with_pictures(self, cells: list[Any], number: int, look: LookOfRow | None) -> list[Any]:
        """A picture counts like a link behind its cell: the cell's text stays what it is."""
        assert self._pictures is not None
        for column, rich in (look.rich if look else {}).items():
            if file := self._pictures.rich.get(rich):
                cells[column] = Linked.of(file, file)
        for column, file in self._pictures.floating.get(number, {}).items():
            if column >= len(cells) or column not in self._pictured:
                continue
            if type(cells[column]) is Linked or str(cells[column]).lower().startswith("http"):
                self._under_pictures[place_of(number, column)] = None
            else:
                cells[column] = _linked(cells[column], file)
        return cells

    def _formatted(self, value: Any, code: str, row: int, column: int) -> Any:
        try:
            return as_shown(value, code) if value != "" else None
        except UnknownFormatError:
            self._unknown.setdefault(code, place_of(row, column))
            return as_general(value)


_MOST_PLACES = 1000
_VALUES_ALONE = (
    "of this kind of workbook the values alone are read: no number formats, links behind cells, pictures or hidden rows "
    "(saved as .xlsx they are)"
)


def _linked(cell: Any, link: str) -> Linked:
    return Linked.of(str(cell) if cell is not None and cell != "" else link, link)


def place_of(row: int, column: int) -> str:
    """``C7`` of the row 6 and the column 2."""
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"


def _named(wanted: str, titles: list[str], name: str) -> str:
    if wanted in titles:
        return wanted
    alike = [title for title in titles if title.strip().casefold() == wanted.strip().casefold()]
    if len(alike) == 1:
        return alike[0]
    raise UsageError(f"{name} has no sheet {wanted!r}", hint=f"Its sheets: {listed(titles, 'and')}.")


def _is_table(lines: Iterable[list[Any]], damaged: list[BaseException]) -> bool:
    """Two rows with two cells or more. What is raised where it can't be read goes to ``damaged``."""
    try:
        full = [line for line in islice(lines, _LOOKED_AT) if sum(cell not in {None, ""} for cell in line) > 1]
    except Exception as error:  # noqa: BLE001 - openpyxl raises anything over a damaged sheet
        damaged.append(error)
        return False
    return len(full) > 1


def _unreadable(name: str, error: BaseException) -> ManifestError:
    return ManifestError(
        f"{name} is no Excel workbook that can be read: {shown(str(error) or type(error).__name__, 160)}",
        hint="Open it in Excel and save it as .xlsx or .csv.",
    )


class _DamagedSheetError(Exception):
    """calamine can't read one sheet of the workbook."""


class _Calamine:
    """The values as python-calamine reads them; .xlsb, .xls and .ods, too."""

    def __init__(self, data: bytes) -> None:
        from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum  # noqa: PLC0415 - as openpyxl

        self._book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = [sheet for sheet in self._book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        self.titles = [sheet.name for sheet in sheets]
        self.hidden = {sheet.name for sheet in sheets if sheet.visible != SheetVisibleEnum.Visible}
        self._read: dict[str, Any] = {}
        for title in self.titles[:1]:  # what can't be read is known now, not in the middle
            self._sheet(title)

    def _sheet(self, title: str) -> Any:
        if title not in self._read:
            try:
                self._read[title] = self._book.get_sheet_by_name(title)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                raise _DamagedSheetError(str(error)) from error
        return self._read[title]

    def height(self, title: str) -> int:
        try:
            return int(self._sheet(title).total_height)
        except _DamagedSheetError:
            return 0

    def lines(self, title: str) -> _Lines:
        return _Lines(lambda: self._rows(title))

    def _rows(self, title: str) -> Iterator[list[Any]]:
        sheet = self._sheet(title)
        left = [""] * (sheet.start[1] if sheet.start else 0)
        return (left + line for line in sheet.iter_rows()) if left else iter(sheet.iter_rows())


class _Openpyxl:
    """The values as openpyxl reads them: it stops at broken styles, and reads on behind broken cells."""

    def __init__(self, data: bytes) -> None:
        import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only damaged workbooks need

        self._book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        self.titles = [sheet.title for sheet in self._book.worksheets]
        self.hidden = {sheet.title for sheet in self._book.worksheets if sheet.sheet_state != "visible"}

    def height(self, title: str) -> int:  # noqa: ARG002 - it would have to be read
        return 0

    def lines(self, title: str) -> _Lines:
        sheet = self._book[title]
        sheet.reset_dimensions()
        return _Lines(lambda: map(list, sheet.iter_rows(values_only=True)))


class _Lines:
    """Rows that can be read again and again."""

    def __init__(self, read: Any) -> None:
        self._read = read

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self._read())


def _open(path: Path, name: str) -> _Calamine | _Openpyxl:
    """The first reader that can: with the styles, and, since broken ones must not matter, without them."""
    data = path.read_bytes()
    first: BaseException | None = None
    for reader, styled in ((_Calamine, True), (_Calamine, False), (_Openpyxl, True), (_Openpyxl, False)):
        try:
            book = reader(data if styled else _without_styles(data))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of calamine's is no Exception, and openpyxl raises anything
            first = first or error
            continue
        if book.titles:
            return book
    if first is None:
        raise ManifestError(f"{name} holds no sheet with cells", hint="Give a workbook with a table in it.")
    raise _unreadable(name, first)


def _without_styles(data: bytes) -> bytes:
    """The same workbook with a style sheet in which nothing stands."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as file, zipfile.ZipFile(made, "w") as kept:
        for member in file.namelist():
            bare = member.lower().endswith("styles.xml")
            kept.writestr(member, _NO_STYLES if bare else file.read(member))
    return made.getvalue()


_NO_STYLES = '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
