"""Proof of a run from its event log: all events are replayed through the state machine, and the result must be the records.

What is proved: no job was submitted without an intention, none has two live purchases, no two jobs share a request_id,
each record is what its events make of it, the money of all records adds up to the sums that the budget is checked
against, and each finished file lies on disk with its length and sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..core.errors import CheckpointCorruptError, IllegalEventError
from ..core.events import Accepted, Reserved
from ..core.lifecycle import advance
from ..core.model import Job, JobKey, Record, SavedFile, State
from ..core.money import format_sums, format_usd, label_play
from ..core.plurals_and_durations import pluralize
from ..core.steps import ProgressCallback, Steps, no_steps, report_progress
from ..disk import is_inside
from ..files.objects import Objects
from ..ledger.book import Book
from ..ledger.rescue_file import ID_NOT_TAKEN_IN
from ..ledger.values import CAP_SET, UnreadableJob
from ..manifest.rownames import describe_row
from ..manifest.rows import Form
from .play_money import is_play

_DAMAGED_VALUE_ERRORS = (ValueError, TypeError, LookupError, CheckpointCorruptError)
"""The errors of reading a tampered value."""
_JOBS_PER_REPORT = 10
"""Jobs between two reports of progress: a job's pictures are read whole, which takes some milliseconds each."""
_NO_JOB = Job(JobKey(b""), "", "", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up. ``job`` 0 is the run as a whole; ``rows`` names the sheet's rows of the job."""

    job: int
    problem: str
    rows: tuple[str, ...] = ()


@dataclass
class Audit:
    """Sums over the whole log, and what does not fit. Money in micro-dollars, of the sandbox's where it is ``play``."""

    jobs: int = 0
    events: int = 0
    intentions: int = 0
    accepted: int = 0
    files: int = 0
    bytes: int = 0
    spent: int = 0
    reserved: int = 0
    findings: list[Finding] = field(default_factory=list)
    play: bool = False

    @property
    def clean(self) -> bool:
        """Does everything add up?"""
        return not self.findings


def prove(checkpoint: Book, folder: Path, form: Form, objects: Objects | None = None, steps: Steps = no_steps) -> Audit:
    """Replay the log and compare. Reads every finished file once, from ``objects`` where they are kept there. ``form`` is the
    manifest's, for its row numbers.
    """
    audit = Audit(play=is_play(checkpoint))
    with steps("reading the run") as on_progress:
        records = {record.id: record for record in _read_records(checkpoint, audit, on_progress)}
    with steps("playing events") as on_progress:
        replayed = _replay(checkpoint, records, audit, on_progress)
    has_fences = checkpoint.get("store") is not None
    with steps("reading pictures") as on_progress:
        for record in report_progress(records.values(), on_progress, len(records), every=_JOBS_PER_REPORT):
            audit.jobs += 1
            audit.spent += record.spent
            audit.reserved += record.reserved
            _compare(record, replayed.pop(record.id, None), audit, has_fences=has_fences)
            for file in record.files:
                if objects is None:
                    _check_file(record, file, folder, audit)
                else:
                    _check_object(record, file, objects, audit)
    for job in replayed:
        audit.findings.append(Finding(job, "has events but no record: it was removed from the checkpoint"))
    _check_sums(checkpoint, audit)
    _check_ids(checkpoint, audit)
    _check_run_events(checkpoint, audit)
    _name_rows(checkpoint, audit, form)
    return audit


def _read_records(checkpoint: Book, audit: Audit, on_progress: ProgressCallback) -> Iterator[Record]:
    """Every readable record; the others become findings."""
    for record in report_progress(checkpoint.read_all_records(), on_progress, _count_records(checkpoint)):
        if isinstance(record, UnreadableJob):
            audit.findings.append(Finding(record.job, f"can't be read: {record.why}"))
        else:
            yield record


def _count_records(checkpoint: Book) -> int:
    """How many records there are; 0 where a state is damaged."""
    try:
        return sum(checkpoint.counts().by_state.values())
    except _DAMAGED_VALUE_ERRORS:
        return 0


def _replay(
    checkpoint: Book, records: dict[int, Record], audit: Audit, on_progress: ProgressCallback
) -> dict[int, Record]:
    """Every job's record as its events make it."""
    replayed: dict[int, Record] = {}
    unreadable = {finding.job for finding in audit.findings}
    owners: dict[str, int] = {}
    expected = 0
    for logged in report_progress(checkpoint.read_log(), on_progress):
        seq, job, name, state = logged.seq, logged.job, logged.name, logged.state
        audit.events += 1
        expected += 1
        if seq != expected:
            audit.findings.append(Finding(job, f"the log has a gap before event {seq}"))
            expected = seq
        audit.intentions += name == Reserved.__name__
        audit.accepted += name == Accepted.__name__
        if job in unreadable:
            continue
        record = replayed.get(job) or Record(id=job, job=records[job].job if job in records else _NO_JOB)
        try:
            event = logged.read()
            replayed[job] = advance(record, event)._replace(serial=record.serial + 1)
        except (IllegalEventError, *_DAMAGED_VALUE_ERRORS) as error:
            replayed[job] = record
            audit.findings.append(Finding(job, f"event {seq} ({name}) can't have happened: {error}"))
            continue
        if isinstance(event, Accepted) and (owner := owners.setdefault(event.handle.request_id, seq)) != seq:
            problem = (
                f"event {seq} is the second accept of the request {event.handle.request_id}, event {owner} the first"
            )
            audit.findings.append(Finding(job, problem))
        if replayed[job].state != state:
            audit.findings.append(
                Finding(job, f"event {seq} ({name}) says {state}, the law says {replayed[job].state}")
            )
    return replayed


_COMPARED_FIELDS = (
    *("state", "serial", "held", "cost", "cost_known", "sunk", "attempts", "handle", "outputs", "files"),
    *("submitted_at", "accepted_at", "finished_at"),
)


_FIELDS = {"held": "reserved", "sunk": "earlier_spent"}
"""Columns of the ledger whose field of ``Record`` has another name."""


def _compare(record: Record, played: Record | None, audit: Audit, *, has_fences: bool) -> None:
    """``has_fences``: a worker that adopts a job raises its serial without an event, to refuse its former worker."""
    if played is None:
        if record.serial or record.state is not State.PLANNED:
            audit.findings.append(Finding(record.id, f"is {record.state}, and no event says how it came to that"))
        return
    for name in _COMPARED_FIELDS:
        actual, expected = (getattr(side, _FIELDS.get(name, name)) for side in (record, played))
        if actual != expected and not (has_fences and name == "serial" and actual > expected):
            audit.findings.append(Finding(record.id, f"{name} is {actual}, its events make it {expected}"))


def _check_file(record: Record, file: SavedFile, folder: Path, audit: Audit) -> None:
    path = folder / file.path
    if path.is_symlink() or not is_inside(path.parent, folder):
        audit.findings.append(Finding(record.id, f"{file.path} is a link: it is not the file that was downloaded"))
        return
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        audit.findings.append(Finding(record.id, f"{file.path} can't be read: {error.strerror or error}"))
        return
    audit.files += 1
    audit.bytes += size
    if (digest, size) != (file.sha256, file.bytes):
        audit.findings.append(
            Finding(record.id, f"{file.path} is not the file that was downloaded (its sha256 differs)")
        )


def _check_object(record: Record, file: SavedFile, objects: Objects, audit: Audit) -> None:
    digest, size = objects.digest_and_size(file.path)
    if not digest:
        audit.findings.append(Finding(record.id, f"{file.path} is not in {objects.url}"))
        return
    audit.files += 1
    audit.bytes += size
    if (digest, size) != (file.sha256, file.bytes):
        problem = f"{file.path} in {objects.url} is not the file that was downloaded (its sha256 differs)"
        audit.findings.append(Finding(record.id, problem))


def _check_sums(checkpoint: Book, audit: Audit) -> None:
    money, play = checkpoint.money(), label_play(audit.play)
    for name, actual, expected in (("spent", money.spent, audit.spent), ("reserved", money.reserved, audit.reserved)):
        if actual != expected:
            audit.findings.append(
                Finding(
                    0,
                    f"the sum {name} is kept as {format_usd(actual)}, the jobs add up to {format_usd(expected)}{play}",
                )
            )


def _check_ids(checkpoint: Book, audit: Audit) -> None:
    for shared in checkpoint.list_shared_requests():
        problem = f"has the request_id {shared.request_id}, and so has job {shared.other}"
        audit.findings.append(Finding(shared.job, problem))
    for job in checkpoint.list_doubled_jobs():
        audit.findings.append(Finding(job, "is in the checkpoint twice"))


def _check_run_events(checkpoint: Book, audit: Audit) -> None:
    """The cap is what its last change made it, and every id that was bought belongs to a job."""
    caps = []
    for _, name, details in checkpoint.list_run_events():
        if name == CAP_SET:
            caps.append(details["after"])
        elif name == ID_NOT_TAKEN_IN and checkpoint.find_owner(request_id := details["handle"]["request_id"]) is None:
            problem = f"it was bought as {request_id} too: no job has this id, and its cost is in no sum"
            audit.findings.append(Finding(details["job"], problem))
    if caps and caps[-1] != checkpoint.cap:
        actual, expected = (None if cap is None else format_usd(cap) for cap in (checkpoint.cap, caps[-1]))
        audit.findings.append(
            Finding(0, f"the cap is {actual}, its last change made it {expected}{label_play(audit.play)}")
        )


def _name_rows(checkpoint: Book, audit: Audit, form: Form) -> None:
    rows = checkpoint.find_rows(finding.job for finding in audit.findings)
    audit.findings = [
        replace(finding, rows=tuple(describe_row(form, *row) for row in rows.get(finding.job, ())))
        for finding in audit.findings
    ]


def format_audit(audit: Audit) -> Iterator[str]:
    """The sums that are not zero and every finding, for the screen. What is spent is always shown."""
    if audit.jobs:
        yield f"jobs       {audit.jobs:,}{f', events {audit.events:,}' if audit.events else ''}"
    if audit.intentions:
        yield f"intentions {audit.intentions:,}{f', accepted {audit.accepted:,}' if audit.accepted else ''}"
    yield f"money      {format_sums(audit.spent, (audit.reserved, 'reserved'))}{label_play(audit.play)}"
    if audit.files:
        yield f"files      {audit.files:,} with their sha256, {audit.bytes:,} bytes"
    for finding in audit.findings:
        where = ", ".join(finding.rows) if finding.rows else f"job {finding.job}" if finding.job else "run"
        yield f"  {where}: {finding.problem}"
    yield (
        "everything adds up"
        if audit.clean
        else f"{pluralize(len(audit.findings), 'thing does', 'things do')} not add up"
    )
