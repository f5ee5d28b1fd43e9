"""Many rows at once, by COPY, and a sender that works while the next rows are made."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    with start_sender(connection) as send:
        while block := take_block(coming):
            send(into, block)


def take_block(coming: Iterator[Item]) -> list[Item]:
    """The next BLOCK of them, or what is left."""
    return [one for part in _parts(islice(coming, BLOCK)) for one in part]


@contextmanager
def start_sender(connection: psycopg.Connection[TupleRow]) -> Iterator[Callable[[str, Iterable[Row]], None]]:
    """Gives ``send(into, rows)``, which returns when these rows are on their way, AHEAD of what the server has taken. All is
    there when the block ends; until then nothing else may use the connection.
    """
    sent: deque[Future[None]] = deque()

    def send(into: str, rows: Iterable[Row]) -> None:
        block = [row for part in _parts(rows) for row in part]
        while len(sent) > AHEAD:
            sent.popleft().result()
        sent.append(thread.submit(_send, connection, into, block))

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


def _send(connection: psycopg.Connection[TupleRow], into: str, rows: Iterable[Row]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN".encode()) as stream:
        for row in rows:
            stream.write_row(row)
