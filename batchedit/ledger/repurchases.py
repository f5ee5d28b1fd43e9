"""A rejected job bought again: the new job takes the old one's place on every line, and the old one stays as it is.

``redone`` remembers the pair, so that an intake that asks for the old job gets the last of the chain. A job that stands
there on the left has been bought again once and is not bought again for the same rejection.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from ..core.model import Record, ResultLine
from ..core.review import Verdict
from .codec import JOB_COLUMNS
from .decisions import Marks
from .facts import COMMITTED, read_fact, whole
from .sqlite_file import SqliteFile
from .sqlite_records import TO_BUY
from .state_totals import recount

_INSERT = f"INSERT INTO jobs ({JOB_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 'planned')"
_REJECTED = """
    id IN (SELECT value FROM json_each(?)) AND id IN (SELECT job FROM lines)
    AND id NOT IN (SELECT job FROM redone) AND state = 'done' ORDER BY id
"""


def rejected(checkpoint: SqliteFile) -> list[Record]:
    """Jobs that were rejected, stand on a line, and have not been bought again."""
    jobs = [job for job, mark in Marks(checkpoint).all().items() if mark.verdict is Verdict.REJECT]
    return checkpoint.records(_REJECTED, (orjson.dumps(jobs).decode(),))


def redone_and_planned(checkpoint: SqliteFile) -> list[int]:
    """Ids of the jobs that were asked for in the place of rejected ones and are not bought yet."""
    query = f"SELECT id FROM jobs WHERE {TO_BUY} AND id IN (SELECT by_job FROM redone) ORDER BY id"
    return [job for (job,) in checkpoint.rows(query)]


def retried_and_planned(checkpoint: SqliteFile) -> list[Record]:
    """Jobs that a person wanted bought anew and that are not bought yet."""
    return checkpoint.records(f"{TO_BUY} AND id IN (SELECT job FROM events WHERE name = 'RetryAsked') ORDER BY id")


def successors(checkpoint: SqliteFile) -> dict[int, int]:
    """For each job that was bought again the last of its chain."""
    found: dict[int, int] = dict(checkpoint.rows("SELECT job, by_job FROM redone"))
    for job in sorted(found, reverse=True):  # by_job > job, so the chain's end is known first
        found[job] = found.get(found[job], found[job])
    return found


def add_repurchases(checkpoint: SqliteFile, again: Iterable[tuple[Record, ResultLine]]) -> list[int]:
    """Add a planned job for each pair (rejected, its new line), all or none. Returns the new ids.

    The lines of the rejected job now ask for the new one; it alone is wanted.
    """
    ids = []
    committed = read_fact(checkpoint, COMMITTED, whole, 0)
    with checkpoint.transaction() as db:
        for old, line in again:
            committed += 1
            job = line.job
            about = (job.inputs, job.name, job.size, job.variant, job.revision, job.version)
            db.execute(_INSERT, (committed, job.key, line.name_hash, *about))
            db.execute("INSERT INTO redone VALUES (?, ?)", (old.id, committed))
            db.execute("UPDATE lines SET job = ? WHERE job = ?", (committed, old.id))
            db.execute("UPDATE jobs SET wanted = 0 WHERE id = ?", (old.id,))
            ids.append(committed)
        checkpoint.put_in(db, COMMITTED, str(committed))
        checkpoint.put_in(db, "lines_mark", f"again-{committed}")
        recount(db)
    return ids
