"""The rest of the book over dicts: facts, sums, intakes, decisions, repurchases, what other runs have."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ..core.model import InvalidLine, JobKey, Kind, Record, ResultLine, State
from ..core.review import Card, Conflict, ImportedDecision, PictureDecision, DecisionEvent, Verdict
from ..core.steps import ProgressCallback, report_progress, no_progress
from .intake import problems_text
from .key_map import KeyMap, Slots
from .memory_jobs import MemoryJobs, MemoryLine, Store
from .summary import MOST
from .values import CAP_SET, CardPage, CommonError, IntakeReport, KnownJobs, RunSummary, Showing, SignedJob, TakenIn


class MemoryBook(MemoryJobs):
    """``book.Book`` but for what an event changes, which is in ``memory``."""

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

    def note(self, name: str, at: float, told: Mapping[str, Any]) -> None:
        """See ``book.Facts``."""
        self._store.run_events.append((at, name, dict(told)))

    def run_events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """See ``book.Facts``."""
        return list(self._store.run_events)

    def change_token(self) -> str:
        """See ``book.Lines``."""
        marked = self.decisions.last_seq()
        return f"{len(self._store.log)}/{self.get('fingerprint')}/{self.get('lines_mark') or ''}/{marked}"

    def snapshot(self) -> AbstractContextManager[None]:
        """See ``book.Book``. Nobody else writes to it."""
        return nullcontext()

    def close(self) -> None:
        """See ``book.Book``. There is nothing to let go."""

    # --- sums ---

    def to_buy(self) -> int:
        """See ``book.Sums``."""
        return len(self.planned_ids())

    def anything_failed(self) -> bool:
        """See ``book.Sums``."""
        if self.records_in({State.FAILED, State.CANCELLED}):
            return True
        return any(outcome.state == "invalid" for outcome in self.outcomes())

    def digest(self) -> RunSummary:
        """See ``book.Sums``."""
        done = self.records_in({State.DONE}, wanted=True)
        seconds = [r.finished_at - r.submitted_at for r in done if r.finished_at and r.submitted_at is not None]
        tenths = statistics.quantiles(seconds, n=10) if len(seconds) > 1 else []
        failed = [r.problem.kind for r in self.records_in({State.FAILED}, wanted=True) if r.problem is not None]
        return RunSummary(
            invalid=sum(outcome.state == "invalid" for outcome in self.outcomes()),
            moderated=failed.count(Kind.MODERATED),
            written_off=failed.count(Kind.WRITTEN_OFF) + failed.count(Kind.LOST),
            seconds_median=round(statistics.median(seconds), 1) if seconds else None,
            seconds_p90=round(tenths[8], 1) if tenths else None,
            errors=tuple(self._errors()),
        )

    def _errors(self) -> Iterator[CommonError]:
        rows: dict[tuple[str, str], list[tuple[int, str]]] = {}
        for outcome in self.outcomes():
            if outcome.kind and outcome.state not in {State.PLANNED, State.DONE}:
                rows.setdefault((outcome.kind, outcome.problem), []).append((outcome.row, outcome.id))
        for (kind, problem), found in sorted(rows.items(), key=lambda item: -len(item[1]))[:MOST]:
            yield CommonError(kind, problem, len(found), tuple(found[:MOST]))

    # --- the gallery ---

    def cards(self, told: ProgressCallback = no_progress) -> list[Card]:
        """See ``book.Lines``."""
        of_slot: dict[int, list[Record]] = {}
        for record in sorted(self._records.values(), key=lambda record: (-record.job.version, -record.id)):
            of_slot.setdefault(self._store.slots[record.id], []).append(record)
        cards = []
        for line in report_progress(self._store.lines, told, len(self._store.lines)):
            shots: tuple[Record, ...] = ()
            if line.job is not None:
                others = (record for record in of_slot[self._store.slots[line.job]] if record.id != line.job)
                shots = (self._records[line.job], *others)
            cards.append(Card(line.row, line.id, shots, line.problems, line.over))
        return cards

    def card_page(self, first: int, count: int, showing: Showing) -> CardPage:
        """See ``book.Lines``."""
        chosen = []
        for n, card in enumerate(self.cards(), 1):
            asked = (card.current.id, card.current.state.value) if card.current else (None, "")
            if n >= first and showing(*asked):
                chosen.append((n, card))
        return CardPage(tuple(card for _, card in chosen[:count]), chosen[count][0] if len(chosen) > count else None)

    def line_of_row(self, row: int) -> int:
        """See ``book.Lines``."""
        return next((n for n, line in enumerate(self._store.lines, 1) if line.row >= row), 0)

    def flags(self) -> dict[int, str]:
        """See ``book.Lines``."""
        return dict(self._store.flags)

    def keep_flags(self, flags: Mapping[int, str]) -> bool:
        """See ``book.Lines``."""
        told = {job: text for job, text in flags.items() if text}
        if self._store.flags == told:
            return False
        self._store.flags = told
        self.put("lines_mark", sha256(repr(sorted(told.items())).encode()).hexdigest()[:16])
        return True

    # --- buying again, and other runs ---

    def quarantined(self) -> dict[int, float]:
        """See ``book.Changes``. Whoever has the run's lock knows that no other process lives."""
        return {}

    def rejected(self) -> list[Record]:
        """See ``book.Changes``."""
        store = self._store
        on_lines = {line.job for line in store.lines}
        no = {job for job, mark in store.marks.items() if mark.verdict is Verdict.REJECT}
        wanted = (no & on_lines) - store.redone.keys()
        return [record for record in self.records_in({State.DONE}) if record.id in wanted]

    def redone_and_planned(self) -> list[int]:
        """See ``book.Changes``."""
        later = set(self._store.redone.values())
        return [job for job in self.planned_ids() if job in later]

    def add_repurchases(self, again: Iterable[tuple[Record, ResultLine]]) -> list[int]:
        """See ``book.Changes``."""
        store, ids = self._store, []
        for old, line in again:
            job = len(store.records) + 1
            add_job(store, job, line)
            store.redone[old.id] = job
            store.lines = [replace(one, job=job) if one.job == old.id else one for one in store.lines]
            store.wanted = store.wanted - {old.id} | {job}
            ids.append(job)
        self.put("lines_mark", f"again-{len(store.records)}")
        return ids

    def leave(self, left: Iterable[tuple[int, str, str]]) -> None:
        """See ``book.Changes``."""
        self._store.elsewhere = {job: (folder, state) for job, folder, state in left}

    def left_to_others(self) -> Counter[tuple[str, str]]:
        """See ``book.Changes``."""
        planned = {job for job, _ in self.planned_keys()}
        return Counter(where for job, where in self._store.elsewhere.items() if job in planned)

    # --- intakes ---

    def begin_intake(self, *, limit: int | None = None) -> MemoryIntake:
        """See ``book.Intakes``."""
        return MemoryIntake(self._store, self.known_jobs(), limit)

    def known_jobs(self, aliases: Iterable[tuple[bytes, int]] | None = None) -> KnownJobs:
        """See ``book.Intakes``."""
        store, ids = self._store, KeyMap()
        for record in store.records.values():
            ids.add(record.job.key, self._latest(record.id))
        for key, job in list(store.aliases.items() if aliases is None else aliases):
            if key not in ids:
                ids.add(key, self._latest(job))
        versions: dict[int, int] = {}
        for record in store.records.values():
            slot = store.slots[record.id]
            versions[slot] = max(versions.get(slot, 0), record.job.version)
        pairs = sorted(versions.items())
        return KnownJobs(ids, Slots(lambda: pairs, lambda slot: versions.get(slot, 0)), len(store.records))

    def _latest(self, job: int) -> int:
        while job in self._store.redone:
            job = self._store.redone[job]
        return job

    def aliases(self) -> dict[JobKey, int]:
        """See ``book.Intakes``."""
        return dict(self._store.aliases)

    def keep_aliases(self, aliases: Mapping[JobKey, int], facts: Mapping[str, str]) -> None:
        """See ``book.Intakes``."""
        self._store.aliases = dict(aliases)
        self._store.facts.update(facts)

    def signed_jobs(self) -> list[SignedJob]:
        """See ``book.Intakes``."""
        found = [r for r in self._records.values() if "?" in r.job.inputs and '"http' in r.job.inputs]
        return [
            SignedJob(r.id, r.job.key, r.job.inputs, r.job.variant, r.job.revision)
            for r in sorted(found, key=lambda r: (r.state is State.DONE, r.id))
        ]


