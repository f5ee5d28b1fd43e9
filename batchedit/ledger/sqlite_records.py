"""Reads jobs, lines and the log from SQLite."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import cast

import orjson

from ..core.errors import CheckpointCorruptError
from ..core.model import JobKey, Outcome, Record, State
from ..ports import StateOf
from .codec import check_dumped_files
from .review_file import ReviewFile
from .run_facts import COMMITTED, parse_whole_number, read_fact
from .sqlite_file import SqliteFile
from .values import Availability, KnownJobs, LoggedEvent, SharedRequest, UnreadableJob

TO_BUY = "state = 'planned' AND wanted = 1 AND id NOT IN (SELECT job FROM elsewhere)"
"""The condition for the jobs that this run buys: jobs that are left to another run are excluded."""
PAGE = 1000
_MOST_PARAMETERS = 500
"""The maximum number of parameters of one statement."""
_READ_ERRORS = (ValueError, TypeError, LookupError, CheckpointCorruptError)
"""The errors that reading a tampered value raises."""
_HAVING_CONDITIONS = {
    Availability.BOUGHT: "state = 'done' AND id NOT IN (SELECT job FROM reused)",
    Availability.DONE: "state = 'done'",
    Availability.TO_BUY: "wanted = 1 AND id NOT IN (SELECT job FROM elsewhere)",
    Availability.UNDER_WAY: "state NOT IN ('planned', 'done', 'failed', 'cancelled')",
}


class SqliteRecords(SqliteFile):
    """``book.Records``, ``book.Lines`` and ``book.Log`` over the tables."""

    # --- jobs ---

    def record(self, job: int) -> Record | None:
        """See ``book.Records``."""
        return next(iter(self.records("id = ?", (job,))), None)

    def find_record_of_key(self, key: JobKey) -> Record | None:
        """See ``book.Records``."""
        return next(iter(self.records("key = ?", (key,))), None)

    def read_records(self, jobs: Iterable[int]) -> list[Record]:
        """See ``book.Records``."""
        return [record for job in jobs for record in self.records("id = ?", (job,))]

    def read_records_in(self, states: Collection[State], *, wanted: bool = False) -> list[Record]:
        """See ``book.Records``."""
        # The literal repeats the partial index's own condition: without it SQLite does not use that index.
        index_condition = "" if {State.PLANNED, State.DONE} & {*states} else "state NOT IN ('planned', 'done') AND "
        wanted_condition = "wanted = 1 AND " if wanted else ""
        return self.records(
            f"{index_condition}{wanted_condition}state IN ({_build_placeholders(states)}) ORDER BY id", tuple(states)
        )

    def read_all_records(self) -> Iterator[Record | UnreadableJob]:
        """See ``book.Records``."""
        ids = [job for (job,) in self.rows("SELECT id FROM jobs ORDER BY id")]
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            try:
                yield from self.records("id BETWEEN ? AND ? ORDER BY id", (page[0], page[-1]))
            except _READ_ERRORS:
                for job in page:
                    try:
                        yield from self.records("id = ?", (job,))
                    except _READ_ERRORS as error:
                        yield UnreadableJob(job, str(error))

    def list_planned_ids(self) -> array[int]:
        """See ``book.Records``."""
        return array("q", (row[0] for row in self.rows(f"SELECT id FROM jobs WHERE {TO_BUY} ORDER BY id")))

    def list_planned_keys(self) -> list[tuple[int, JobKey]]:
        """See ``book.Records``."""
        query = "SELECT id, key FROM jobs WHERE state = 'planned' AND wanted = 1 ORDER BY id"
        return [(job, JobKey(key)) for job, key in self.rows(query)]

    def read_keys(self, availability: Availability) -> Iterator[tuple[JobKey, int]]:
        """See ``book.Records``."""
        query = f"SELECT key, id FROM jobs WHERE id <= ? AND {_HAVING_CONDITIONS[availability]}"
        return cast(
            "Iterator[tuple[JobKey, int]]", self.rows(query, (read_fact(self, COMMITTED, parse_whole_number, 0),))
        )

    def list_job_names(self) -> Iterator[str]:
        """See ``book.Records``."""
        return (name for (name,) in self.rows("SELECT name FROM jobs"))

    def read_name_hashes(self, jobs: Iterable[int]) -> dict[int, int]:
        """See ``book.Records``."""
        return {
            job: name_hash for job in jobs for (name_hash,) in self.rows("SELECT slot FROM jobs WHERE id = ?", (job,))
        }

    def find_predecessors(self, versions: Mapping[int, int]) -> dict[int, tuple[JobKey, str]]:
        """See ``book.Records``. Uses the index on slots."""
        newest: dict[int, tuple[int, int]] = {}
        for page in _split_pages(versions):
            query = f"SELECT id, slot, version FROM jobs WHERE slot IN ({_build_placeholders(page)})"
            for job, name_hash, version in self.rows(query, page):
                if newest.get(name_hash, (0, 0))[0] < version < versions[name_hash]:
                    newest[name_hash] = version, job
        keys_and_inputs: dict[int, tuple[JobKey, str]] = {}
        for page in _split_pages(job for _, job in newest.values()):
            query = f"SELECT id, key, inputs FROM jobs WHERE id IN ({_build_placeholders(page)})"
            keys_and_inputs.update((job, (JobKey(key), inputs)) for job, key, inputs in self.rows(query, page))
        return {name_hash: keys_and_inputs[job] for name_hash, (_, job) in newest.items()}

    def is_wanted(self, job: int) -> bool:
        """See ``book.Records``."""
        return any(True for _ in self.rows("SELECT 1 FROM jobs WHERE id = ? AND wanted = 1", (job,)))

    def has_file(self, path: str, but_job: int) -> bool:
        """See ``book.Records``."""
        quoted_path = orjson.dumps(path).decode()
        with self._lock_connection() as db:
            query = "SELECT 1 FROM jobs WHERE files IS NOT NULL AND instr(files, ?) AND id != ? LIMIT 1"
            return db.execute(query, (quoted_path, but_job)).fetchone() is not None

    def find_job_of_request(self, request_id: str) -> int | None:
        """See ``book.Records``."""
        with self._lock_connection() as db:
            row = db.execute("SELECT job FROM requests WHERE request_id = ?", (request_id,)).fetchone()
        return None if row is None else int(row[0])

    def state_of(self, known: KnownJobs) -> StateOf:
        """See ``book.Intakes``."""
        if not known.last:
            return lambda _: None
        is_planned = bytearray(known.last + 1)  # by id: there may be a million
        for (job,) in self.rows("SELECT id FROM jobs WHERE state = 'planned' AND +id <= ?", (known.last,)):
            is_planned[job] = 1
        query = "SELECT id, state FROM jobs WHERE state NOT IN ('planned', 'done')"
        state_by_id = {job: State(state) for job, state in self.rows(query)}

        def state(key: JobKey) -> State | None:
            job = known.find(key)
            if job is None:
                return None
            return State.PLANNED if is_planned[job] else state_by_id.get(job, State.DONE)

        return state

    # --- lines ---

    def read_outcomes(self, first_row: int = 0) -> Iterator[Outcome]:
        """See ``book.Lines``."""
        query = """
            SELECT lines.row, lines.id, coalesce(state, iif(problems LIKE '[["left out",%', 'skipped', 'invalid')),
                   coalesce(size, ''), coalesce(variant, 1),
                   coalesce(version, 1), coalesce(kind, ''), coalesce(problem, ''), coalesce(files, ''),
                   iif(files IS NULL, coalesce(outputs, ''), ''), coalesce(request_id, ''),
                   CASE WHEN submitted_at IS NOT NULL OR cost IS NOT NULL OR sunk > 0 THEN sunk + coalesce(cost, held) END,
                   submitted_at, finished_at, coalesce(key, x''), coalesce(problems, ''), coalesce(over, ''),
                   coalesce(flags, ''), coalesce(reused.folder, ''), lines.job
            FROM lines LEFT JOIN jobs ON jobs.id = lines.job LEFT JOIN flags ON flags.job = lines.job
            LEFT JOIN reused ON reused.job = lines.job
            WHERE lines.row >= ? ORDER BY n
        """
        decisions = self._read_decisions()
        cursor = self._db.cursor()
        cursor.execute(query, (first_row,))
        for row in cursor:
            check_dumped_files(row[8])
            output = orjson.loads(row[9])[0][0] if row[9] else ""
            yield Outcome._make((*row[:9], output, *row[10:-1], *decisions.get(row[-1], ("", ""))))

    def _read_decisions(self) -> dict[int, tuple[str, str]]:
        """Verdict and note by job, as decided by now; equal pairs share one tuple."""
        query, shared_pairs = "SELECT job, verdict, note FROM marks", dict[tuple[str, str], tuple[str, str]]()
        with ReviewFile(self.path.parent).open_decisions() as db:
            rows = ((job, (verdict, note)) for job, verdict, note in db.execute(query))
            return {job: shared_pairs.setdefault(pair, pair) for job, pair in rows}

    def read_lost_replies(self) -> dict[bytes, str]:
        """See ``book.Lines``."""
        query = """
            SELECT jobs.key, json_extract(events.data, '$.reply') FROM jobs JOIN events ON events.job = jobs.id
            WHERE jobs.state = 'in_doubt' AND events.name = 'Lost' ORDER BY events.seq
        """
        latest = dict(self.rows(query))
        return {key: reply for key, reply in latest.items() if reply}

    def find_rows(self, jobs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
        """See ``book.Lines``."""
        lines: list[tuple[int, int, int, str]] = []
        for page in _split_pages(set(jobs)):
            lines += self.rows(f"SELECT n, job, row, id FROM lines WHERE job IN ({_build_placeholders(page)})", page)
        rows_by_job: dict[int, list[tuple[int, str]]] = {}
        for _, job, row, name in sorted(lines):
            rows_by_job.setdefault(job, []).append((row, name))
        return rows_by_job

    def change_token(self) -> str:
        """See ``book.Lines``."""
        with self._lock_connection() as db:
            seq = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        decision = ReviewFile(self.path.parent).last_change()
        flags = self.get("flags_mark")  # of a run that has its flags from a store
        return (
            f"{seq}/{self.get('fingerprint')}/{self.get('lines_mark') or ''}/{decision}{f'/{flags}' if flags else ''}"
        )

    # --- the log ---

    def read_log(self) -> Iterator[LoggedEvent]:
        """See ``book.Log``."""
        for row in self.rows("SELECT seq, job, at, name, state, data FROM events ORDER BY seq"):
            yield LoggedEvent(*row)

    def find_last_event_time(self) -> float:
        """See ``book.Log``."""
        return max((at for (at,) in self.rows("SELECT at FROM events ORDER BY seq DESC LIMIT 1")), default=0.0)

    def has_moved_since(self, seq: int) -> bool:
        """See ``book.Log``."""
        query = "SELECT 1 FROM events WHERE seq > ? AND name != 'Reused' LIMIT 1"
        return any(True for _ in self.rows(query, (seq,)))

    def has_bought(self) -> bool:
        """See ``book.Log``."""
        query = """
            SELECT EXISTS (SELECT 1 FROM events WHERE name IN ('Accepted', 'Lost'))
                OR EXISTS (SELECT 1 FROM jobs WHERE state = 'submitting' AND state NOT IN ('planned', 'done'))
        """
        ((bought,),) = self.rows(query)
        return bool(bought)

    def list_shared_requests(self) -> list[SharedRequest]:
        """See ``book.Log``."""
        query = """
            SELECT request_id, min(id), max(id) FROM jobs
            WHERE request_id NOT NULL GROUP BY request_id HAVING count(*) > 1
        """
        return [SharedRequest(*row) for row in self.rows(query)]

    def list_doubled_jobs(self) -> list[int]:
        """See ``book.Log``."""
        return [job for (job,) in self.rows("SELECT min(id) FROM jobs GROUP BY key HAVING count(*) > 1")]


def _build_placeholders(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _split_pages(ids: Iterable[int]) -> Iterator[list[int]]:
    values = list(ids)
    for start in range(0, len(values), _MOST_PARAMETERS):
        yield values[start : start + _MOST_PARAMETERS]
