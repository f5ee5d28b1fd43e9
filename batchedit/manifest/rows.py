"""What a reader hands on: rows, rows that could not be read, and the form that the file came in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple, Protocol


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
    False for UTF-8 text that holds letters beyond ASCII. ``guessed``: nothing but the letters themselves told the encoding.
    ``header_row``: the sheet's row, from 1, that holds the column names; 0 where there is none. ``visible_only`` leaves the
    hidden rows of an xlsx sheet out. ``ids_by_index``: a row without an id is called by its index, not by the sheet's number:
    its run began in the first edition.
    """

    kind: FormKind
    delimiter: str = ","
    encoding: str = "utf-8"
    bom: bool = False
    newline: str = "\n"
    compression: str = ""
    sheet: str = ""
    ascii: bool = True
    guessed: bool = False
    header_row: int = 0
    visible_only: bool = False
    ids_by_index: bool = False

    def dump(self) -> str:
        """JSON, to be kept with the run: what a sheet is, is decided once."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Form:
        """The inverse of ``dump``; what this version does not know is left out.

        ValueError, TypeError, AttributeError or LookupError for what ``dump`` can't have written: it may be damaged.
        """
        known = {field.name: str if field.name == "kind" else type(field.default) for field in fields(cls)}
        told = {name: value for name, value in json.loads(text).items() if name in known}
        for name, value in told.items():
            if type(value) is not known[name]:
                raise ValueError(f"{name} is {value!r}")
        form = cls(**{**told, "kind": FormKind(told["kind"])})
        if form.header_row < 0 or len(form.delimiter) > 1 or form.compression not in {"", "gzip"}:
            raise ValueError(text)
        if (
            set(form.delimiter) & set('"\r\n')
            or form.newline not in {"\n", "\r\n", "\r"}
            or (form.kind is FormKind.CSV and not form.delimiter)
        ):
            raise ValueError(text)
        b"".decode(form.encoding)  # LookupError for what is none
        return form


class Number(str):
    """A number as it was written: ``1.50``, ``1e5`` or 23 digits long. Text for a prompt, a number for the schema."""

    __slots__ = ()


class Linked(str):
    """A cell's text with the address of the link behind it. A picture is read from the address, a prompt from the text."""

    __slots__ = ("link",)
    link: str

    @classmethod
    def of(cls, text: str, link: str) -> Linked:
        made = cls(text)
        made.link = link
        return made


class Uncomputed(str):
    """The empty cell of a formula that no program has computed: a value is missing here, not left out."""

    __slots__ = ()


class Row(NamedTuple):
    """One row of the user's. ``number`` counts rows below the header from 1, blank ones too; in JSONL it is the line. What a
    person sees is ``rownames.sheet_row`` of it.

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
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what may be bought by mistake; complete once all rows are read."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The user's columns in order, without ours. For JSONL the first call reads the whole file."""
        ...

    def rows(self) -> Iterator[Row | BadRow]:
        """All rows from the top, streamed. ManifestError where the file can't be read on."""
        ...

    def expected(self) -> int:
        """About how many rows there are; 0 where only reading them all would tell."""
        ...


def no_text(raw: str) -> str:
    """Which byte of ``raw`` is none of its encoding's, as ``open_text`` hands it on; or that it spells half a character."""
    odd = next((letter for letter in raw if "\udc80" <= letter <= "\udcff"), "")
    return f"the byte {ord(odd) - 0xDC00:#04x}" if odd else "half a character"


def shown(text: object, width: int = 60) -> str:
    """A value as a message shows it: on one line and not longer than ``width`` characters."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