def add_job(store: Store, job: int, line: ResultLine) -> None:
    """A new job, PLANNED. Its id is the number of jobs."""
    store.keep(Record(id=job, job=line.job))
    store.slots[job] = line.slot


class MemoryIntake:
    """See ``book.Intake``: it stands in lists of its own until ``commit``."""

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
                self._lines.append(MemoryLine(line.row, line.id, None, problems_text(line)))
            else:
                self._lines.append(MemoryLine(line.row, line.id, self._job(line), over=line.over))

    def _job(self, line: ResultLine) -> int:
        job = self.known.ids.get(line.job.key)
        if job in self._wanted and job is not None:
            return job
        wanted = not line.twin and (self._limit is None or self._distinct < self._limit)
        self._distinct += not line.twin
        if job is None:
            job = self.known.last + len(self._new) + 1
            self.known.ids.add(line.job.key, job)
            self._new.append((job, line))
        elif wanted and job <= self.known.last and line.moves:
            self._moved.append((job, line))
        if wanted:
            self._wanted.add(job)
        return job

    def commit(self, fingerprint: str, about: Mapping[str, str] | None = None) -> IntakeReport:
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
        store.facts.update({**(about or {}), "fingerprint": fingerprint})
        invalid = sum(line.job is None for line in self._lines)
        return IntakeReport(len(self._new), len(self._wanted) - len(self._new), dropped, invalid)

    def abandon(self) -> None:
        """See ``book.Intake``. Nothing of it is in the store."""


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
        changed = sorted({event.job for event in self._events[seq:]})
        return self.last_seq(), [self._store.marks[job] for job in changed]

    def events(self) -> Iterator[DecisionEvent]:
        """See ``book.Decisions``."""
        yield from list(self._events)

    def put(self, wanted: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """See ``book.Decisions``."""
        current = self._store.marks.get(wanted.job, PictureDecision(wanted.job))
        if current.serial != wanted.serial:
            return Conflict(current)
        return self._write(replace(wanted, serial=wanted.serial + 1), via)

    def _write(self, mark: PictureDecision, via: str) -> PictureDecision:
        self._store.marks[mark.job] = mark
        seq = len(self._events) + 1
        self._events.append(DecisionEvent(seq, mark.job, mark.verdict, mark.note, mark.who, mark.at, via))
        return mark

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> TakenIn:
        """See ``book.Decisions``."""
        written = same = older = 0
        for job, said in decisions:
            current = self._store.marks.get(job, PictureDecision(job))
            if (current.verdict, current.note) == (said.verdict, said.note):
                same += 1
            elif current.at > said.at:
                older += 1
            else:
                self._write(PictureDecision(job, said.verdict, said.note, current.serial + 1, who, said.at), "import")
                written += 1
        return TakenIn(written, same, older)
