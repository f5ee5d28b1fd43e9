"""What a reader returns: rows, rows that could not be read, and the form of the file."""

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
    """The form of a table's file, so that the results can be written in the same form.

    ``encoding`` never implies a byte order mark; ``bom`` says whether there is one. ``newline`` is the line end, and
    ``compression`` is ``"gzip"`` or ``""``. ``delimiter`` is for CSV only, ``sheet`` for xlsx only. ``ascii`` is
    False for UTF-8 text with letters beyond ASCII. ``guessed``: the encoding was guessed from the letters alone.
    ``header_row``: the sheet's row, from 1, that holds the column names; 0 if there is none. ``visible_only`` leaves the
    hidden rows of an xlsx sheet out. ``ids_by_index``: the id of a row without one is its index, not the sheet's row number,
    since the run began in the first edition.
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
        """JSON, which is kept with the run: the form is detected once."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Form:
        """The inverse of ``dump``; unknown fields are left out.

        ValueError, TypeError, AttributeError or LookupError for text that ``dump`` can't have written: it may be damaged.
        """
        field_types = {field.name: str if field.name == "kind" else type(field.default) for field in fields(cls)}
        values = {name: value for name, value in json.loads(text).items() if name in field_types}
        for name, value in values.items():
            if type(value) is not field_types[name]:
                raise ValueError(f"{name} is {value!r}")
        form = cls(**{**values, "kind": FormKind(values["kind"])})
        if form.header_row < 0 or len(form.delimiter) > 1 or form.compression not in {"", "gzip"}:
            raise ValueError(text)
        if (
            set(form.delimiter) & set('"\r\n')
            or form.newline not in {"\n", "\r\n", "\r"}
            or (form.kind is FormKind.CSV and not form.delimiter)
        ):
            raise ValueError(text)
        b"".decode(form.encoding)  # LookupError for an unknown encoding
        return form


class Number(str):
    """A number as it was written: ``1.50``, ``1e5`` or of 23 digits. Text for a prompt, a number for the schema."""

    __slots__ = ()


class Linked(str):
    """A cell's text with the address of its link. A picture is read from the address, a prompt from the text."""

    __slots__ = ("link",)
    link: str

    @classmethod
    def of(cls, text: str, link: str) -> Linked:
        linked = cls(text)
        linked.link = link
        return linked


class Uncomputed(str):
    """The empty cell of a formula that was never computed: its value is missing, not left empty on purpose."""

    __slots__ = ()


class Row(NamedTuple):
    """A row of the user's table. ``number`` counts rows below the header from 1, blank ones too; in JSONL it is the line. A
    person sees ``rownames.to_sheet_row`` of it.

    ``cells`` are str, or for JSONL and typed tables also Number, bool, None, list and dict. ``raw`` is the text of the
    record in the file, without its line end; empty if the file is not text.
    """

    number: int
    cells: dict[str, Any]
    raw: str


class BadRow(NamedTuple):
    """A record that could not be read as a row, and the reason, as a message shows it."""

    number: int
    reason: str
    raw: str


class Manifest(Protocol):
    """A table that can be read any number of times, one row at a time."""

    @property
    def form(self) -> Form: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: what was guessed and what was left out."""
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
        """Yield all rows from the top. ManifestError where reading can't go on."""
        ...

    def estimate_rows(self) -> int:
        """About how many rows there are; 0 if only reading them all would tell."""
        ...


def describe_bad_character(raw: str) -> str:
    """The byte of ``raw`` that its encoding does not have, kept by ``open_text`` as a surrogate; or "half a character"."""
    bad_letter = next((letter for letter in raw if "\udc80" <= letter <= "\udcff"), "")
    return f"the byte {ord(bad_letter) - 0xDC00:#04x}" if bad_letter else "half a character"


def truncate_text(text: object, width: int = 60) -> str:
    """A value for a message: on one line and not longer than ``width`` characters."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
