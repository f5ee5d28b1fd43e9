"""What a reader hands on: rows, rows that could not be read, and the form that the file came in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

OURS = "result_"
"""Columns that begin so are our own, from an earlier results file: dropped on the way in."""


class FormKind(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"
    PARQUET = "parquet"
    FRAME = "frame"


@dataclass(frozen=True, slots=True)
class Form:
    """How a table is written down, so that the results can be written in the same way.

    ``encoding`` never implies a byte order mark; ``bom`` says whether there is one. ``newline`` is the line end, and
    ``compression`` is ``"gzip"`` or ``""``. ``delimiter`` counts for CSV only, ``sheet`` for xlsx only. ``ascii`` is
    False for UTF-8 text that holds letters beyond ASCII.
    """

    kind: FormKind
    delimiter: str = ","
    encoding: str = "utf-8"
    bom: bool = False
    newline: str = "\n"
    compression: str = ""
    sheet: str = ""
    ascii: bool = True


class Number(str):
    """A number as it was written: ``1.50``, ``1e5`` or 23 digits long. Text for a prompt, a number for the schema."""

    __slots__ = ()


class Row(NamedTuple):
    """One row of the user's. ``number`` counts data rows from 1, blank ones too: the spreadsheet's row less one.

    ``cells`` are str, or for JSONL and typed tables also Number, bool, None, list and dict. ``raw`` is the record as it
    stands in the file, without its line end; empty where the file is not text.
    """

    number: int
    cells: dict[str, Any]
    raw: str


class BadRow(NamedTuple):
    """A record that is no row of this table, and why, in the user's words."""

    number: int
    reason: str
    raw: str


class Manifest(Protocol):
    """A table that can be read any number of times, one row at a time."""

    @property
    def form(self) -> Form: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences worth telling: what was guessed and what was left out."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The user's columns in order, without ours. For JSONL the first call reads the whole file."""
        ...

    def rows(self) -> Iterator[Row | BadRow]:
        """All rows from the top, streamed. ManifestError where the file can't be read on."""
        ...


def shown(text: object, width: int = 60) -> str:
    """A value as a message shows it: on one line and not longer than ``width`` characters."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
