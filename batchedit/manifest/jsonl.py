"""Reads JSON Lines, one object a line, without changing a cell.

orjson turns integers from 2^64 into floats, reads ``1.50`` as 1.5 and keeps the last of two equal keys. ``json`` with
hooks is exact and takes 2.3 µs a row; finding the lines that orjson reads correctly would cost more than that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from .cells import to_json_text
from .csvfile import convert_read_errors
from .expected import estimate_row_count
from .header import OUR_COLUMNS
from .rows import BadRow, Form, Number, Row, describe_bad_character, truncate_text
from .sniff import open_text


class _DuplicateKeyError(ValueError):
    """An object has the same key twice."""


class JsonlManifest:
    """A JSONL file. A key that is a column of ours is left out of ``cells``; ``raw`` still has it."""

    preamble = ""
    dropped = False

    @property
    def warnings(self) -> tuple[str, ...]:
        return ()

    def __init__(self, path: Path, form: Form, name: str, notes: tuple[str, ...] = ()) -> None:
        self.form, self._notes = form, notes
        self._has_our_keys = False  # at least one row read so far has keys of ours
        self._path, self._name = path, name
        self._columns: tuple[str, ...] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed, and, once a row with keys of ours was read, that these are left out."""
        note = "keys of an earlier result (result_status and the like) are left out"
        return (*self._notes, note) if self._has_our_keys else self._notes

    @property
    def columns(self) -> tuple[str, ...]:
        """All keys of all rows in order of occurrence: the first call reads the whole file, about 3 µs a row."""
        if self._columns is None:
            seen: dict[str, None] = {}
            for row in self.rows():
                if type(row) is Row and not row.cells.keys() <= seen.keys():
                    seen.update(dict.fromkeys(row.cells))
            self._columns = tuple(seen)
        return self._columns

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every line that is not blank; blank lines count. A line that is no object is a BadRow."""
        for number, raw in self.read_lines():
            try:
                cells = _decode_exactly(raw)
            except (ValueError, RecursionError) as error:
                yield BadRow(number, _explain_error(error, raw), raw)
                continue
            if type(cells) is not dict:
                yield BadRow(number, f"is not an object in braces but {truncate_text(raw, 40)}", raw)
                continue
            if '"result_' in raw:
                own_cells = {key: value for key, value in cells.items() if key not in OUR_COLUMNS}
                self._has_our_keys = self._has_our_keys or len(own_cells) < len(cells)
                cells = own_cells
            if ("\\u" in raw or not raw.isascii()) and not _is_text(cells):
                yield BadRow(
                    number, f"holds {describe_bad_character(raw)}, which is no text in {self.form.encoding}", raw
                )
                continue
            yield Row(number, cells, raw)

    def estimate_rows(self) -> int:
        """Estimate from the file's size and its first lines."""
        return estimate_row_count(self._path, self.form, (raw for _, raw in self.read_lines()))

    def read_lines(self) -> Iterator[tuple[int, str]]:
        """Number and text of every line that is not blank, without parsing it: a third of the time of ``rows``."""
        with self._open() as file:
            for number, line in enumerate(file, 1):
                raw = line.strip("\r\n\t ")
                if raw:
                    yield number, raw

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        with convert_read_errors(self._name), open_text(self._path, self.form, newline="\n") as file:
            yield file


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    cells = dict(pairs)
    if len(cells) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKeyError(next(key for key in keys if keys.count(key) > 1))
    return cells


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_decode_exactly = json.JSONDecoder(
    object_pairs_hook=_build_object, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
).decode


def remove_our_keys(raw: str) -> str:
    """The text of an object without the keys of an earlier results file; numbers stay as written."""
    cells = _decode_exactly(raw)
    if OUR_COLUMNS.isdisjoint(cells):
        return raw
    return to_json_text({key: cells[key] for key in cells if key not in OUR_COLUMNS})


def is_object(raw: str) -> bool:
    """True if ``rows`` yields a Row for the text of this line."""
    try:
        cells = _decode_exactly(raw)
    except (ValueError, RecursionError):
        return False
    return type(cells) is dict and _is_text(cells)


def _is_text(cells: dict[str, Any]) -> bool:
    try:
        json.dumps(cells, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _explain_error(error: Exception, raw: str) -> str:
    if isinstance(error, _DuplicateKeyError):
        return f"has the key {str(error)!r} twice"
    if isinstance(error, json.JSONDecodeError):
        if raw.startswith("{") and raw.endswith("},"):
            return "has a comma behind its object; write one object a line, and nothing between them"
        if (raw.startswith("{") and error.pos >= len(raw) - 1) or "Unterminated" in error.msg:
            return f"is cut off after {truncate_text(raw[-30:], 30)!r}"
        return (
            f"is no JSON: {error.msg} at character {error.pos + 1}: {truncate_text(raw[max(0, error.pos - 10) :], 30)}"
        )
    return f"is no JSON: {truncate_text(error)}"
