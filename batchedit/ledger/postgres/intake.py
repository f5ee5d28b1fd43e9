"""Runs and jobs on their way into the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import TupleRow

from ...core.model import Record
from ..codec import STATE_COLUMNS, state_values
from .schema import SCHEMA

CHUNK = 10_000
_REQUEST = f"COPY {SCHEMA}.request (run, id, key, slot, inputs, name, size, variant, revision, version) FROM STDIN"
_JOB = f"COPY {SCHEMA}.job (run, id, wanted, serial, leave, {STATE_COLUMNS}) FROM STDIN"


class NewJob(NamedTuple):
    """A job as it comes in. ``slot`` as in ``Line``; ``leave``: how many purchases of it a person said yes to."""

    record: Record
    slot: int
    wanted: bool = True
    leave: int = 0


def add_run(connection: psycopg.Connection[TupleRow], name: str, model: str, service: str) -> int:
    """A new run; returns its number. Raises psycopg.errors.UniqueViolation for a name that is taken."""
    query = f"INSERT INTO {SCHEMA}.run (name, model, service) VALUES (%s, %s, %s) RETURNING id"
    row = connection.execute(query, (name, model, service)).fetchone()
    assert row is not None
    return int(row[0])


def add_jobs(connection: psycopg.Connection[TupleRow], run: int, jobs: Iterable[NewJob]) -> int:
    """Write ``jobs`` as they come; returns how many. To be called in a transaction, and followed by ``analyze``."""
    coming, count = iter(jobs), 0
    while chunk := list(islice(coming, CHUNK)):
        _copy(connection, _REQUEST, (_request(run, job) for job in chunk))
        _copy(connection, _JOB, (_job(run, job) for job in chunk))
        count += len(chunk)
    return count


def analyze(connection: psycopg.Connection[TupleRow]) -> None:
    """Tell the planner what came in: without it each change of a large run takes three times as long."""
    connection.execute(f"ANALYZE {SCHEMA}.job, {SCHEMA}.request")


def _copy(connection: psycopg.Connection[TupleRow], statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _request(run: int, new: NewJob) -> tuple[Any, ...]:
    job = new.record.job
    about = (job.inputs, job.name, job.size, job.variant, job.revision, job.version)
    return (run, new.record.id, bytes(job.key), new.slot, *about)


def _job(run: int, new: NewJob) -> tuple[Any, ...]:
    record = new.record
    return (run, record.id, new.wanted, record.serial, new.leave, *state_values(record))
