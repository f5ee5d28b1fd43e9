"""Reads typed tables: xlsx, Parquet and DataFrames, each cell as a reader of the table sees it.

Libraries are imported where they are used: a CSV run loads none of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.columns import RESULT_COLUMNS
from ..core.errors import ManifestError, UsageError
from ..core.plurals_and_durations import pluralize
from ..settings.extras import to_install
from .cell_attributes import RowAttributes
from .cells import to_json_value
from .header import HEADER_SEARCH_ROWS, choose_columns, describe_header, explain_unnamed_cell, find_header
from .rows import BadRow, Form, FormKind, Row
from .workbook import Workbook

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 10_000
_FIRST_RESULT_COLUMN = RESULT_COLUMNS[0]
"""The column before it holds the pictures of a result."""


class _Table(ABC):
    """Base of the typed tables: checks the columns once and leaves ours out."""

    preamble = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        return ()

    def __init__(self, form: Form, names: Iterable[object], name: str, notes: tuple[str, ...] = ()) -> None:
        self.form, self._name = form, name
        header_columns = choose_columns(["" if column is None else str(column) for column in names], name)
        self.positions, self._unnamed, self.columns = (
            header_columns.positions,
            header_columns.unnamed,
            header_columns.names,
        )
        self.dropped = header_columns.dropped
        self.notes = (*notes, *header_columns.notes)

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every row that is not blank; blank rows count."""
        columns, positions = self.columns, self.positions
        for row_number, values in enumerate(self._read_values(), 1):
            if any(value is not None and value != "" for value in values):
                if self._unnamed and (reason := explain_unnamed_cell(values, self._unnamed)):
                    yield BadRow(row_number, reason, " | ".join(str(value) for value in values if value is not None))
                    continue
                yield Row(row_number, dict(zip(columns, [values[index] for index in positions], strict=True)), "")

    def estimate_rows(self) -> int:
        """See ``rows.Manifest``."""
        return 0

    @abstractmethod
    def _read_values(self) -> Iterator[list[Any]]:
        """Every record's cells in the order of the header."""


class FrameManifest(_Table):
    """A pandas DataFrame: missing values are empty, Timestamps ISO text."""

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__(Form(FormKind.FRAME), frame.columns, "the DataFrame")
        self.frame = frame

    def estimate_rows(self) -> int:
        """The exact number of rows."""
        return len(self.frame)

    def _read_values(self) -> Iterator[list[Any]]:
        for start in range(0, len(self.frame), _BATCH):
            chunk = self.frame.iloc[start : start + _BATCH]
            cells = [_convert_column(chunk.iloc[:, index]) for index in range(chunk.shape[1])]
            yield from map(list, zip(*cells, strict=True))


def _convert_column(series: pd.Series[Any]) -> list[Any]:
    is_missing = series.isna().tolist()
    return [None if absent else to_json_value(value) for value, absent in zip(series.tolist(), is_missing, strict=True)]


class ParquetManifest(_Table):
    """A Parquet file, read in batches of 10,000 rows."""

    def __init__(self, path: Path, form: Form, name: str, notes: tuple[str, ...] = ()) -> None:
        self._path = path
        with _open_parquet(path, name) as file:
            super().__init__(form, file.schema_arrow.names, name, notes)
            self._rows = int(file.metadata.num_rows)

    def estimate_rows(self) -> int:
        """The exact number of rows."""
        return self._rows

    def _read_values(self) -> Iterator[list[Any]]:
        with self.open_batches() as (_, batches):
            for batch in batches:
                cells = [[to_json_value(value) for value in column.to_pylist()] for column in batch.columns]
                yield from map(list, zip(*cells, strict=True))

    @contextmanager
    def open_batches(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """The Arrow schema and the record batches of at most 10,000 rows."""
        with _open_parquet(self._path, self._name) as file:
            yield file.schema_arrow, file.iter_batches(batch_size=_BATCH)


def load_parquet() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``, which are an optional dependency. UsageError if they are not installed."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - 0.1 s that only Parquet needs
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise UsageError("Parquet needs pyarrow, which is not installed here", hint=to_install("parquet")) from None
    return pa, parquet


@contextmanager
def _open_parquet(path: Path, name: str) -> Iterator[Any]:
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

    def __init__(
        self,
        path: Path,
        form: Form,
        name: str,
        notes: tuple[str, ...] = (),
        *,
        header_row: int | None = None,
        pictures: Path | None = None,
    ) -> None:
        """``pictures`` is the folder that the pictures in the sheet are written to; None leaves them out."""
        self.path = path
        self._book = Workbook(path, form.sheet, name, pictures)
        self._hidden = 0
        top = [line for line, _ in islice(self._read_lines(), max(HEADER_SEARCH_ROWS, header_row or 0))]
        if not any(top):
            raise ManifestError(f"{name} is empty", hint="A manifest begins with a line of column names.")
        self.place = find_header(top, header_row or None)
        if header_row == 0:
            self.place = next(place for place, line in enumerate(top) if line)
        names = top[self.place]
        self._width = len(names)
        note = describe_header(self.place + 1, sum(map(bool, top[: self.place])))
        named_columns = frozenset(column for column, cell in enumerate(names) if cell is not None and str(cell).strip())
        picture_column = names.index(_FIRST_RESULT_COLUMN) - 1 if _FIRST_RESULT_COLUMN in names else -1
        picture_notes = tuple(self._book.take_pictures(self.place, named_columns, picture_column))
        form = replace(form, sheet=self._book.title, header_row=self.place + 1)
        super().__init__(form, names, name, (*notes, *filter(None, (note, *picture_notes))))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what was decided at the start, and on the rows read so far."""
        left_out = ""
        if self.form.visible_only and self._hidden:
            left_out = f"{_format_rows(self._hidden)} hidden in the sheet and left out (--visible-only)"
        return (*self._own_notes, *self._book.notes, *([left_out] if left_out else ()))

    @notes.setter
    def notes(self, notes: tuple[str, ...]) -> None:
        self._own_notes = notes

    @property
    def warnings(self) -> tuple[str, ...]:
        """Hidden rows, which are bought like the others, and formulas without a value."""
        if not self._hidden or self.form.visible_only:
            return self._book.warnings
        warning = f"{_format_rows(self._hidden)} hidden in the sheet (by a filter or by hand) and taken like the others"
        return (f"{warning}; --visible-only leaves such rows out", *self._book.warnings)

    def estimate_rows(self) -> int:
        """The rows from the header down to the sheet's last cell."""
        return max(0, self._book.height - self.place - 1)

    def _read_values(self) -> Iterator[list[Any]]:
        self._hidden = 0
        for line, attributes in islice(self._read_lines(), self.place + 1, None):
            if attributes is not None and attributes.hidden and line:
                self._hidden += 1
                if self.form.visible_only:
                    yield [None] * self._width
                    continue
            yield (line + [None] * self._width)[: max(self._width, len(line))]

    def _read_lines(self) -> Iterator[tuple[list[Any], RowAttributes | None]]:
        """The cells of every row, without the empty ones at its end."""
        for line, attributes in self._book.read_rows():
            while line and line[-1] is None:
                line.pop()
            yield line, attributes


def _format_rows(count: int) -> str:
    return pluralize(count, "row is", "rows are")
