"""Jobs, lines and the log as SQLite keeps them, read."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import cast

import orjson

from ..core.errors import CheckpointCorruptError
from ..core.model import JobKey, Outcome, Record, State
from ..ports import StateOf
from .codec import check_files_text
from .facts import COMMITTED, read_fact, whole
from .review_file import ReviewFile
from .sqlite_file import SqliteFile
from .values import Having, KnownJobs, LoggedEvent, SharedRequest, Unreadable

TO_BUY = "state = 'planned' AND wanted = 1 AND id NOT IN (SELECT job FROM elsewhere)"
"""The condition for what this run buys: what is left to another run is not among it."""
PAGE = 1000
_AT_ONCE = 500
"""So many numbers stand in one statement."""
_SENSELESS = (ValueError, TypeError, LookupError, CheckpointCorruptError)
"""What reading a tampered value raises."""
_HAVING = {
    Having.BOUGHT: "state = 'done' AND id NOT IN (SELECT job FROM reused)",
    Having.DONE: "state = 'done'",
    Having.TO_BUY: "wanted = 1 AND id NOT IN (SELECT job FROM elsewhere)",
    Having.UNDER_WAY: "state NOT IN ('planned', 'done', 'failed', 'cancelled')",
}


class SqliteRecords(SqliteFile):
    """``book.Records``, ``book.Lines`` and ``book.Log`` over the tables."""

    # --- jobs ---

    def record(self, job: int) -> Record | None:
        """See ``book.Records``."""
        return next(iter(self.records("id = ?", (job,))), None)

    def record_of_key(self, key: JobKey) -> Record | None:
        """See ``book.Records``."""
        return next(iter(self.records("key = ?", (key,))), None)

    def records_of(self, jobs: Iterable[int]) -> list[Record]:
        """See ``book.Records``."""
        return [record for job in jobs for record in self.records("id = ?", (job,))]

    def records_in(self, states: Collection[State], *, wanted: bool = False) -> list[Record]:
        """See ``book.Records``."""
        # The literal repeats the partial index's own condition: without it SQLite does not use that index.
        indexed = "" if {State.PLANNED, State.DONE} & {*states} else "state NOT IN ('planned', 'done') AND "
        asked = "wanted = 1 AND " if wanted else ""
        return self.records(f"{indexed}{asked}state IN ({_marks(states)}) ORDER BY id", tuple(states))

    def every_record(self) -> Iterator[Record | Unreadable]:
        """See ``book.Records``."""
        ids = [job for (job,) in self.rows("SELECT id FROM jobs ORDER BY id")]
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            try:
                yield from self.records("id BETWEEN ? AND ? ORDER BY id", (page[0], page[-1]))
            except _SENSELESS:
                for job in page:
                    try:
                        yield from self.records("id = ?", (job,))
                    except _SENSELESS as error:
                        yield Unreadable(job, str(error))

    def planned_ids(self) -> array[int]:
        """See ``book.Records``."""
        return array("q", (row[0] for row in self.rows(f"SELECT id FROM jobs WHERE {TO_BUY} ORDER BY id")))

    def planned_keys(self) -> list[tuple[int, JobKey]]:
        """See ``book.Records``."""
        query = "SELECT id, key FROM jobs WHERE state = 'planned' AND wanted = 1 ORDER BY id"
        return [(job, JobKey(key)) for job, key in self.rows(query)]

    def keys(self, having: Having) -> Iterator[tuple[JobKey, int]]:
        """See ``book.Records``."""
        query = f"SELECT key, id FROM jobs WHERE id <= ? AND {_HAVING[having]}"
        return cast("Iterator[tuple[JobKey, int]]", self.rows(query, (read_fact(self, COMMITTED, whole, 0),)))

    def job_names(self) -> Iterator[str]:
        """See ``book.Records``."""
        return (name for (name,) in self.rows("SELECT name FROM jobs"))

    def read_name_hashes(self, jobs: Iterable[int]) -> dict[int, int]:
        """See ``book.Records``."""
        return {
            job: name_hash for job in jobs for (name_hash,) in self.rows("SELECT slot FROM jobs WHERE id = ?", (job,))
        }

    def predecessors(self, versions: Mapping[int, int]) -> dict[int, tuple[JobKey, str]]:
        """See ``book.Records``. Found by the index on slots."""
        best: dict[int, tuple[int, int]] = {}
        for page in _pages(versions):
            query = f"SELECT id, slot, version FROM jobs WHERE slot IN ({_marks(page)})"
            for job, name_hash, version in self.rows(query, page):
                if best.get(name_hash, (0, 0))[0] < version < versions[name_hash]:
                    best[name_hash] = version, job
        told: dict[int, tuple[JobKey, str]] = {}
        for page in _pages(job for _, job in best.values()):
            query = f"SELECT id, key, inputs FROM jobs WHERE id IN ({_marks(page)})"
            told.update((job, (JobKey(key), inputs)) for job, key, inputs in self.rows(query, page))
        return {name_hash: told[job] for name_hash, (_, job) in best.items()}

    def is_wanted(self, job: int) -> bool:
        """See ``book.Records``."""
        return any(True for _ in self.rows("SELECT 1 FROM jobs WHERE id = ? AND wanted = 1", (job,)))

    def has_file(self, path: str, but_job: int) -> bool:
        """See ``book.Records``."""
        told = orjson.dumps(path).decode()
        with self._reading() as db:
            query = "SELECT 1 FROM jobs WHERE files IS NOT NULL AND instr(files, ?) AND id != ? LIMIT 1"
            return db.execute(query, (told, but_job)).fetchone() is not None

    def job_of_request(self, request_id: str) -> int | None:
        """See ``book.Records``."""
        with self._reading() as db:
            row = db.execute("SELECT job FROM requests WHERE request_id = ?", (request_id,)).fetchone()
        return None if row is None else int(row[0])

    def state_of(self, known: KnownJobs) -> StateOf:
        """See ``book.Intakes``."""
        if not known.last:
            return lambda _: None
        planned = bytearray(known.last + 1)  # by id: it may be a million of them
        for (job,) in self.rows("SELECT id FROM jobs WHERE state = 'planned' AND +id <= ?", (known.last,)):
            planned[job] = 1
        query = "SELECT id, state FROM jobs WHERE state NOT IN ('planned', 'done')"
        others = {job: State(state) for job, state in self.rows(query)}

        def state(key: JobKey) -> State | None:
            job = known.find(key)
            if job is None:
                return None
            return State.PLANNED if planned[job] else others.get(job, State.DONE)

        return state

    # --- lines ---

    def outcomes(self, first_row: int = 0) -> Iterator[Outcome]:
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
        said = self._decisions()
        cursor = self._db.cursor()
        cursor.execute(query, (first_row,))
        for row in cursor:
            check_files_text(row[8])
            output = orjson.loads(row[9])[0][0] if row[9] else ""
            yield Outcome._make((*row[:9], output, *row[10:-1], *said.get(row[-1], ("", ""))))

    def _decisions(self) -> dict[int, tuple[str, str]]:
        """Verdict and note by job, as people have said them by now; one tuple for all that said the same."""
        query, same = "SELECT job, verdict, note FROM marks", dict[tuple[str, str], tuple[str, str]]()
        with ReviewFile(self.path.parent).marks() as db:
            rows = ((job, (verdict, note)) for job, verdict, note in db.execute(query))
            return {job: same.setdefault(said, said) for job, said in rows}

    def lost_replies(self) -> dict[bytes, str]:
        """See ``book.Lines``."""
        query = """
            SELECT jobs.key, json_extract(events.data, '$.reply') FROM jobs JOIN events ON events.job = jobs.id
            WHERE jobs.state = 'in_doubt' AND events.name = 'Lost' ORDER BY events.seq
        """
        latest = dict(self.rows(query))
        return {key: reply for key, reply in latest.items() if reply}

    def rows_of(self, jobs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
        """See ``book.Lines``."""
        lines: list[tuple[int, int, int, str]] = []
        for page in _pages(set(jobs)):
            lines += self.rows(f"SELECT n, job, row, id FROM lines WHERE job IN ({_marks(page)})", page)
        found: dict[int, list[tuple[int, str]]] = {}
        for _, job, row, name in sorted(lines):
            found.setdefault(job, []).append((row, name))
        return found

    def change_token(self) -> str:
        """See ``book.Lines``."""
        with self._reading() as db:
            seq = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        marked = ReviewFile(self.path.parent).last_change()
        flagged = self.get("flags_mark")  # of a run that has its flags from a store
        return (
            f"{seq}/{self.get('fingerprint')}/{self.get('lines_mark') or ''}/{marked}{f'/{flagged}' if flagged else ''}"
        )

    # --- the log ---

    def log(self) -> Iterator[LoggedEvent]:
        """See ``book.Log``."""
        for row in self.rows("SELECT seq, job, at, name, state, data FROM events ORDER BY seq"):
            yield LoggedEvent(*row)

    def last_event_at(self) -> float:
        """See ``book.Log``."""
        return max((at for (at,) in self.rows("SELECT at FROM events ORDER BY seq DESC LIMIT 1")), default=0.0)

    def moved_since(self, seq: int) -> bool:
        """See ``book.Log``."""
        query = "SELECT 1 FROM events WHERE seq > ? AND name != 'Reused' LIMIT 1"
        return any(True for _ in self.rows(query, (seq,)))

    def has_bought(self) -> bool:
        """See ``book.Log``."""
        query = """
            SELECT EXISTS (SELECT 1 FROM events WHERE name IN ('Accepted', 'Lost'))
                OR EXISTS (SELECT 1 FROM jobs WHERE state = 'submitting')
        """
        ((bought,),) = self.rows(query)
        return bool(bought)

    def shared_requests(self) -> list[SharedRequest]:
        """See ``book.Log``."""
        query = """
            SELECT request_id, min(id), max(id) FROM jobs
            WHERE request_id NOT NULL GROUP BY request_id HAVING count(*) > 1
        """
        return [SharedRequest(*row) for row in self.rows(query)]

    def doubled_jobs(self) -> list[int]:
        """See ``book.Log``."""
        return [job for (job,) in self.rows("SELECT min(id) FROM jobs GROUP BY key HAVING count(*) > 1")]


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _pages(numbers: Iterable[int]) -> Iterator[list[int]]:
    left = list(numbers)
    for start in range(0, len(left), _AT_ONCE):
        yield left[start : start + _AT_ONCE]
