"""Writes new runs and jobs to the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import TupleRow

from ...core.model import Job, JobKey, Record
from ..codec import STATE_COLUMNS, list_state_values
from .bulk import start_sender, take_block
from .schema import SCHEMA

_INTO_REQUEST = f"{SCHEMA}.request (run, id, key, slot, inputs, name, size, variant, revision, version)"
_INTO_PLANNED_JOB = f"{SCHEMA}.job (run, id, wanted, leave)"
_INTO_JOB = f"{SCHEMA}.job (run, id, wanted, serial, leave, {STATE_COLUMNS})"


class NewJob(NamedTuple):
    """A job to be written. ``name_hash`` as in ``ResultLine``; ``approved_purchases``: how many purchases of it a person
    approved.
    """

    record: Record
    name_hash: int
    wanted: bool = True
    approved_purchases: int = 0


def add_run(connection: psycopg.Connection[TupleRow], name: str, model: str, service: str) -> int:
    """Insert a run; returns its number. Raises psycopg.errors.UniqueViolation for a name that is taken."""
    query = f"INSERT INTO {SCHEMA}.run (name, model, service) VALUES (%s, %s, %s) RETURNING id"
    row = connection.execute(query, (name, model, service)).fetchone()
    assert row is not None
    return int(row[0])


def add_jobs(connection: psycopg.Connection[TupleRow], run: int, jobs: Iterable[NewJob]) -> int:
    """Write ``jobs`` as they come; returns how many. Call it in a transaction, and ``analyze`` afterwards."""
    remaining, count = iter(jobs), 0
    with start_sender(connection) as send:
        while block := take_block(remaining):
            send(_INTO_REQUEST, (_to_request_row(run, job) for job in block))
            untouched = [job for job in block if is_untouched(job.record)]
            send(_INTO_PLANNED_JOB, ((run, job.record.id, job.wanted, job.approved_purchases) for job in untouched))
            if len(untouched) < len(block):
                send(_INTO_JOB, (_to_job_row(run, job) for job in block if not is_untouched(job.record)))
            count += len(block)
    return count


def is_untouched(record: Record) -> bool:
    """Are all fields that an event may change at their defaults? Then they need not be sent."""
    return record[_FIRST_CHANGEABLE:_END_CHANGEABLE] == _UNTOUCHED


_FIRST_CHANGEABLE, _END_CHANGEABLE = Record._fields.index("state"), Record._fields.index("finished_at") + 1
_UNTOUCHED = Record(0, Job(JobKey(bytes(16)), "", "", ""))[_FIRST_CHANGEABLE:_END_CHANGEABLE]


def analyze(connection: psycopg.Connection[TupleRow]) -> None:
    """Update the planner's statistics: without it each change of a large run takes three times as long."""
    connection.execute(f"ANALYZE {SCHEMA}.job, {SCHEMA}.request")


def _to_request_row(run: int, new_job: NewJob) -> tuple[Any, ...]:
    job = new_job.record.job
    columns = (job.inputs, job.name, job.size, job.variant, job.revision, job.version)
    return (run, new_job.record.id, bytes(job.key), new_job.name_hash, *columns)


def _to_job_row(run: int, new_job: NewJob) -> tuple[Any, ...]:
    record = new_job.record
    return (run, record.id, new_job.wanted, record.serial, new_job.approved_purchases, *list_state_values(record))
