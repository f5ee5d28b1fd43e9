"""The rest of the book in memory: facts, sums, intakes, decisions, repurchases, jobs left to other runs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from ..core.digests import DigestMap
from ..core.model import InvalidLine, JobKey, Kind, Record, ResultLine, State
from ..core.review import Conflict, DecisionEvent, GalleryRow, ImportedDecision, PictureDecision, Verdict
from ..core.steps import ProgressCallback, no_progress, report_progress
from .gallery_rows import compute_flags_version
from .intake import dump_problems
from .latest_versions import LatestVersions
from .memory_jobs import MemoryJobs, MemoryLine, Store
from .summary import MOST_ERRORS
from .values import (
    CAP_SET,
    CommonError,
    GalleryPage,
    ImportReport,
    IntakeReport,
    IsShown,
    KnownJobs,
    RunSummary,
    SignedJob,
)


class MemoryBook(MemoryJobs):
    """``book.Book`` except for the changes by events, which are in ``memory``."""

    def __init__(self) -> None:
        super().__init__()
        self._cap: int | None = None
        self.decisions = MemoryDecisions(self._store)

    # --- facts ---

    @property
    def model(self) -> str:
        """See ``book.Facts``."""
        return self.get("model") or ""

    @property
    def id_of_run(self) -> str:
        """See ``book.Facts``."""
        return ""

    @property
    def cap(self) -> int | None:
        """See ``book.Facts``."""
        return self._cap

    def set_cap(self, cap: int | None, at: float) -> bool:
        """See ``book.Facts``."""
        if cap == self._cap:
            return False
        self.note(CAP_SET, at, {"before": self._cap, "after": cap})
        self._cap = cap
        return True

    def put(self, name: str, value: str) -> None:
        """See ``book.Facts``."""
        self._store.facts[name] = value

    def note(self, name: str, at: float, data: Mapping[str, Any]) -> None:
        """See ``book.Facts``."""
        self._store.run_events.append((at, name, dict(data)))

    def list_run_events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """See ``book.Facts``."""
        return list(self._store.run_events)

    def change_token(self) -> str:
        """See ``book.Lines``."""
        decision = self.decisions.last_seq()
        return f"{len(self._store.log)}/{self.get('fingerprint')}/{self.get('lines_mark') or ''}/{decision}"

    def snapshot(self) -> AbstractContextManager[None]:
        """See ``book.Book``. No other process writes to it."""
        return nullcontext()

    def close(self) -> None:
        """See ``book.Book``. There is nothing to release."""

    # --- sums ---

    def count_to_buy(self) -> int:
        """See ``book.Sums``."""
        return len(self.list_planned_ids())

    def has_failures(self) -> bool:
        """See ``book.Sums``."""
        if self.read_records_in({State.FAILED, State.CANCELLED}):
            return True
        return any(outcome.state == "invalid" for outcome in self.read_outcomes())

    def summarise(self) -> RunSummary:
        """See ``book.Sums``."""
        done = self.read_records_in({State.DONE}, wanted=True)
        seconds = [r.finished_at - r.submitted_at for r in done if r.finished_at and r.submitted_at is not None]
        tenths = statistics.quantiles(seconds, n=10) if len(seconds) > 1 else []
        failed = [r.problem.kind for r in self.read_records_in({State.FAILED}, wanted=True) if r.problem is not None]
        return RunSummary(
            invalid=sum(outcome.state == "invalid" for outcome in self.read_outcomes()),
            moderated=failed.count(Kind.MODERATED),
            written_off=failed.count(Kind.WRITTEN_OFF) + failed.count(Kind.LOST),
            seconds_median=round(statistics.median(seconds), 1) if seconds else None,
            seconds_p90=round(tenths[8], 1) if tenths else None,
            errors=tuple(self._list_errors()),
        )

    def _list_errors(self) -> Iterator[CommonError]:
        rows: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for outcome in self.read_outcomes():
            if outcome.kind and outcome.state not in {State.PLANNED, State.DONE}:
                rows.setdefault((outcome.kind, outcome.problem), []).append((outcome.row, outcome.id))
        for (kind, problem), shared_rows in sorted(rows.items(), key=lambda item: -len(item[1]))[:MOST_ERRORS]:
            yield CommonError(kind, problem, len(shared_rows), tuple(shared_rows[:MOST_ERRORS]))

    # --- the gallery ---

    def read_gallery_rows(self, on_progress: ProgressCallback = no_progress) -> list[GalleryRow]:
        """See ``book.Lines``."""
        by_name_hash: dict[int, list[Record]] = {}
        for record in sorted(self._records.values(), key=lambda record: (-record.job.version, -record.id)):
            by_name_hash.setdefault(self._store.name_hashes[record.id], []).append(record)
        gallery_rows = []
        for line in report_progress(self._store.lines, on_progress, len(self._store.lines)):
            versions: tuple[Record, ...] = ()
            if line.job is not None:
                other_versions = (
                    record for record in by_name_hash[self._store.name_hashes[line.job]] if record.id != line.job
                )
                versions = (self._records[line.job], *other_versions)
            gallery_rows.append(GalleryRow(line.row, line.id, versions, line.problems, line.over))
        return gallery_rows

    def read_gallery_page(self, first: int, count: int, is_shown: IsShown) -> GalleryPage:
        """See ``book.Lines``."""
        chosen = []
        for n, row in enumerate(self.read_gallery_rows(), 1):
            shown_by = (row.current.id, row.current.state.value) if row.current else (None, "")
            if n >= first and is_shown(*shown_by):
                chosen.append((n, row))
        return GalleryPage(tuple(row for _, row in chosen[:count]), chosen[count][0] if len(chosen) > count else None)

    def find_line_of_row(self, row: int) -> int:
        """See ``book.Lines``."""
        return next((n for n, line in enumerate(self._store.lines, 1) if line.row >= row), 0)

    def read_flags(self) -> dict[int, str]:
        """See ``book.Lines``."""
        return dict(self._store.flags)

    def keep_flags(self, flags: Mapping[int, str]) -> bool:
        """See ``book.Lines``."""
        new_flags = {job: text for job, text in flags.items() if text}
        if self._store.flags == new_flags:
            return False
        self._store.flags = new_flags
        self.put("lines_mark", compute_flags_version(new_flags))
        return True

    # --- buying again, and other runs ---

    def list_quarantined(self) -> dict[int, float]:
        """See ``book.Changes``. The holder of the run's lock is the only process."""
        return {}

    def find_rejected(self) -> list[Record]:
        """See ``book.Changes``."""
        store = self._store
        jobs_on_lines = {line.job for line in store.lines}
        rejected_jobs = {job for job, mark in store.marks.items() if mark.verdict is Verdict.REJECT}
        jobs = (rejected_jobs & jobs_on_lines) - store.repurchases.keys()
        return [record for record in self.read_records_in({State.DONE}) if record.id in jobs]

    def list_planned_repurchases(self) -> list[int]:
        """See ``book.Changes``."""
        repurchases = set(self._store.repurchases.values())
        return [job for job in self.list_planned_ids() if job in repurchases]

    def add_repurchases(self, pairs: Iterable[tuple[Record, ResultLine]]) -> list[int]:
        """See ``book.Changes``."""
        store, new_ids = self._store, []
        for old, line in pairs:
            job = len(store.records) + 1
            add_job(store, job, line)
            store.repurchases[old.id] = job
            store.lines = [replace(each, job=job) if each.job == old.id else each for each in store.lines]
            store.wanted = store.wanted - {old.id} | {job}
            new_ids.append(job)
        self.put("lines_mark", f"again-{len(store.records)}")
        return new_ids

    def leave_jobs(self, left: Iterable[tuple[int, str, str]]) -> None:
        """See ``book.Changes``."""
        self._store.elsewhere = {job: (folder, state) for job, folder, state in left}

    def count_left_to_others(self) -> Counter[tuple[str, str]]:
        """See ``book.Changes``."""
        planned = {job for job, _ in self.list_planned_keys()}
        return Counter(folder_and_state for job, folder_and_state in self._store.elsewhere.items() if job in planned)

    # --- intakes ---

    def begin_intake(self, *, limit: int | None = None) -> MemoryIntake:
        """See ``book.Intakes``."""
        return MemoryIntake(self._store, self.read_known_jobs(), limit)

    def read_known_jobs(self, aliases: Iterable[tuple[bytes, int]] | None = None) -> KnownJobs:
        """See ``book.Intakes``."""
        store, ids = self._store, DigestMap()
        for record in store.records.values():
            ids.add(record.job.key, self._find_latest(record.id))
        for key, job in list(store.aliases.items() if aliases is None else aliases):
            ids.add(key, self._find_latest(job))
        versions: dict[int, int] = {}
        for record in store.records.values():
            slot = store.name_hashes[record.id]
            versions[slot] = max(versions.get(slot, 0), record.job.version)
        pairs = sorted(versions.items())
        return KnownJobs(ids, LatestVersions(lambda: pairs), len(store.records))

    def _find_latest(self, job: int) -> int:
        while job in self._store.repurchases:
            job = self._store.repurchases[job]
        return job

    def read_aliases(self) -> dict[JobKey, int]:
        """See ``book.Intakes``."""
        return dict(self._store.aliases)

    def keep_aliases(self, aliases: Mapping[JobKey, int], facts: Mapping[str, str]) -> None:
        """See ``book.Intakes``."""
        self._store.aliases = dict(aliases)
        self._store.facts.update(facts)

    def list_signed_jobs(self) -> list[SignedJob]:
        """See ``book.Intakes``."""
        records = [r for r in self._records.values() if "?" in r.job.inputs and '"http' in r.job.inputs]
        return [
            SignedJob(r.id, r.job.key, r.job.inputs, r.job.variant, r.job.revision)
            for r in sorted(records, key=lambda r: (r.state is State.DONE, r.id))
        ]


