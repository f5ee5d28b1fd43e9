"""CSV as it stands in the file: every cell verbatim, and each record's own text beside its cells.

``csv.reader`` reads from a tape that keeps the physical lines of the record under way, so the results can append columns
to the *original text* instead of writing the user's cells anew. After a broken record the reader starts afresh
at the next line.

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
from ..core.words import pluralize
from .expected import expected_rows
from .header import LOOKED_AT, choose_columns, find_header, header_note, refuse_unnamed, why_unnamed
from .rows import BadRow, Form, Row, no_text, shown
from .sniff import open_text

_LONGEST = 1 << 27  # characters of one record: twice the service's 64 MiB a request; more is a quote that never closes
_BLOCK = 2**16  # characters read at once
_ADDRESS = re.compile(r"https?://[^\s|]+", re.IGNORECASE).fullmatch
_LATE_MARK = re.compile(r"[,;|\t] +\"").search
_SEP = re.compile(r'"?sep=."?$', re.IGNORECASE)


class CsvManifest:
    """A CSV file. ``preamble`` is the text above the first row; ``dropped`` tells that columns of ours are left out;
    of the ``width`` cells of a record those at ``positions`` are the columns'.
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
        with self._opened() as file:
            found = self._header(file, header_row)
        self.preamble = found.text.rstrip("\r\n")
        self._skip = found.lines
        self.form = replace(form, header_row=found.row)
        self._header_of = choose_columns(found.names, name)
        _check_header(found.names, name)
        refuse_unnamed(found.below, self._header_of, name)
        self.columns = self._header_of.names
        self.dropped = self._header_of.dropped
        self.positions, self.width = self._header_of.kept, self._header_of.width
        self.notes = (*notes, *self._header_of.notes, *filter(None, (header_note(found.row, found.above),)))

    def rows(self) -> Iterator[Row | BadRow]:  # noqa: C901 - one loop: a call a row would be a tenth of its time
        """Every row that is not blank. A broken one is a BadRow; ManifestError where nothing can be read on."""
        columns, width, kept = self.columns, self._header_of.width, self._header_of.kept
        dropped, unnamed = self.dropped, self._header_of.unnamed
        with self._opened() as file:
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
                        raw = tape.record(reader.line_num).rstrip("\r\n")
                        if len(values) != width:
                            if not values or not any(values):
                                continue
                            values, raw = self._evened(values, raw)
                            if len(values) != width:
                                yield BadRow(number, _ragged(values, self.columns, width, raw), raw)
                                continue
                        if unnamed and (reason := why_unnamed(values, unnamed)):
                            yield BadRow(number, reason, raw)
                            continue
                        if "\n" in raw and (reason := _swallowed(raw, self.form.delimiter, width)):
                            yield BadRow(number, reason, raw)
                            continue
                        if tape.suspect and ("\0" in raw or not _is_text(raw)):
                            yield BadRow(number, _not_text(raw, self.form), raw)
                            continue
                        if not values[0] and not any(values):
                            continue
                        cells = [values[index] for index in kept] if dropped else values
                        yield Row(number, dict(zip(columns, cells)), raw)  # noqa: B905 - as many as the header has: seen above
                    break
                except csv.Error as error:
                    number += 1
                    first = self._skip + tape.told + 1
                    raw = tape.record(reader.line_num)
                    reason = _broken(str(error), first, self._skip + reader.line_num - first + 1, raw)
                    yield BadRow(number, reason, raw.rstrip("\r\n"))

    def expected(self) -> int:
        """From the file's size and its first rows."""
        return expected_rows(self._path, self.form, (row.raw for row in self.rows()))

    def _evened(self, values: list[str], raw: str) -> tuple[list[str], str]:
        """A record with as many cells as the header, where only empty cells at its end are too many or missing."""
        header, delimiter = self._header_of, self.form.delimiter
        if len(values) > header.width and not any(values[header.width :]):
            more = len(values) - header.width
            if raw.endswith(delimiter * more):
                return values[: header.width], raw[:-more]
        if header.least <= len(values) < header.width:
            more = header.width - len(values)
            return values + [""] * more, raw + delimiter * more
        return values, raw

    def _header(self, file: Iterable[str], wanted: int | None) -> _Found:
        """The header among the first records. Their text is read by the line: ``sep=;`` is none of the sheet's rows."""
        lines: list[str] = []
        reader = csv.reader(_tap(file, lines), delimiter=self.form.delimiter, strict=True)
        records: list[list[str]] = []
        ends: list[int] = []
        try:
            for values in reader:
                if not records and _SEP.match(lines[-1].lstrip("\ufeff").rstrip("\r\n")):
                    continue
                records.append(values)
                ends.append(len(lines))
                if len(records) >= max(LOOKED_AT, wanted or 0) or (wanted == 0 and any(values)):
                    break
        except ManifestError:  # a quotation mark that never closes: it is told where the rows are read
            if not any(map(any, records)):
                raise
        except csv.Error as error:
            if not any(map(any, records)):
                raise ManifestError(
                    f"the first line of {self._name} is no line of column names: "
                    f"{_broken(str(error), 1, len(lines), '')}",
                    hint="Look for a quotation mark that is not closed.",
                ) from None
        if not any(map(any, records)):
            raise ManifestError(f"{self._name} is empty", hint="A manifest begins with a line of column names.")
        place = find_header(records, wanted or None)
        above = sum(map(any, records[:place]))
        return _Found(
            records[place], place + 1, above, "".join(lines[: ends[place]]), ends[place], records[place + 1 :]
        )

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        with readable(self._name), open_text(self._path, self.form, newline="") as file:
            yield file


