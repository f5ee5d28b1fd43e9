"""Repurchases: the new job of a rejected one replaces it on every line, and the old job stays unchanged.

The table ``redone`` keeps the pair, so that an intake that asks for the old job gets the last one of the chain. The first job
of a pair has been bought again once and is not bought again for the same rejection.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from ..core.model import Record, ResultLine
from ..core.review import Verdict
from .codec import JOB_COLUMNS
from .decisions import FolderDecisions
from .run_facts import COMMITTED, parse_whole_number, read_fact
from .sqlite_file import SqliteFile
from .sqlite_records import TO_BUY
from .state_totals import recount

_INSERT = f"INSERT INTO jobs ({JOB_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 'planned')"
_REJECTED = """
    id IN (SELECT value FROM json_each(?)) AND id IN (SELECT job FROM lines)
    AND id NOT IN (SELECT job FROM redone) AND state = 'done' ORDER BY id
"""


def find_rejected(checkpoint: SqliteFile) -> list[Record]:
    """Jobs that were rejected, stand on a line, and have not been bought again."""
    rejected_jobs = [job for job, mark in FolderDecisions(checkpoint).all().items() if mark.verdict is Verdict.REJECT]
    return checkpoint.records(_REJECTED, (orjson.dumps(rejected_jobs).decode(),))


def list_planned_repurchases(checkpoint: SqliteFile) -> list[int]:
    """Ids of the jobs that replace rejected ones and are not bought yet."""
    query = f"SELECT id FROM jobs WHERE {TO_BUY} AND id IN (SELECT by_job FROM redone) ORDER BY id"
    return [job for (job,) in checkpoint.rows(query)]


def list_planned_retries(checkpoint: SqliteFile) -> list[Record]:
    """Jobs that a person asked to retry and that are not bought yet."""
    return checkpoint.records(f"{TO_BUY} AND id IN (SELECT job FROM events WHERE name = 'RetryAsked') ORDER BY id")


def find_successors(checkpoint: SqliteFile) -> dict[int, int]:
    """For each job that was bought again the last job of its chain."""
    successors: dict[int, int] = dict(checkpoint.rows("SELECT job, by_job FROM redone"))
    for job in sorted(successors, reverse=True):  # by_job > job, so the chain's end is known first
        successors[job] = successors.get(successors[job], successors[job])
    return successors


def add_repurchases(checkpoint: SqliteFile, pairs: Iterable[tuple[Record, ResultLine]]) -> list[int]:
    """Add a planned job for each pair (rejected, its new line), all or none. Returns the new ids.

    The lines of the rejected job ask for the new one afterwards; it alone is wanted.
    """
    new_ids = []
    job_id = read_fact(checkpoint, COMMITTED, parse_whole_number, 0)
    with checkpoint.transaction() as db:
        for old, line in pairs:
            job_id += 1
            job = line.job
            columns = (job.inputs, job.name, job.size, job.variant, job.revision, job.version)
            db.execute(_INSERT, (job_id, job.key, line.name_hash, *columns))
            db.execute("INSERT INTO redone VALUES (?, ?)", (old.id, job_id))
            db.execute("UPDATE lines SET job = ? WHERE job = ?", (job_id, old.id))
            db.execute("UPDATE jobs SET wanted = 0 WHERE id = ?", (old.id,))
            new_ids.append(job_id)
        checkpoint.put_in(db, COMMITTED, str(job_id))
        checkpoint.put_in(db, "lines_mark", f"again-{job_id}")
        recount(db)
    return new_ids
