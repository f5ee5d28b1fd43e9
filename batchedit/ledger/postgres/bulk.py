"""Sends many rows at once, by COPY, in a thread that works while the next rows are built."""

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

BLOCK_ROWS = 10_000
"""Rows of one COPY: enough that the cost of a statement does not matter, and few enough for the server's memory."""
PART_ROWS = 500
"""Rows built without a pause. A computing thread keeps the interpreter for 5 ms, and the sender, which needs it shortly
after each piece that the server took, would hardly make progress.
"""
PAUSE_SECONDS = 2e-5
BLOCKS_AHEAD = 1
"""Blocks that may wait while the server takes one: requests are built more slowly than jobs, and taken faster."""

Row = Sequence[Any]
Item = TypeVar("Item")


def copy_in(connection: psycopg.Connection[TupleRow], into: str, rows: Iterable[Row]) -> None:
    """Write ``rows`` to the table and columns of ``into``. Call it in a transaction."""
    remaining = iter(rows)
    with start_sender(connection) as send:
        while block := take_block(remaining):
            send(into, block)


def take_block(items: Iterator[Item]) -> list[Item]:
    """The next BLOCK_ROWS items, or those that are left."""
    return [item for part in _split_parts(islice(items, BLOCK_ROWS)) for item in part]


@contextmanager
def start_sender(connection: psycopg.Connection[TupleRow]) -> Iterator[Callable[[str, Iterable[Row]], None]]:
    """Yields ``send(into, rows)``, which returns when these rows are queued, at most BLOCKS_AHEAD blocks before the
    server. All rows are written when the ``with`` block ends; until then nothing else may use the connection.
    """
    pending: deque[Future[None]] = deque()

    def send(into: str, rows: Iterable[Row]) -> None:
        block = [row for part in _split_parts(rows) for row in part]
        while len(pending) > BLOCKS_AHEAD:
            pending.popleft().result()
        pending.append(thread.submit(_copy_block, connection, into, block))

    with ThreadPoolExecutor(1, "copy") as thread:
        try:
            yield send
            while pending:
                pending.popleft().result()
        finally:
            thread.shutdown(cancel_futures=True)


def _split_parts(items: Iterable[Item]) -> Iterator[list[Item]]:
    remaining = iter(items)
    while part := list(islice(remaining, PART_ROWS)):
        yield part
        time.sleep(PAUSE_SECONDS)


def _copy_block(connection: psycopg.Connection[TupleRow], into: str, rows: Iterable[Row]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN".encode()) as stream:
        for row in rows:
            stream.write_row(row)
