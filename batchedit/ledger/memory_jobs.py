"""Jobs, lines and the log as dicts and lists, read."""

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
from .codec import files_text
from .money_totals import Sums
from .values import Having, KnownJobs, LoggedEvent, SharedRequest, Unreadable

OVER = frozenset({State.FETCHED, State.DONE, State.FAILED, State.UNCOLLECTED, State.CANCELLED})
ALWAYS_OPEN = frozenset(State) - {State.PLANNED, State.DONE, State.FAILED, State.CANCELLED}


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
    """All that a run's record holds."""

    records: dict[int, Record] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    wanted: set[int] = field(default_factory=set)
    lines: list[MemoryLine] = field(default_factory=list)
    log: list[LoggedEvent] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    reused: dict[int, str] = field(default_factory=dict)
    redone: dict[int, int] = field(default_factory=dict)
    elsewhere: dict[int, tuple[str, str]] = field(default_factory=dict)
    aliases: dict[JobKey, int] = field(default_factory=dict)
    flags: dict[int, str] = field(default_factory=dict)
    marks: dict[int, PictureDecision] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    run_events: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    sums: dict[str, Sums] = field(default_factory=dict)
    unpriced: int = 0

    def keep(self, record: Record) -> None:
        """Put a record in the place of the one with its id, and keep the sums: whoever buys asks for them each time."""
        if record.id in self.records:
            self._weigh(self.records[record.id], -1)
        self._weigh(record, 1)
        self.records[record.id] = record

    def _weigh(self, record: Record, times: int) -> None:
        """Add a record to the sums, or with ``times`` -1 take it out."""
        guess = record.cost is not None and not record.cost_known
        one = (1, record.spent, record.held, int(guess), (record.cost or 0) * guess)
        before = self.sums.get(record.state, (0, 0, 0, 0, 0))
        jobs, spent, held, guesses, guessed = (had + times * new for had, new in zip(before, one, strict=True))
        self.sums[record.state] = (jobs, spent, held, guesses, guessed)
        if guess and record.state in OVER and record.handle:
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

    def record_of_key(self, key: JobKey) -> Record | None:
        """See ``book.Records``."""
        return next((record for record in self._records.values() if record.job.key == key), None)

    def records_of(self, jobs: Iterable[int]) -> list[Record]:
        """See ``book.Records``."""
        return [self._records[job] for job in jobs if job in self._records]

    def records_in(self, states: Collection[State], *, wanted: bool = False) -> list[Record]:
        """See ``book.Records``."""
        found = (record for record in self._records.values() if record.state in states)
        return [record for record in found if not wanted or record.id in self._store.wanted]

    def every_record(self) -> Iterator[Record | Unreadable]:
        """See ``book.Records``."""
        yield from list(self._records.values())

    def planned_ids(self) -> array[int]:
        """See ``book.Records``."""
        return array("q", (record.id for record in self._records.values() if self._is_to_buy(record)))

    def planned_keys(self) -> list[tuple[int, JobKey]]:
        """See ``book.Records``."""
        return [(record.id, record.job.key) for record in self.records_in({State.PLANNED}, wanted=True)]

    def keys(self, having: Having) -> Iterator[tuple[JobKey, int]]:
        """See ``book.Records``."""
        for record in list(self._records.values()):
            if self._has(record, having):
                yield record.job.key, record.id

    def _has(self, record: Record, having: Having) -> bool:
        match having:
            case Having.BOUGHT:
                return record.state is State.DONE and record.id not in self._store.reused
            case Having.DONE:
                return record.state is State.DONE
            case Having.TO_BUY:
                return record.id in self._store.wanted and record.id not in self._store.elsewhere
            case Having.UNDER_WAY:
                return record.state in ALWAYS_OPEN

    def job_names(self) -> Iterator[str]:
        """See ``book.Records``."""
        return (record.job.name for record in self._records.values())

    def slots_of(self, jobs: Iterable[int]) -> dict[int, int]:
        """See ``book.Records``."""
        return {job: self._store.slots[job] for job in jobs if job in self._store.slots}

    def predecessors(self, versions: Mapping[int, int]) -> dict[int, tuple[JobKey, str]]:
        """See ``book.Records``."""
        best: dict[int, Record] = {}
        for record in self._records.values():
            slot = self._store.slots[record.id]
            before = best[slot].job.version if slot in best else 0
            if before < record.job.version < versions.get(slot, 0):
                best[slot] = record
        return {slot: (record.job.key, record.job.inputs) for slot, record in best.items()}

    def is_wanted(self, job: int) -> bool:
        """See ``book.Records``."""
        return job in self._store.wanted

    def has_file(self, path: str, but_job: int) -> bool:
        """See ``book.Records``."""
        others = (record for record in self._records.values() if record.id != but_job)
        return any(file.path == path for record in others for file in record.files)

    def owner(self, request_id: str) -> str | None:
        """See ``book.Records``."""
        job = self._store.requests.get(request_id)
        return None if job is None else self._records[job].job.name

    def job_of_request(self, request_id: str) -> int | None:
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

    def outcomes(self, first_row: int = 0) -> Iterator[Outcome]:
        """See ``book.Lines``."""
        for line in list(self._store.lines):
            if line.row >= first_row:
                yield self._outcome(line)

    def _outcome(self, line: MemoryLine) -> Outcome:
        if line.job is None:
            state = "skipped" if line.problems.startswith('[["left out",') else "invalid"
            return Outcome(line.row, line.id, state, problems=line.problems)
        record, store = self._records[line.job], self._store
        problem, mark = record.problem, store.marks.get(line.job, PictureDecision(line.job))
        bought = record.submitted_at is not None or record.cost is not None or record.sunk > 0
        return Outcome(
            row=line.row,
            id=line.id,
            state=record.state.value,
            size=record.job.size,
            variant=record.job.variant,
            version=record.job.version,
            kind=problem.kind.value if problem else "",
            problem=problem.message if problem else "",
            files=files_text(record.files),
            url=record.outputs[0].url if record.outputs and not record.files else "",
            request_id=record.handle.request_id if record.handle else "",
            cost=record.sunk + (record.held if record.cost is None else record.cost) if bought else None,
            submitted_at=record.submitted_at,
            finished_at=record.finished_at,
            key=record.job.key,
            over=line.over,
            flags=store.flags.get(line.job, ""),
            reused_from=store.reused.get(line.job, ""),
            decision=mark.verdict.value,
            note=mark.note,
        )

    def rows_of(self, jobs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
        """See ``book.Lines``."""
        wanted = set(jobs)
        found: dict[int, list[tuple[int, str]]] = {}
        for line in self._store.lines:
            if line.job in wanted and line.job is not None:
                found.setdefault(line.job, []).append((line.row, line.id))
        return found

    def lost_replies(self) -> dict[bytes, str]:
        """See ``book.Lines``."""
        latest: dict[bytes, str] = {}
        for logged in self._of(Lost.__name__):
            record = self._records[logged.job]
            if record.state is State.IN_DOUBT:
                latest[record.job.key] = orjson.loads(logged.data)["reply"]
        return {key: reply for key, reply in latest.items() if reply}

    # --- the log ---

    def log(self) -> Iterator[LoggedEvent]:
        """See ``book.Log``."""
        yield from list(self._store.log)

    def _of(self, name: str) -> Iterator[LoggedEvent]:
        return (logged for logged in self._store.log if logged.name == name)

    def last_event_at(self) -> float:
        """See ``book.Log``."""
        return self._store.log[-1].at if self._store.log else 0.0

    def moved_since(self, seq: int) -> bool:
        """See ``book.Log``."""
        return any(logged.name != Reused.__name__ for logged in self._store.log[seq:])

    def has_bought(self) -> bool:
        """See ``book.Log``."""
        sent = (record for record in self._records.values() if record.state is State.SUBMITTING)
        return any(True for _ in (*sent, *self._of(Accepted.__name__), *self._of(Lost.__name__)))

    def retried_and_planned(self) -> list[Record]:
        """See ``book.Changes``."""
        asked = {logged.job for logged in self._of(RetryAsked.__name__)}
        return [record for record in self._records.values() if record.id in asked and self._is_to_buy(record)]

    def shared_requests(self) -> list[SharedRequest]:
        """See ``book.Log``. There are none: a second accept of one id is refused."""
        return []

    def doubled_jobs(self) -> list[int]:
        """See ``book.Log``. There are none: an intake looks each key up."""
        return []
