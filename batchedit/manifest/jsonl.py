"""JSON Lines: one object a line, read without changing a cell.

orjson turns integers from 2^64 into floats, forgets ``1.50`` and lets the last of two equal keys win. ``json`` with
hooks is exact and takes 2.3 µs a row; telling beforehand which lines orjson could be trusted with costs more than that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from .cells import json_text
from .csvfile import readable
from .expected import expected_rows
from .header import OURS
from .rows import BadRow, Form, Number, Row, no_text, shown
from .sniff import open_text


class _TwiceError(ValueError):
    """A key stands twice in one object."""


class JsonlManifest:
    """A JSONL file. A key that is a column of ours is left out of the cells; ``raw`` still has it."""

    preamble = ""
    dropped = False

    @property
    def warnings(self) -> tuple[str, ...]:
        return ()

    def __init__(self, path: Path, form: Form, name: str, notes: tuple[str, ...] = ()) -> None:
        self.form, self._notes = form, notes
        self._ours = False  # keys of ours were seen
        self._path, self._name = path, name
        self._columns: tuple[str, ...] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed, and that keys of ours are left out, once a row with some was read."""
        told = "keys of an earlier result (result_status and the like) are left out"
        return (*self._notes, told) if self._ours else self._notes

    @property
    def columns(self) -> tuple[str, ...]:
        """All keys of all rows in the order of first sight: the first call reads the whole file, about 3 µs a row."""
        if self._columns is None:
            seen: dict[str, None] = {}
            for row in self.rows():
                if type(row) is Row and not row.cells.keys() <= seen.keys():
                    seen.update(dict.fromkeys(row.cells))
            self._columns = tuple(seen)
        return self._columns

    def rows(self) -> Iterator[Row | BadRow]:
        """Every line that is not blank; blank ones count. A line that is no object is a BadRow."""
        for number, raw in self.texts():
            try:
                cells = _exact(raw)
            except (ValueError, RecursionError) as error:
                yield BadRow(number, _reason(error, raw), raw)
                continue
            if type(cells) is not dict:
                yield BadRow(number, f"is not an object in braces but {shown(raw, 40)}", raw)
                continue
            if '"result_' in raw:
                kept = {key: value for key, value in cells.items() if key not in OURS}
                self._ours = self._ours or len(kept) < len(cells)
                cells = kept
            if ("\\u" in raw or not raw.isascii()) and not _is_text(cells):
                yield BadRow(number, f"holds {no_text(raw)}, which is no text in {self.form.encoding}", raw)
                continue
            yield Row(number, cells, raw)

    def expected(self) -> int:
        """From the file's size and its first lines."""
        return expected_rows(self._path, self.form, (raw for _, raw in self.texts()))

    def texts(self) -> Iterator[tuple[int, str]]:
        """Number and text of every line that is not blank, unread: a third of the time of ``rows``."""
        with self._opened() as file:
            for number, line in enumerate(file, 1):
                raw = line.strip("\r\n\t ")
                if raw:
                    yield number, raw

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        with readable(self._name), open_text(self._path, self.form, newline="\n") as file:
            yield file


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    cells = dict(pairs)
    if len(cells) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return cells


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_exact = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=Number, parse_float=Number, parse_constant=_constant
).decode


def without_ours(raw: str) -> str:
    """The text of an object without the keys of an earlier results file; the rest keeps its numbers as written."""
    cells = _exact(raw)
    return raw if OURS.isdisjoint(cells) else json_text({key: cells[key] for key in cells if key not in OURS})


def is_object(raw: str) -> bool:
    """Whether ``rows`` would give a Row for this line's text."""
    try:
        cells = _exact(raw)
    except (ValueError, RecursionError):
        return False
    return type(cells) is dict and _is_text(cells)


def _is_text(cells: dict[str, Any]) -> bool:
    try:
        json.dumps(cells, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: Exception, raw: str) -> str:
    if isinstance(error, _TwiceError):
        return f"has the key {str(error)!r} twice"
    if isinstance(error, json.JSONDecodeError):
        if raw.startswith("{") and raw.endswith("},"):
            return "has a comma behind its object; write one object a line, and nothing between them"
        if (raw.startswith("{") and error.pos >= len(raw) - 1) or "Unterminated" in error.msg:
            return f"is cut off after {shown(raw[-30:], 30)!r}"
        return f"is no JSON: {error.msg} at character {error.pos + 1}: {shown(raw[max(0, error.pos - 10) :], 30)}"
    return f"is no JSON: {shown(error)}"
