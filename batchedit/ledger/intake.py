"""Intake of a manifest's lines into the checkpoint, a chunk a transaction.

Nothing an intake writes counts before ``commit``: new jobs have ids above the last committed one, new lines are in a table
of their own. ``commit`` swaps both in, in one transaction. The next intake deletes what one that died has left, before
anything could have been bought from it: buying begins after ``commit``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import orjson

from ..core.digests import DigestMap
from ..core.model import InvalidLine, ResultLine
from .codec import JOB_COLUMNS
from .latest_versions import LatestVersions
from .repurchases import find_successors
from .run_facts import COMMITTED, build_damaged_error, parse_fact, parse_whole_number, read_fact
from .schema import INTAKE_ENDS, INTAKE_TABLE
from .sqlite_file import SqliteFile
from .state_totals import add_planned
from .values import IntakeReport, KnownJobs

CHUNK = 10_000

_INSERT_JOB = f"INSERT INTO jobs ({JOB_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned')"
_INSERT_LINE = "INSERT INTO incoming (row, id, job, problems, over) VALUES (?, ?, ?, ?, ?)"
_UPDATE_INPUTS = """
    UPDATE jobs SET inputs = :inputs WHERE id = :job AND state IN ('planned', 'failed', 'cancelled')
    AND (key = :key OR EXISTS (SELECT 1 FROM aliases WHERE aliases.key = :key AND aliases.job = :job))