class _Found(NamedTuple):
    """The header: its ``names``, the sheet's ``row``, how many rows with cells stand ``above``, and the ``text`` and count of
    physical ``lines`` from the top to its end. ``below``: the first records under it.
    """

    names: list[str]
    row: int
    above: int
    text: str
    lines: int
    below: list[list[str]]


@contextmanager
def readable(name: str) -> Iterator[None]:
    """What a file can do to its reader, as a ManifestError."""
    try:
        yield
    except UnicodeError as error:
        raise ManifestError(f"{name} can't be read as text: {error}", hint="Name its --encoding.") from None
    except (EOFError, zlib.error) as error:
        raise ManifestError(f"{name} is damaged or cut off: {error}", hint="Compress or copy it again.") from None
    except OSError as error:
        failed = ManifestReadError if error.errno in {errno.EIO, errno.ENOSPC} else ManifestError
        raise failed(f"{name} can't be read: {error}") from None


def _tap(file: Iterable[str], lines: list[str]) -> Iterator[str]:
    size = 0
    for line in file:
        size += len(line)
        if lines and size > _LONGEST:
            raise _never_ends(lines[0])
        lines.append(line)
        yield line if len(lines) > 1 else line.lstrip("\ufeff")


def _never_ends(line: str) -> ManifestError:
    return ManifestError(
        f"a quotation mark opens a cell that never ends: {shown(line)}",
        hint='Close the quotation mark, or write it twice ("") inside a quoted cell.',
    )


class _Tape:
    """The physical lines of a file on their way to ``csv.reader``, kept until the record that they make is known.

    ``csv.reader`` counts the lines it has taken; so they can come by the block, without a call of Python's for each.
    """

    def __init__(self, file: TextIO) -> None:
        self.lines: Iterator[str] = chain.from_iterable(self._blocks(file))
        self.told = 0
        """Lines that were told as records."""
        self._held: list[str] = []
        self._at = 0  # of what is held, so many were told
        self.suspect = False
        """Whether anything that is held is no text. A record is told before the block behind its last line is read."""

    def record(self, line_num: int) -> str:
        """The text of the record that ends with line ``line_num``, with its line ends."""
        begin, self._at = self._at, self._at + line_num - self.told
        self.told = line_num
        return self._held[begin] if self._at == begin + 1 else "".join(self._held[begin : self._at])

    def _blocks(self, file: TextIO) -> Iterator[list[str]]:
        size = 0  # characters since the record under way began, as far as whole blocks tell
        while block := file.readlines(_BLOCK):
            if self._at:  # a record ended within the last block: what is left of that is the beginning of the next
                del self._held[: self._at]
                self._at, size = 0, sum(map(len, self._held))
            size += sum(map(len, block))
            if self._held and size > _LONGEST:
                raise _never_ends(self._held[0])
            bad = "\0" in (text := "".join(block)) or not _is_text(text)
            self.suspect = bad or (self.suspect and bool(self._held))
            self._held += block
            yield block


def _check_header(names: list[str], name: str) -> None:
    if any("\0" in column or not _is_text(column) for column in names):
        raise ManifestError(f"{name}: the first line is not text", hint="Name its --encoding, or save it as UTF-8.")
    if address := next((column for column in names if column.startswith(("http://", "https://"))), None):
        raise ManifestError(
            f"{name}: the first line holds data ({shown(address)}), not the names of the columns",
            hint="Put a line such as sku,title,image,prompt above it.",
        )


def _ragged(values: list[str], columns: tuple[str, ...], width: int, raw: str) -> str:
    told = f"has {pluralize(len(values), 'cell')} where the header has {width}"
    if len(values) < width:
        first = columns[len(values)] if len(values) < len(columns) else ""
        return told + (f": {first!r} and on are missing" if first else "")
    extra = shown(" | ".join(values[width:]), 40)
    if _LATE_MARK(raw):
        return (
            f"{told}: a blank stands in front of a quotation mark, which opens "
            "a cell only right behind the delimiter (delete the blank)"
        )
    return f"{told}, too many by: {extra} (a cell that holds the delimiter must stand in quotation marks)"


def _broken(error: str, line: int, lines: int, raw: str) -> str:
    if "unexpected end of data" in error:
        begins = f": {shown(raw, 40)}" if raw else ""
        return f"a quotation mark opens a cell in line {line} and is never closed{begins}"
    if "expected after" in error:
        where = f"line {line}" if lines == 1 else f"lines {line} to {line + lines - 1}"
        return f'has text behind a closing quotation mark in {where} (inside a quoted cell write " twice)'
    return f"line {line}: {error}"


def _is_text(raw: str) -> bool:
    """Whether ``raw`` has no lone surrogate. UTF-16 refuses the same as UTF-8 does, in a fraction of the time."""
    try:
        raw.encode("utf-16")
    except UnicodeEncodeError:
        return False
    return True


def _swallowed(raw: str, delimiter: str, width: int) -> str:
    """Why a record of several lines is more than one row: a line within a cell that is a whole row, its link and all.

    A quotation mark that opens a cell by chance (24" of a monitor) takes what follows up to the next one into that cell.
    """
    for line in raw.splitlines()[1:]:
        if "://" not in line:
            continue
        pieces = line.split(delimiter)
        if len(pieces) >= width > 1 and any(_ADDRESS(piece.strip(' "')) for piece in pieces):
            return (
                f"takes the next row into one of its cells, from a quotation mark on: {shown(line, 40)} "
                '(delete the mark, or write "" for it inside a quoted cell)'
            )
    return ""


def _not_text(raw: str, form: Form) -> str:
    if "\0" in raw:
        return "holds a NUL character, which is no text"
    return f"holds {no_text(raw)}, which is no text in {form.encoding} (--encoding names another)"
