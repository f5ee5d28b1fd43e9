"""Reads CSV: every cell verbatim, and the text of each record beside its cells.

``csv.reader`` reads from a ``_Tape``, which keeps the physical lines of the current record, so the results can append
columns to the *original text* instead of writing the user's cells anew. After a broken record a new reader starts at the
next line.

Numbers: a row is counted when it stands below the header, blank or not, so data row N is the spreadsheet's row N +
``Form.header_row``. A blank row (no line at all, or only delimiters, as spreadsheets leave them at the end) is skipped.
"""

from __future__ import annotations

import csv
import errno
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from ..core.errors import ManifestError, ManifestReadError
from ..core.plurals_and_durations import pluralize
from .expected import estimate_row_count
from .header import (
    HEADER_SEARCH_ROWS,
    choose_columns,
    describe_header,
    explain_unnamed_cell,
    find_header,
    refuse_unnamed,
)
from .rows import BadRow, Form, Row, describe_bad_character, truncate_text
from .sniff import open_text

_MAX_RECORD_CHARS = 1 << 27  # twice the service's 64 MiB a request; a longer record has a quote that never closes
_BLOCK = 2**16  # characters read at once
_match_address = re.compile(r"https?://[^\s|]+", re.IGNORECASE).fullmatch
_find_late_quote = re.compile(r"[,;|\t] +\"").search
_SEPARATOR_LINE = re.compile(r'"?sep=."?$', re.IGNORECASE)


class CsvManifest:
    """A CSV file. ``preamble`` is the text above the first row. ``dropped`` is True if columns of ours are left out. Of the
    ``width`` cells of a record, those at ``positions`` belong to ``columns``.
    """

    @property
    def warnings(self) -> tuple[str, ...]:
        return ()

    def __init__(
        self, path: Path, form: Form, name: str, notes: tuple[str, ...] = (), *, header_row: int | None = None
    ) -> None:
        """Read and check the header: the sheet's row ``header_row``; 0 takes the first row that is not blank and counts from
        the one below it; None finds it. ManifestError if it can't head a table.
        """
        csv.field_size_limit(max(csv.field_size_limit(), min(sys.maxsize, 2**31 - 1)))
        self.form = form
        self._path, self._name = path, name
        with self._open() as file:
            header = self._find_header_record(file, header_row)
        self.preamble = header.text.rstrip("\r\n")
        self._skip = header.lines
        self.form = replace(form, header_row=header.row)
        self._header_columns = choose_columns(header.names, name)
        _check_header(header.names, name)
        refuse_unnamed(header.below, self._header_columns, name)
        self.columns = self._header_columns.names
        self.dropped = self._header_columns.dropped
        self.positions, self.width = self._header_columns.positions, self._header_columns.width
        self.notes = (*notes, *self._header_columns.notes, *filter(None, (describe_header(header.row, header.above),)))

    def rows(self) -> Iterator[Row | BadRow]:  # noqa: C901 - one loop: a call a row would be a tenth of its time
        """Yield every row that is not blank, a broken one as BadRow. ManifestError where reading can't go on."""
        columns, width, positions = self.columns, self._header_columns.width, self._header_columns.positions
        dropped, unnamed = self.dropped, self._header_columns.unnamed
        with self._open() as file:
            for _ in range(self._skip):
                next(file)
            tape = _Tape(file)
            reader = csv.reader(tape.lines, delimiter=self.form.delimiter, strict=True)
            number = 0
            while True:
                try:
                    for record in reader:
                        values = record
                        number += 1
                        raw = tape.take_record(reader.line_num).rstrip("\r\n")
                        if len(values) != width:
                            if not values or not any(values):
                                continue
                            values, raw = self._adjust_width(values, raw)
                            if len(values) != width:
                                yield BadRow(number, _explain_width(values, self.columns, width, raw), raw)
                                continue
                        if unnamed and (reason := explain_unnamed_cell(values, unnamed)):
                            yield BadRow(number, reason, raw)
                            continue
                        if "\n" in raw and (reason := _explain_swallowed_row(raw, self.form.delimiter, width)):
                            yield BadRow(number, reason, raw)
                            continue
                        if tape.suspect and ("\0" in raw or not _is_text(raw)):
                            yield BadRow(number, _explain_bad_text(raw, self.form), raw)
                            continue
                        if not values[0] and not any(values):
                            continue
                        cells = [values[index] for index in positions] if dropped else values
                        yield Row(number, dict(zip(columns, cells)), raw)  # noqa: B905 - the width is checked above
                    break
                except csv.Error as error:
                    number += 1
                    first = self._skip + tape.lines_taken + 1
                    raw = tape.take_record(reader.line_num)
                    reason = _explain_csv_error(str(error), first, self._skip + reader.line_num - first + 1, raw)
                    yield BadRow(number, reason, raw.rstrip("\r\n"))

    def estimate_rows(self) -> int:
        """Estimate from the file's size and its first rows."""
        return estimate_row_count(self._path, self.form, (row.raw for row in self.rows()))

    def _adjust_width(self, values: list[str], raw: str) -> tuple[list[str], str]:
        """Add or remove empty cells at the end of a record, if that gives it as many cells as the header has."""
        header, delimiter = self._header_columns, self.form.delimiter
        if len(values) > header.width and not any(values[header.width :]):
            difference = len(values) - header.width
            if raw.endswith(delimiter * difference):
                return values[: header.width], raw[:-difference]
        if header.min_width <= len(values) < header.width:
            difference = header.width - len(values)
            return values + [""] * difference, raw + delimiter * difference
        return values, raw

    def _find_header_record(self, file: Iterable[str], header_row: int | None) -> _Header:
        """Find the header among the first records. A line ``sep=;`` does not count as a row of the sheet."""
        lines: list[str] = []
        reader = csv.reader(_copy_lines(file, lines), delimiter=self.form.delimiter, strict=True)
        records: list[list[str]] = []
        ends: list[int] = []
        try:
            for values in reader:
                if not records and _SEPARATOR_LINE.match(lines[-1].lstrip("\ufeff").rstrip("\r\n")):
                    continue
                records.append(values)
                ends.append(len(lines))
                if len(records) >= max(HEADER_SEARCH_ROWS, header_row or 0) or (header_row == 0 and any(values)):
                    break
        except ManifestError:  # a quotation mark that never closes: reading the rows reports it
            if not any(map(any, records)):
                raise
        except csv.Error as error:
            if not any(map(any, records)):
                raise ManifestError(
                    f"the first line of {self._name} is no line of column names: "
                    f"{_explain_csv_error(str(error), 1, len(lines), '')}",
                    hint="Look for a quotation mark that is not closed.",
                ) from None
        if not any(map(any, records)):
            raise ManifestError(f"{self._name} is empty", hint="A manifest begins with a line of column names.")
        index = find_header(records, header_row or None)
        above = sum(map(any, records[:index]))
        return _Header(
            records[index], index + 1, above, "".join(lines[: ends[index]]), ends[index], records[index + 1 :]
        )

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        with convert_read_errors(self._name), open_text(self._path, self.form, newline="") as file:
            yield file


