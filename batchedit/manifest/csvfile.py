"""CSV as it stands in the file: every cell verbatim, and each record's own text beside its cells.

``csv.reader`` reads from a tape that keeps the physical lines of the record under way, so the results can append columns
to the *original text* instead of writing the user's cells anew. After a broken record the reader starts afresh
at the next line.

Numbers: a row is counted when it stands between others, blank or not, so data row N is the spreadsheet's row N + 1. A
blank row (no line at all, or only delimiters, as spreadsheets leave them at the end) is skipped.
"""

from __future__ import annotations

import csv
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO

from ..core.errors import ManifestError
from .nearest import listed
from .rows import OURS, BadRow, Form, Row, shown
from .sniff import open_text

_LONGEST = 1 << 27  # characters of one record: twice the service's 64 MiB a request; more is a quote that never closes
_BLOCK = 2**16  # characters read at once
_SEP = re.compile(r'"?sep=."?$', re.IGNORECASE)


class CsvManifest:
    """A CSV file. ``preamble`` is the text above the first row; ``dropped`` tells that columns of ours are left out."""

    def __init__(self, path: Path, form: Form, name: str, notes: tuple[str, ...] = ()) -> None:
        """Read and check the header. ManifestError if it can't head a table."""
        csv.field_size_limit(max(csv.field_size_limit(), min(sys.maxsize, 2**31 - 1)))
        self.form = form
        self._path, self._name = path, name
        with self._opened() as file:
            lines: list[str] = []
            names = self._header(file, lines)
            self.preamble = "".join(lines).rstrip("\r\n")
            self._skip = len(lines)
        _check_header(names, name)
        self._width = len(names)
        self._kept = [index for index, column in enumerate(names) if not column.startswith(OURS)]
        self.columns = tuple(names[index] for index in self._kept)
        self.dropped = len(self._kept) < len(names)
        if self.dropped:
            notes = (*notes, f"{len(names) - len(self._kept)} columns of an earlier result ({OURS}…) are left out")
        if not self.columns:
            raise ManifestError(f"{name} has only columns of ours ({OURS}…)", hint="Give the original table.")
        self.notes = notes

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank. A broken one is a BadRow; ManifestError where nothing can be read on."""
        columns, width, kept = self.columns, self._width, self._kept
        dropped = self.dropped
        with self._opened() as file:
            for _ in range(self._skip):
                next(file)
            tape = _Tape(file)
            reader = csv.reader(tape.lines, delimiter=self.form.delimiter, strict=True)
            number = 0
            while True:
                try:
                    for values in reader:
                        number += 1
                        raw = tape.record(reader.line_num).rstrip("\r\n")
                        if len(values) != width:
                            if values and any(values):
                                yield BadRow(number, _ragged(values, self.columns, width), raw)
                            continue
                        if "\0" in raw or (not raw.isascii() and not _is_text(raw)):
                            yield BadRow(number, _not_text(raw, self.form), raw)
                            continue
                        if not values[0] and not any(values):
                            continue
                        cells = [values[index] for index in kept] if dropped else values
                        yield Row(number, dict(zip(columns, cells, strict=True)), raw)
                    break
                except csv.Error as error:
                    number += 1
                    first = self._skip + tape.told + 1
                    raw = tape.record(reader.line_num)
                    reason = _broken(str(error), first, self._skip + reader.line_num - first + 1, raw)
                    yield BadRow(number, reason, raw.rstrip("\r\n"))

    def _header(self, file: Iterable[str], lines: list[str]) -> list[str]:
        reader = csv.reader(_tap(file, lines), delimiter=self.form.delimiter, strict=True)
        try:
            for names in reader:
                if any(names) and not _SEP.match(lines[-1].rstrip("\r\n")):
                    return names
        except csv.Error as error:
            raise ManifestError(
                f"the first line of {self._name} is no line of column names: {_broken(str(error), 1, len(lines), '')}",
                hint="Look for a quotation mark that is not closed.",
            ) from None
        raise ManifestError(f"{self._name} is empty", hint="A manifest begins with a line of column names.")

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        with readable(self._name), open_text(self._path, self.form, newline="") as file:
            yield file


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
        raise ManifestError(f"{name} can't be read: {error}") from None


def _tap(file: Iterable[str], lines: list[str]) -> Iterator[str]:
    size = 0
    for line in file:
        size += len(line)
        if lines and size > _LONGEST:
            raise _never_ends(lines[0])
        lines.append(line)
        yield line


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
            self._held += block
            yield block


def _check_header(names: list[str], name: str) -> None:
    blank = [str(index) for index, column in enumerate(names, 1) if not column.strip()]
    if blank:
        raise ManifestError(
            f"{name}: column {listed(blank, 'and')} has no name",
            hint="Give each column a name in the first line, or delete the column.",
        )
    check_unique(names, name)
    if any("\0" in column or not _is_text(column) for column in names):
        raise ManifestError(f"{name}: the first line is not text", hint="Name its --encoding, or save it as UTF-8.")
    if address := next((column for column in names if column.startswith(("http://", "https://"))), None):
        raise ManifestError(
            f"{name}: the first line holds data ({shown(address)}), not the names of the columns",
            hint="Put a line such as sku,title,image,prompt above it.",
        )


def check_unique(names: list[str], name: str) -> None:
    """ManifestError if a column's name stands twice."""
    places: dict[str, list[str]] = {}
    for index, column in enumerate(names, 1):
        places.setdefault(column, []).append(str(index))
    twice = [f"{column!r} (columns {listed(at, 'and')})" for column, at in places.items() if len(at) > 1]
    if twice:
        raise ManifestError(f"{name}: two columns have one name: {listed(twice, 'and')}", hint="Rename one of them.")


def _ragged(values: list[str], columns: tuple[str, ...], width: int) -> str:
    if len(values) < width:
        first = columns[len(values)] if len(values) < len(columns) else ""
        return f"has {len(values)} cells where the header has {width}" + (
            f": {first!r} and on are missing" if first else ""
        )
    extra = shown(" | ".join(values[width:]), 40)
    return (
        f"has {len(values)} cells where the header has {width}, too many by: {extra} "
        "(a cell that holds the delimiter must stand in quotation marks)"
    )


def _broken(error: str, line: int, lines: int, raw: str) -> str:
    if "unexpected end of data" in error:
        begins = f": {shown(raw, 40)}" if raw else ""
        return f"a quotation mark opens a cell in line {line} and is never closed{begins}"
    if "expected after" in error:
        where = f"line {line}" if lines == 1 else f"lines {line} to {line + lines - 1}"
        return f'has text behind a closing quotation mark in {where} (inside a quoted cell write " twice)'
    return f"line {line}: {error}"


def _is_text(raw: str) -> bool:
    try:
        raw.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_text(raw: str, form: Form) -> str:
    if "\0" in raw:
        return "holds a NUL character, which is no text"
    odd = next(letter for letter in raw if "\ud800" <= letter <= "\udfff")
    byte = f"the byte {ord(odd) - 0xDC00:#04x}" if "\udc80" <= odd <= "\udcff" else "half a character"
    return f"holds {byte}, which is no text in {form.encoding} (--encoding names another)"