"""
"""A local picture may have moved, and a link may have a new signature, since their job was planned: it is the same job, with
the present location of its picture.
"""


def read_known_jobs(checkpoint: SqliteFile, aliases: Iterable[tuple[bytes, int]] | None = None) -> KnownJobs:
    """Keys and versions of every committed job: some 40 bytes a job in memory, read from two indexes, the versions on first
    use.

    A key whose job was rejected and bought again stands for the newest job that replaces it. ``aliases`` are further keys
    and the jobs that they stand for; by default those that the checkpoint stores.
    """
    ids = DigestMap()
    last = read_fact(checkpoint, COMMITTED, parse_whole_number, 0)
    later = find_successors(checkpoint)
    # An intake that died left jobs above ``last``. The plus keeps SQLite from reading the wide table for that.
    query = "SELECT key, id FROM jobs WHERE +id <= ? ORDER BY key"
    pairs = cast("Iterable[tuple[bytes, int]]", checkpoint.rows(query, (last,)))
    for key, job in pairs:
        ids.add(key, later.get(job, job))
    kept = cast("Iterable[tuple[bytes, int]]", checkpoint.rows("SELECT key, job FROM aliases"))
    for key, job in list(kept if aliases is None else aliases):
        ids.add(key, later.get(job, job))

    def read() -> Iterator[tuple[int, int]]:
        query = "SELECT slot, version FROM jobs WHERE +id <= ? ORDER BY slot, version"
        return cast("Iterator[tuple[int, int]]", checkpoint.rows(query, (last,)))

    return KnownJobs(ids, LatestVersions(read), last)


class Intake:
    """``begin``, ``add``, then ``commit`` or ``abandon``. ``limit``: how many jobs are wanted, None: all."""

    def __init__(self, checkpoint: SqliteFile, known: KnownJobs, limit: int | None = None) -> None:
        self._checkpoint = checkpoint
        self.known = known
        self._ids = known.ids
        self._limit = limit
        self._distinct = 0
        self._new = 0
        self._moved: list[dict[str, object]] = []
        self._invalid = 0
        self._first_new = self._next = known.last + 1
        self._wanted = bytearray(self._next)  # by id

    @classmethod
    def begin(cls, checkpoint: SqliteFile, *, limit: int | None = None) -> Intake:
        """Delete what an intake that died left, read the known jobs, and create the table for new lines."""
        with checkpoint.transaction() as db:
            delete_uncommitted(db)
            db.execute(INTAKE_TABLE)
        return cls(checkpoint, read_known_jobs(checkpoint), limit)

    def add(self, lines: Iterable[ResultLine | InvalidLine]) -> None:
        """Write ``lines`` as they come, a chunk a transaction."""
        jobs: list[tuple[object, ...]] = []
        rows: list[tuple[object, ...]] = []
        for line in lines:
            if isinstance(line, InvalidLine):
                self._invalid += 1
                rows.append((line.row, line.id, None, dump_problems(line), None))
            else:
                rows.append((line.row, line.id, self._find_or_add_job(line, jobs), None, line.over or None))
            if len(rows) == CHUNK:
                self._write(jobs, rows)
        self._write(jobs, rows)

    def _write(self, jobs: list[tuple[object, ...]], rows: list[tuple[object, ...]]) -> None:
        with self._checkpoint.transaction() as db:
            db.executemany(_INSERT_JOB, jobs)
            db.executemany(_INSERT_LINE, rows)
            db.executemany(_UPDATE_INPUTS, self._moved)
        jobs.clear()
        rows.clear()
        self._moved.clear()

    def _find_or_add_job(self, line: ResultLine, jobs: list[tuple[object, ...]]) -> int:
        job = line.job
        job_id = self._ids.get(job.key)
        if job_id is not None and self._wanted[job_id]:
            return job_id
        wanted = not line.duplicate and (self._limit is None or self._distinct < self._limit)
        self._distinct += not line.duplicate
        if job_id is None:
            job_id = self._next
            self._next += 1
            self._new += 1
            self._ids.add(job.key, job_id)
            self._wanted.append(0)
            jobs.append(
                (
                    job_id,
                    job.key,
                    line.name_hash,
                    job.inputs,
                    job.name,
                    job.size,
                    job.variant,
                    job.revision,
                    job.version,
                    int(wanted),
                )
            )
        if wanted:
            self._wanted[job_id] = 1
            if job_id < self._first_new and line.moves:
                self._moved.append({"inputs": job.inputs, "job": job_id, "key": job.key})
        return job_id

    def commit(self, fingerprint: str, facts: Mapping[str, str] | None = None) -> IntakeReport:
        """Make it the run's manifest, all at once. ``fingerprint`` is kept to recognise an unchanged manifest next
        time, and ``facts`` about the intake with it, by name.
        """
        with self._checkpoint.transaction() as db:
            dropped = self._mark_wanted(db)
            for statement in INTAKE_ENDS:
                db.execute(statement)
            wanted = sum(self._wanted[self._first_new :])
            add_planned(db, wanted=wanted, unwanted=self._new - wanted)
            self._checkpoint.put_in(db, COMMITTED, str(self._next - 1))
            for name, value in {**(facts or {}), "fingerprint": fingerprint}.items():
                self._checkpoint.put_in(db, name, value)
        return IntakeReport(self._new, sum(self._wanted) - self._new, dropped, self._invalid)

    def _mark_wanted(self, db: sqlite3.Connection) -> int:
        wanted_before: Iterable[tuple[int, int]] = ((job_id, 1) for job_id in range(1, self._first_new))
        if db.execute("SELECT sum(jobs) FROM tally WHERE wanted = 0").fetchone()[0]:
            wanted_before = db.execute("SELECT id, wanted FROM jobs WHERE id < ?", (self._first_new,))
        changes = [(self._wanted[job_id], job_id) for job_id, wanted in wanted_before if wanted != self._wanted[job_id]]
        db.executemany("UPDATE jobs SET wanted = ? WHERE id = ?", changes)
        return sum(1 for wanted, _ in changes if not wanted)

    def abandon(self) -> None:
        """Delete everything added since ``begin``."""
        with self._checkpoint.transaction() as db:
            delete_uncommitted(db)


def delete_uncommitted(db: sqlite3.Connection) -> None:
    """Delete what an intake wrote without reaching its ``commit``: nothing of it can have been bought.

    CheckpointCorruptError where something was: then the last committed id is damaged, and purchases would be lost.
    """
    row = db.execute("SELECT value FROM meta WHERE name = ?", (COMMITTED,)).fetchone()
    last = parse_fact(COMMITTED, row[0], parse_whole_number) if row and row[0] else 0
    begun_job = db.execute(
        "SELECT max(id) FROM jobs WHERE id > ? AND (serial > 0 OR state <> 'planned')", (last,)
    ).fetchone()[0]
    if begun_job is not None:
        raise build_damaged_error(f"its {COMMITTED} is {last}, and job {begun_job} was begun")
    db.execute("DROP TABLE IF EXISTS incoming")
    db.execute("DELETE FROM jobs WHERE id > ?", (last,))


def dump_problems(line: InvalidLine) -> str:
    return orjson.dumps([[_to_text(p.column), _to_text(p.value), _to_text(p.reason)] for p in line.problems]).decode()


def _to_text(value: object) -> str:
    """``value`` as text. A byte that is invalid in the sheet's encoding, which makes its row invalid, becomes an escape."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
