"""The manifest of a run, kept in the store as it was taken in: any machine can write the results from it."""

from __future__ import annotations

import hashlib
import os
from io import BufferedWriter
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from ...disk import create
from ..values import STAGED
from .schema import SCHEMA
from .store import open_store

PIECE_BYTES = 1 << 20
"""The size of a row."""


def give_sheet(connection: psycopg.Connection[TupleRow], run: int, folder: Path, fingerprint: str) -> None:
    """Keep the manifest that ``folder`` has staged for the intake of ``fingerprint``. The connection is in a transaction."""
    for staged_file in folder.glob(f"{STAGED}.*"):
        with staged_file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if f":{digest}:" in fingerprint:
            put_sheet(connection, run, staged_file, staged_file.name.removeprefix(STAGED))
            return


def put_sheet(connection: psycopg.Connection[TupleRow], run: int, path: Path, ending: str) -> None:
    """Keep the manifest at ``path`` as that of the run. The connection is in a transaction."""
    connection.execute(f"DELETE FROM {SCHEMA}.sheet WHERE run = %s", (run,))
    into = f"COPY {SCHEMA}.sheet (run, part, ending, content) FROM STDIN (FORMAT BINARY)"
    with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(into.encode()) as stream:
        stream.set_types(["int8", "int4", "text", "bytea"])
        part = 0
        while piece := file.read(PIECE_BYTES):
            stream.write_row((run, part, ending, piece))
            part += 1


def take_sheet(url: str, name: str, folder: Path) -> None:
    """Stage the manifest of the run ``name`` in ``folder``, if the store has it. OSError where it can't be written."""
    query = (
        f"SELECT ending, content FROM {SCHEMA}.sheet JOIN {SCHEMA}.run ON run.id = run WHERE name = %s ORDER BY part"
    )
    with open_store(url) as connection, connection.transaction(), connection.cursor(name="sheet") as cursor:
        cursor.itersize = 4
        cursor.execute(query.encode(), (name,))
        if (first_row := cursor.fetchone()) is None:
            return
        with BufferedWriter(create(folder / f"{STAGED}{first_row[0]}")) as copy:
            copy.write(first_row[1])
            for _, piece in cursor:
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
