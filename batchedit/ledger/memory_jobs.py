"""Reads jobs, lines and the log from dicts and lists."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..core.events import Accepted, Lost, RetryAsked, Reused
from ..core.model import JobKey, Outcome, Record, State
from ..core.review import PictureDecision
from ..ports import StateOf
from .codec import dump_files
from .money_totals import StateSums
from .values import Availability, KnownJobs, LoggedEvent, SharedRequest, UnreadableJob

OVER_STATES = frozenset({State.FETCHED, State.DONE, State.FAILED, State.UNCOLLECTED, State.CANCELLED})
OPEN_STATES = frozenset(State) - {State.PLANNED, State.DONE, State.FAILED, State.CANCELLED}


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """A line of the results. ``job`` None: the row is invalid, and ``problems`` says why, as in ``Outcome``."""

    row: int
    id: str
    job: int | None
    problems: str = ""
    over: str = ""


@dataclass
class Store:
    """The content of a run's ledger."""

    records: dict[int, Record] = field(default_factory=dict)
    name_hashes: dict[int, int] = field(default_factory=dict)
    wanted: set[int] = field(default_factory=set)
    lines: list[MemoryLine] = field(default_factory=list)
    log: list[LoggedEvent] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    reused: dict[int, str] = field(default_factory=dict)
    repurchases: dict[int, int] = field(default_factory=dict)
    elsewhere: dict[int, tuple[str, str]] = field(default_factory=dict)
    aliases: dict[JobKey, int] = field(default_factory=dict)
    flags: dict[int, str] = field(default_factory=dict)
    marks: dict[int, PictureDecision] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    run_events: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    sums: dict[str, StateSums] = field(default_factory=dict)
    unpriced: int = 0

    def keep(self, record: Record) -> None:
        """Replace the record with the same id, and update the sums: they are read for each purchase."""
        if record.id in self.records:
            self._add_to_sums(self.records[record.id], -1)
        self._add_to_sums(record, 1)
        self.records[record.id] = record

    def _add_to_sums(self, record: Record, times: int) -> None:
        """Add a record to the sums, or with ``times`` -1 subtract it."""
        guess = record.cost is not None and not record.cost_known
        added = (1, record.spent, record.reserved, int(guess), (record.cost or 0) * guess)
        sums = self.sums.get(record.state, (0, 0, 0, 0, 0))
        jobs, spent, reserved, guesses, guessed = (old + times * new for old, new in zip(sums, added, strict=True))
        self.sums[record.state] = (jobs, spent, reserved, guesses, guessed)
        if guess and record.state in OVER_STATES and record.handle:
            self.unpriced += times