def add_job(store: Store, job: int, line: ResultLine) -> None:
    """Add a PLANNED job. Its id is the new number of jobs."""
    store.keep(Record(id=job, job=line.job))
    store.name_hashes[job] = line.name_hash


class MemoryIntake:
    """See ``book.Intake``: it is kept in separate lists until ``commit``."""

    def __init__(self, store: Store, known: KnownJobs, limit: int | None) -> None:
        self.known = known
        self._store = store
        self._limit = limit
        self._distinct = 0
        self._new: list[tuple[int, ResultLine]] = []
        self._moved: list[tuple[int, ResultLine]] = []
        self._wanted: set[int] = set()
        self._lines: list[MemoryLine] = []

    def add(self, lines: Iterable[ResultLine | InvalidLine]) -> None:
        """See ``book.Intake``."""
        for line in lines:
            if isinstance(line, InvalidLine):
                self._lines.append(MemoryLine(line.row, line.id, None, dump_problems(line)))
            else:
                self._lines.append(MemoryLine(line.row, line.id, self._find_or_add_job(line), over=line.over))

    def _find_or_add_job(self, line: ResultLine) -> int:
        job = self.known.ids.get(line.job.key)
        if job in self._wanted and job is not None:
            return job
        wanted = not line.duplicate and (self._limit is None or self._distinct < self._limit)
        self._distinct += not line.duplicate
        if job is None:
            job = self.known.last + len(self._new) + 1
            self.known.ids.add(line.job.key, job)
            self._new.append((job, line))
        elif wanted and job <= self.known.last and line.moves:
            self._moved.append((job, line))
        if wanted:
            self._wanted.add(job)
        return job

    def commit(self, fingerprint: str, facts: Mapping[str, str] | None = None) -> IntakeReport:
        """See ``book.Intake``."""
        store = self._store
        for job, line in self._new:
            add_job(store, job, line)
        for job, line in self._moved:
            record = store.records[job]
            is_its_key = line.job.key == record.job.key or store.aliases.get(line.job.key) == job
            if is_its_key and record.state in {State.PLANNED, State.FAILED, State.CANCELLED}:
                store.keep(record._replace(job=record.job._replace(inputs=line.job.inputs)))
        dropped = len(store.wanted - self._wanted)
        store.wanted, store.lines = self._wanted, self._lines
        store.facts.update({**(facts or {}), "fingerprint": fingerprint})
        invalid = sum(line.job is None for line in self._lines)
        return IntakeReport(len(self._new), len(self._wanted) - len(self._new), dropped, invalid)

    def abandon(self) -> None:
        """See ``book.Intake``. Nothing of it was written to the store."""