class _Header(NamedTuple):
    """The header: its ``names``, its ``row`` in the sheet, the number of rows with cells ``above`` it, and the ``text`` and
    number of physical ``lines`` from the top to its end. ``below`` holds the first records below it.
    """

    names: list[str]
    row: int
    above: int
    text: str
    lines: int
    below: list[list[str]]


@contextmanager
def convert_read_errors(name: str) -> Iterator[None]:
    """Turn errors of decoding, decompressing and the disk into ManifestError."""
    try:
        yield
    except UnicodeError as error:
        raise ManifestError(f"{name} can't be read as text: {error}", hint="Name its --encoding.") from None
    except (EOFError, zlib.error) as error:
        raise ManifestError(f"{name} is damaged or cut off: {error}", hint="Compress or copy it again.") from None
    except OSError as error:
        error_class = ManifestReadError if error.errno in {errno.EIO, errno.ENOSPC} else ManifestError
        raise error_class(f"{name} can't be read: {error}") from None


def _copy_lines(file: Iterable[str], lines: list[str]) -> Iterator[str]:
    size = 0
    for line in file:
        size += len(line)
        if lines and size > _MAX_RECORD_CHARS:
            raise _make_unclosed_error(lines[0])
        lines.append(line)
        yield line if len(lines) > 1 else line.lstrip("\ufeff")


def _make_unclosed_error(line: str) -> ManifestError:
    return ManifestError(
        f"a quotation mark opens a cell that never ends: {truncate_text(line)}",
        hint='Close the quotation mark, or write it twice ("") inside a quoted cell.',
    )


