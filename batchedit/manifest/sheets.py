"""Typed tables: xlsx, Parquet and DataFrames, with their cells turned into what a reader of the table sees.

Libraries are imported where they are used: a CSV run loads none of them.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ManifestError, UsageError
from .cells import plain
from .csvfile import check_unique
from .excel import as_shown
from .nearest import listed
from .rows import OURS, BadRow, Form, FormKind, Row

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 10_000


class _Table(ABC):
    """What the three have in common: columns checked once, ours left out."""

    preamble = ""

    def __init__(self, form: Form, names: Iterable[object], name: str, notes: tuple[str, ...] = ()) -> None:
        self.form, self._name = form, name
        header = ["" if column is None else str(column) for column in names]
        if not header:
            raise ManifestError(f"{name} is empty", hint="A manifest begins with a line of column names.")
        blank = [str(index) for index, column in enumerate(header, 1) if not column.strip()]
        if blank:
            raise ManifestError(f"{name}: column {listed(blank, 'and')} has no name", hint="Name it or delete it.")
        check_unique(header, name)
        self._kept = [index for index, column in enumerate(header) if not column.startswith(OURS)]
        self.columns = tuple(header[index] for index in self._kept)
        self.dropped = len(self._kept) < len(header)
        if self.dropped:
            notes = (*notes, f"{len(header) - len(self._kept)} columns of an earlier result ({OURS}…) are left out")
        if not self.columns:
            raise ManifestError(f"{name} has only columns of ours ({OURS}…)", hint="Give the original table.")
        self.notes = notes

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank; blank ones count."""
        columns, kept = self.columns, self._kept
        for number, values in enumerate(self._values(), 1):
            if any(value is not None and value != "" for value in values):
                yield Row(number, dict(zip(columns, [values[index] for index in kept], strict=True)), "")

    @abstractmethod
    def _values(self) -> Iterator[list[Any]]:
        """Every record's cells in the order of the header."""


class FrameManifest(_Table):
    """A pandas DataFrame: missing values are empty, Timestamps ISO text."""

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__(Form(FormKind.FRAME), frame.columns, "the DataFrame")
        self.frame = frame

    def _values(self) -> Iterator[list[Any]]:
        for start in range(0, len(self.frame), _BATCH):
            chunk = self.frame.iloc[start : start + _BATCH]
            cells = [_column(chunk.iloc[:, index]) for index in range(chunk.shape[1])]
            yield from map(list, zip(*cells, strict=True))


def _column(series: pd.Series[Any]) -> list[Any]:
    gone = series.isna().tolist()
    return [None if absent else plain(value) for value, absent in zip(series.tolist(), gone, strict=True)]


class ParquetManifest(_Table):
    """A Parquet file, read in batches of 10,000 rows."""

    def __init__(self, path: Path, form: Form, name: str, notes: tuple[str, ...] = ()) -> None:
        self._path = path
        with _parquet(path, name) as file:
            super().__init__(form, file.schema_arrow.names, name, notes)

    def _values(self) -> Iterator[list[Any]]:
        with self.batches() as (_, batches):
            for batch in batches:
                cells = [[plain(value) for value in column.to_pylist()] for column in batch.columns]
                yield from map(list, zip(*cells, strict=True))

    @contextmanager
    def batches(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """The Arrow schema and the record batches of at most 10,000 rows."""
        with _parquet(self._path, self._name) as file:
            yield file.schema_arrow, file.iter_batches(batch_size=_BATCH)


def load_parquet() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``, which are installed only where they are wanted. UsageError if they are not."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.1 s that only Parquet needs
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed here", hint="pip install 'batchedit[parquet]'"
        ) from None
    return pa, parquet


@contextmanager
def _parquet(path: Path, name: str) -> Iterator[Any]:
    pa, parquet = load_parquet()
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(
            f"{name} is no Parquet file that can be read: {error}",
            hint="Write it again, or copy it again if it was cut off.",
        ) from None


class XlsxManifest(_Table):
    """One sheet of an Excel workbook, each cell as the sheet shows it."""

    def __init__(self, path: Path, form: Form, name: str, notes: tuple[str, ...] = ()) -> None:
        self._path = path
        with _sheet(path, form.sheet, name) as (sheet, others):
            names = next(self._lines(sheet), [])
            if others and not form.sheet:
                notes = (*notes, f"sheet {sheet.title!r} is read, not {listed(map(repr, others))} (--sheet chooses)")
            super().__init__(form, names, name, notes)
        self._width = len(names)

    def _values(self) -> Iterator[list[Any]]:
        with _sheet(self._path, self.form.sheet, self._name) as (sheet, _):
            lines = self._lines(sheet)
            next(lines)
            for line in lines:
                yield (line + [None] * self._width)[: max(self._width, len(line))]

    @staticmethod
    def _lines(sheet: Any) -> Iterator[list[Any]]:
        """The cells from the first row that has any, without the empty ones at the end of a line."""
        begun = False
        for cells in sheet.iter_rows():
            line = [as_shown(cell.value, cell.number_format) for cell in cells]
            while line and line[-1] is None:
                line.pop()
            begun = begun or bool(line)
            if begun:
                yield line


@contextmanager
def _sheet(path: Path, wanted: str, name: str) -> Iterator[tuple[Any, list[str]]]:
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.2 s that only Excel needs
    from openpyxl.utils.exceptions import InvalidFileException  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        with path.open("rb") as file:  # by handle: openpyxl judges a path by its name
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            titles = [sheet.title for sheet in book.worksheets]
            if wanted and wanted not in titles:
                raise UsageError(f"{name} has no sheet {wanted!r}", hint=f"Its sheets: {listed(titles, 'and')}.")
            sheet = book[wanted] if wanted else book.worksheets[0]
            sheet.reset_dimensions()
            yield sheet, [title for title in titles if title != sheet.title]
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, IndexError, SyntaxError, EOFError) as error:
        raise ManifestError(
            f"{name} is no Excel workbook that can be read: {error}",
            hint="Open it in Excel and save it as .xlsx or .csv.",
        ) from None