class MemoryDecisions:
    """See ``book.Decisions``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events: list[DecisionEvent] = []

    def all(self) -> dict[int, PictureDecision]:
        """See ``book.Decisions``."""
        return dict(self._store.marks)

    def last_seq(self) -> int:
        """See ``book.Decisions``."""
        return len(self._events)

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """See ``book.Decisions``."""
        changed_jobs = sorted({event.job for event in self._events[seq:]})
        return self.last_seq(), [self._store.marks[job] for job in changed_jobs]

    def events(self) -> Iterator[DecisionEvent]:
        """See ``book.Decisions``."""
        yield from list(self._events)

    def put(self, decision: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """See ``book.Decisions``."""
        current = self._store.marks.get(decision.job, PictureDecision(decision.job))
        if current.serial != decision.serial:
            return Conflict(current)
        return self._write(replace(decision, serial=decision.serial + 1), via)

    def _write(self, mark: PictureDecision, via: str) -> PictureDecision:
        self._store.marks[mark.job] = mark
        seq = len(self._events) + 1
        self._events.append(DecisionEvent(seq, mark.job, mark.verdict, mark.note, mark.who, mark.at, via))
        return mark

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> ImportReport:
        """See ``book.Decisions``."""
        written = same = older = 0
        for job, decision in decisions:
            current = self._store.marks.get(job, PictureDecision(job))
            if (current.verdict, current.note) == (decision.verdict, decision.note):
                same += 1
            elif current.at > decision.at:
                older += 1
            else:
                self._write(
                    PictureDecision(job, decision.verdict, decision.note, current.serial + 1, who, decision.at),
                    "import",
                )
                written += 1
        return ImportReport(written, same, older)