class _Tape:
    """Passes the physical lines of a file to ``csv.reader`` and keeps them until their record is complete.

    ``csv.reader`` counts the lines it has read, so lines are passed in blocks, without a Python call for each.
    """

    def __init__(self, file: TextIO) -> None:
        self.lines: Iterator[str] = chain.from_iterable(self._read_blocks(file))
        self.lines_taken = 0
        """Lines of the records that were taken so far."""
        self._buffer: list[str] = []
        self._taken = 0  # the first lines of the buffer, which belong to records that were taken
        self.suspect = False
        """True if anything in the buffer is not text. A record is taken before the block after its last line is read."""

    def take_record(self, line_num: int) -> str:
        """The text of the record that ends with line ``line_num``, with its line ends."""
        begin, self._taken = self._taken, self._taken + line_num - self.lines_taken
        self.lines_taken = line_num
        return self._buffer[begin] if self._taken == begin + 1 else "".join(self._buffer[begin : self._taken])

    def _read_blocks(self, file: TextIO) -> Iterator[list[str]]:
        size = 0  # characters since the current record began, counted in whole blocks
        while block := file.readlines(_BLOCK):
            if self._taken:  # a record ended within the last block: the rest of the block begins the next record
                del self._buffer[: self._taken]
                self._taken, size = 0, sum(map(len, self._buffer))
            size += sum(map(len, block))
            if self._buffer and size > _MAX_RECORD_CHARS:
                raise _make_unclosed_error(self._buffer[0])
            has_bad_text = "\0" in (text := "".join(block)) or not _is_text(text)
            self.suspect = has_bad_text or (self.suspect and bool(self._buffer))
            self._buffer += block
            yield block


def _check_header(names: list[str], name: str) -> None:
    if any("\0" in column or not _is_text(column) for column in names):
        raise ManifestError(f"{name}: the first line is not text", hint="Name its --encoding, or save it as UTF-8.")
    if address := next((column for column in names if column.startswith(("http://", "https://"))), None):
        raise ManifestError(
            f"{name}: the first line holds data ({truncate_text(address)}), not the names of the columns",
            hint="Put a line such as sku,title,image,prompt above it.",
        )


def _explain_width(values: list[str], columns: tuple[str, ...], width: int, raw: str) -> str:
    problem = f"has {pluralize(len(values), 'cell')} where the header has {width}"
    if len(values) < width:
        first = columns[len(values)] if len(values) < len(columns) else ""
        return problem + (f": {first!r} and on are missing" if first else "")
    extra = truncate_text(" | ".join(values[width:]), 40)
    if _find_late_quote(raw):
        return (
            f"{problem}: a blank stands in front of a quotation mark, which opens "
            "a cell only right behind the delimiter (delete the blank)"
        )
    return f"{problem}, too many by: {extra} (a cell that holds the delimiter must stand in quotation marks)"


def _explain_csv_error(error: str, line: int, lines: int, raw: str) -> str:
    if "unexpected end of data" in error:
        excerpt = f": {truncate_text(raw, 40)}" if raw else ""
        return f"a quotation mark opens a cell in line {line} and is never closed{excerpt}"
    if "expected after" in error:
        position = f"line {line}" if lines == 1 else f"lines {line} to {line + lines - 1}"
        return f'has text behind a closing quotation mark in {position} (inside a quoted cell write " twice)'
    return f"line {line}: {error}"


def _is_text(raw: str) -> bool:
    """True if ``raw`` has no lone surrogate. UTF-16 refuses the same text as UTF-8 does, in a fraction of the time."""
    try:
        raw.encode("utf-16")
    except UnicodeEncodeError:
        return False
    return True


def _explain_swallowed_row(raw: str, delimiter: str, width: int) -> str:
    """Why a record of several lines is more than one row: a line in one of its cells is a whole row with a link.

    A quotation mark that opens a cell by chance (24" of a monitor) takes all text up to the next one into that cell.
    """
    for line in raw.splitlines()[1:]:
        if "://" not in line:
            continue
        pieces = line.split(delimiter)
        if len(pieces) >= width > 1 and any(_match_address(piece.strip(' "')) for piece in pieces):
            return (
                f"takes the next row into one of its cells, from a quotation mark on: {truncate_text(line, 40)} "
                '(delete the mark, or write "" for it inside a quoted cell)'
            )
    return ""


def _explain_bad_text(raw: str, form: Form) -> str:
    if "\0" in raw:
        return "holds a NUL character, which is no text"
    return f"holds {describe_bad_character(raw)}, which is no text in {form.encoding} (--encoding names another)"
