"""Many rows at once, by COPY: the text that it takes, and a sender that works while the next rows are made."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

BLOCK = 10_000
"""Rows of one COPY: what is asked of every statement is asked once of so many, and they fit in the server's memory."""
PART = 500
"""So many rows are made without a pause. Whoever computes keeps the interpreter for 5 ms, and the sender, which needs it for
a moment after each piece that the server took, would get next to nothing through.
"""
PAUSE_SECONDS = 2e-5
AHEAD = 1
"""So many blocks wait while the server takes one: requests are made more slowly than jobs, and taken faster."""

Row = Sequence[Any]
Item = TypeVar("Item")


def copy_in(connection: psycopg.Connection[TupleRow], into: str, rows: Iterable[Row]) -> None:
    """Write ``rows`` to the table and columns of ``into``. To be called in a transaction."""
    coming = iter(rows)
    with sending(connection) as send:
        while block := take(coming):
            send(into, block)


def take(coming: Iterator[Item]) -> list[Item]:
    """The next BLOCK of them, or what is left."""
    return [one for part in _parts(islice(coming, BLOCK)) for one in part]


@contextmanager
def sending(connection: psycopg.Connection[TupleRow]) -> Iterator[Callable[[str, Iterable[Row]], None]]:
    """Gives ``send(into, rows)``, which returns when these rows are on their way, AHEAD of what the server has taken. All is
    there when the block ends; until then nothing else may use the connection.
    """
    sent: deque[Future[None]] = deque()

    def send(into: str, rows: Iterable[Row]) -> None:
        texts = [rows_text(part) for part in _parts(rows)]
        while len(sent) > AHEAD:
            sent.popleft().result()
        sent.append(thread.submit(_send, connection, into, texts))

    with ThreadPoolExecutor(1, "copy") as thread:
        try:
            yield send
            while sent:
                sent.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)


def _parts(coming: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(coming)
    while part := list(islice(rest, PART)):
        yield part
        time.sleep(PAUSE_SECONDS)


def _send(connection: psycopg.Connection[TupleRow], into: str, texts: Iterable[str]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN".encode()) as stream:
        for text in texts:
            stream.write(text)


def rows_text(rows: Sequence[Row]) -> str:
    """Rows in COPY's text format; a column at a time, which takes a fifth of what ``write_row`` does.

    psycopg.DataError for a NUL, which PostgreSQL's text can't hold; KeyError for a type that no column here has.
    """
    if not rows:
        return ""
    text = "\n".join(map("\t".join, zip(*map(_column, zip(*rows, strict=True)), strict=True))) + "\n"
    if "\0" in text:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return text


def _column(values: Sequence[Any]) -> Iterable[str]:
    kinds = set(map(type, values))
    if kinds == {str} and not any(special in "".join(values) for special in _ESCAPES):
        return values
    if len(kinds) == 1:
        return map(_FIELDS[kinds.pop()], values)
    return [_FIELDS[type(value)](value) for value in values]


_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
"""A backslash begins an escape, and ``\\N`` is NULL; the others end a field or a row. The backslash is the first to go."""


def _escaped(text: str) -> str:
    for special, escape in _ESCAPES.items():
        text = text.replace(special, escape)
    return text


_FIELDS: Mapping[type, Callable[[Any], str]] = {
    str: _escaped,
    int: str,
    float: repr,
    bool: "ft".__getitem__,
    bytes: lambda value: "\\\\x" + value.hex(),
    type(None): lambda _: "\\N",
}
