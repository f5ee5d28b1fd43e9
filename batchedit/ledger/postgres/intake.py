"""Runs and jobs on their way into the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import TupleRow

from ...core.model import Job, JobKey, Record
from ..codec import STATE_COLUMNS, state_values
from .bulk import sending, take
from .schema import SCHEMA

_REQUEST = f"{SCHEMA}.request (run, id, key, slot, inputs, name, size, variant, revision, version)"
_PLANNED = f"{SCHEMA}.job (run, id, wanted, leave)"
_JOB = f"{SCHEMA}.job (run, id, wanted, serial, leave, {STATE_COLUMNS})"


class NewJob(NamedTuple):
    """A job as it comes in. ``name_hash`` as in ``Line``; ``leave``: how many purchases of it a person said yes to."""

    record: Record
    name_hash: int
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
    with sending(connection) as send:
        while block := take(coming):
            send(_REQUEST, (_request(run, job) for job in block))
            untouched = [job for job in block if is_untouched(job.record)]
            send(_PLANNED, ((run, job.record.id, job.wanted, job.leave) for job in untouched))
            if len(untouched) < len(block):
                send(_JOB, (_job(run, job) for job in block if not is_untouched(job.record)))
            count += len(block)
    return count


def is_untouched(record: Record) -> bool:
    """Is all that an event may change as it is at first? Then the columns' defaults say so, and need no sending."""
    return record[_FIRST:_END] == _UNTOUCHED


_FIRST, _END = Record._fields.index("state"), Record._fields.index("finished_at") + 1
_UNTOUCHED = Record(0, Job(JobKey(bytes(16)), "", "", ""))[_FIRST:_END]


def analyze(connection: psycopg.Connection[TupleRow]) -> None:
    """Tell the planner what came in: without it each change of a large run takes three times as long."""
    connection.execute(f"ANALYZE {SCHEMA}.job, {SCHEMA}.request")


def _request(run: int, new: NewJob) -> tuple[Any, ...]:
    job = new.record.job
    about = (job.inputs, job.name, job.size, job.variant, job.revision, job.version)
    return (run, new.record.id, bytes(job.key), new.name_hash, *about)


def _job(run: int, new: NewJob) -> tuple[Any, ...]:
    record = new.record
    return (run, record.id, new.wanted, record.serial, new.leave, *state_values(record))