class MemoryJobs:
    """``book.Records``, ``book.Lines`` and ``book.Log`` over a ``Store``."""

    def __init__(self) -> None:
        self._store = Store()

    @property
    def _records(self) -> dict[int, Record]:
        return self._store.records

    def _is_to_buy(self, record: Record) -> bool:
        store = self._store
        return record.state is State.PLANNED and record.id in store.wanted and record.id not in store.elsewhere

    def get(self, name: str) -> str | None:
        """See ``book.Facts``."""
        return self._store.facts.get(name)

    # --- jobs ---

    def record(self, job: int) -> Record | None:
        """See ``book.Records``."""
        return self._records.get(job)

    def find_record_of_key(self, key: JobKey) -> Record | None:
        """See ``book.Records``."""
        return next((record for record in self._records.values() if record.job.key == key), None)

    def read_records(self, jobs: Iterable[int]) -> list[Record]:
        """See ``book.Records``."""
        return [self._records[job] for job in jobs if job in self._records]

    def read_records_in(self, states: Collection[State], *, wanted: bool = False) -> list[Record]:
        """See ``book.Records``."""
        records = (record for record in self._records.values() if record.state in states)
        return [record for record in records if not wanted or record.id in self._store.wanted]

    def read_all_records(self) -> Iterator[Record | UnreadableJob]:
        """See ``book.Records``."""
        yield from list(self._records.values())

    def list_planned_ids(self) -> array[int]:
        """See ``book.Records``."""
        return array("q", (record.id for record in self._records.values() if self._is_to_buy(record)))

    def list_planned_keys(self) -> list[tuple[int, JobKey]]:
        """See ``book.Records``."""
        return [(record.id, record.job.key) for record in self.read_records_in({State.PLANNED}, wanted=True)]

    def read_keys(self, availability: Availability) -> Iterator[tuple[JobKey, int]]:
        """See ``book.Records``."""
        for record in list(self._records.values()):
            if self._has(record, availability):
                yield record.job.key, record.id

    def _has(self, record: Record, availability: Availability) -> bool:
        match availability:
            case Availability.BOUGHT:
                return record.state is State.DONE and record.id not in self._store.reused
            case Availability.DONE:
                return record.state is State.DONE
            case Availability.TO_BUY:
                return record.id in self._store.wanted and record.id not in self._store.elsewhere
            case Availability.UNDER_WAY:
                return record.state in OPEN_STATES

    def list_job_names(self) -> Iterator[str]:
        """See ``book.Records``."""
        return (record.job.name for record in self._records.values())

    def read_name_hashes(self, jobs: Iterable[int]) -> dict[int, int]:
        """See ``book.Records``."""
        return {job: self._store.name_hashes[job] for job in jobs if job in self._store.name_hashes}

    def find_predecessors(self, versions: Mapping[int, int]) -> dict[int, tuple[JobKey, str]]:
        """See ``book.Records``."""
        newest: dict[int, Record] = {}
        for record in self._records.values():
            name_hash = self._store.name_hashes[record.id]
            version = newest[name_hash].job.version if name_hash in newest else 0
            if version < record.job.version < versions.get(name_hash, 0):
                newest[name_hash] = record
        return {name_hash: (record.job.key, record.job.inputs) for name_hash, record in newest.items()}

    def is_wanted(self, job: int) -> bool:
        """See ``book.Records``."""
        return job in self._store.wanted

    def has_file(self, path: str, but_job: int) -> bool:
        """See ``book.Records``."""
        other_records = (record for record in self._records.values() if record.id != but_job)
        return any(file.path == path for record in other_records for file in record.files)

    def find_owner(self, request_id: str) -> str | None:
        """See ``book.Records``."""
        job = self._store.requests.get(request_id)
        return None if job is None else self._records[job].job.name

    def find_job_of_request(self, request_id: str) -> int | None:
        """See ``book.Records``."""
        return self._store.requests.get(request_id)

    def state_of(self, known: KnownJobs) -> StateOf:
        """See ``book.Intakes``."""
        states = {record.id: record.state for record in self._records.values()}

        def state(key: JobKey) -> State | None:
            job = known.find(key)
            return None if job is None else states.get(job)

        return state

    # --- lines ---

    def read_outcomes(self, first_row: int = 0) -> Iterator[Outcome]:
        """See ``book.Lines``."""
        for line in list(self._store.lines):
            if line.row >= first_row:
                yield self._build_outcome(line)

    def _build_outcome(self, line: MemoryLine) -> Outcome:
        if line.job is None:
            state = "skipped" if line.problems.startswith('[["left out",') else "invalid"
            return Outcome(line.row, line.id, state, problems=line.problems)
        record, store = self._records[line.job], self._store
        problem, mark = record.problem, store.marks.get(line.job, PictureDecision(line.job))
        bought = record.submitted_at is not None or record.cost is not None or record.earlier_spent > 0
        return Outcome(
            row=line.row,
            id=line.id,
            state=record.state.value,
            size=record.job.size,
            variant=record.job.variant,
            version=record.job.version,
            kind=problem.kind.value if problem else "",
            problem=problem.message if problem else "",
            files=dump_files(record.files),
            url=record.outputs[0].url if record.outputs and not record.files else "",
            request_id=record.handle.request_id if record.handle else "",
            cost=record.earlier_spent + (record.reserved if record.cost is None else record.cost) if bought else None,
            submitted_at=record.submitted_at,
            finished_at=record.finished_at,
            key=record.job.key,
            over=line.over,
            flags=store.flags.get(line.job, ""),
            reused_from=store.reused.get(line.job, ""),
            decision=mark.verdict.value,
            note=mark.note,
        )

    def find_rows(self, jobs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
        """See ``book.Lines``."""
        wanted_jobs = set(jobs)
        rows_by_job: dict[int, list[tuple[int, str]]] = {}
        for line in self._store.lines:
            if line.job in wanted_jobs and line.job is not None:
                rows_by_job.setdefault(line.job, []).append((line.row, line.id))
        return rows_by_job

    def read_lost_replies(self) -> dict[bytes, str]:
        """See ``book.Lines``."""
        latest: dict[bytes, str] = {}
        for logged in self._list_logged(Lost.__name__):
            record = self._records[logged.job]
            if record.state is State.IN_DOUBT:
                latest[record.job.key] = orjson.loads(logged.data)["reply"]
        return {key: reply for key, reply in latest.items() if reply}

    # --- the log ---

    def read_log(self) -> Iterator[LoggedEvent]:
        """See ``book.Log``."""
        yield from list(self._store.log)

    def _list_logged(self, name: str) -> Iterator[LoggedEvent]:
        return (logged for logged in self._store.log if logged.name == name)

    def find_last_event_time(self) -> float:
        """See ``book.Log``."""
        return self._store.log[-1].at if self._store.log else 0.0

    def has_moved_since(self, seq: int) -> bool:
        """See ``book.Log``."""
        return any(logged.name != Reused.__name__ for logged in self._store.log[seq:])

    def has_bought(self) -> bool:
        """See ``book.Log``."""
        submitting = (record for record in self._records.values() if record.state is State.SUBMITTING)
        return any(
            True for _ in (*submitting, *self._list_logged(Accepted.__name__), *self._list_logged(Lost.__name__))
        )

    def list_planned_retries(self) -> list[Record]:
        """See ``book.Changes``."""
        retried = {logged.job for logged in self._list_logged(RetryAsked.__name__)}
        return [record for record in self._records.values() if record.id in retried and self._is_to_buy(record)]

    def list_shared_requests(self) -> list[SharedRequest]:
        """See ``book.Log``. There are none: a second accept of one id is refused."""
        return []

    def list_doubled_jobs(self) -> list[int]:
        """See ``book.Log``. There are none: an intake looks each key up."""
        return []
