"""Proof of a run from its event log: every event is played again through the law, and all must come out as it is.

What is proved: no job was submitted without an intention, none has two live purchases, no two jobs share a request_id,
each record is what its events make of it, the money of all records adds up to the sums that the budget is checked
against, and each finished file lies on disk with its length and sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import orjson

from ..core import lifecycle
from ..core.errors import IllegalEventError
from ..core.lifecycle import Accepted, Reserved, advance
from ..core.model import Handle, Job, JobKey, Kind, Output, Problem, Record, SavedFile, State, format_usd
from ..ledger.sqlite import SqliteCheckpoint

PAGE = 1000
_SENSELESS = (ValueError, TypeError, LookupError)
"""What reading a tampered value raises."""
_NO_JOB = Job(JobKey(b""), "", "", "")
_EVENTS: dict[str, Any] = {event.__name__: event for event in get_args(lifecycle.Event)}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up. ``job`` 0 is the run as a whole; ``rows`` are the results' rows of the job."""

    job: int
    what: str
    rows: tuple[int, ...] = ()


@dataclass
class Audit:
    """Sums over the whole log, and what does not fit. Money in micro-dollars."""

    jobs: int = 0
    events: int = 0
    intentions: int = 0
    accepted: int = 0
    files: int = 0
    bytes: int = 0
    spent: int = 0
    held: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Does everything add up?"""
        return not self.findings


def audit(checkpoint: SqliteCheckpoint, folder: Path) -> Audit:
    """Play the log again and compare. Reads every finished file once."""
    found = Audit()
    records = {record.id: record for record in _readable(checkpoint, found)}
    played = _play(checkpoint, records, found)
    for record in records.values():
        found.jobs += 1
        found.spent += record.spent
        found.held += record.held
        _compare(record, played.pop(record.id, None), found)
        for file in record.files:
            _check_file(record, file, folder, found)
    for job in played:
        found.findings.append(Finding(job, "has events but no record: it was removed from the checkpoint"))
    _check_sums(checkpoint, found)
    _check_ids(checkpoint, found)
    _name_rows(checkpoint, found)
    return found


def _readable(checkpoint: SqliteCheckpoint, found: Audit) -> Iterator[Record]:
    """Every record, page by page; those that make no sense are findings."""
    ids = [job for (job,) in checkpoint.rows("SELECT id FROM jobs ORDER BY id")]
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        try:
            yield from checkpoint.records("id BETWEEN ? AND ? ORDER BY id", (page[0], page[-1]))
        except _SENSELESS:
            for job in page:
                try:
                    yield from checkpoint.records("id = ?", (job,))
                except _SENSELESS as error:
                    found.findings.append(Finding(job, f"can't be read: {error}"))


def _play(checkpoint: SqliteCheckpoint, records: dict[int, Record], found: Audit) -> dict[int, Record]:
    """Every job's record as its events make it."""
    fresh: dict[int, Record] = {}
    unreadable = {finding.job for finding in found.findings}
    owners: dict[str, int] = {}
    expected = 0
    for seq, job, name, state, data in checkpoint.rows("SELECT seq, job, name, state, data FROM events ORDER BY seq"):
        found.events += 1
        expected += 1
        if seq != expected:
            found.findings.append(Finding(job, f"the log has a gap before event {seq}"))
            expected = seq
        found.intentions += name == Reserved.__name__
        found.accepted += name == Accepted.__name__
        if job in unreadable:
            continue
        record = fresh.get(job) or Record(id=job, job=records[job].job if job in records else _NO_JOB)
        try:
            event = _event(name, orjson.loads(data))
            fresh[job] = advance(record, event)._replace(serial=record.serial + 1)
        except (IllegalEventError, *_SENSELESS) as error:
            fresh[job] = record
            found.findings.append(Finding(job, f"event {seq} ({name}) can't have happened: {error}"))
            continue
        if isinstance(event, Accepted) and (owner := owners.setdefault(event.handle.request_id, seq)) != seq:
            told = f"event {seq} is the second accept of the request {event.handle.request_id}, event {owner} the first"
            found.findings.append(Finding(job, told))
        if fresh[job].state != state:
            found.findings.append(Finding(job, f"event {seq} ({name}) says {state}, the law says {fresh[job].state}"))
    return fresh


def _event(name: str, told: dict[str, Any]) -> Any:
    kind = _EVENTS[name]
    values = {f.name: _READ.get(f.name, _same)(told[f.name]) for f in fields(kind) if f.name in told}
    return kind(**values)


def _same(value: Any) -> Any:
    return value


def _problem(told: dict[str, Any]) -> Problem:
    return Problem(**{**told, "kind": Kind(told["kind"])})


_READ: dict[str, Callable[[Any], Any]] = {
    "handle": lambda told: Handle(**told),
    "problem": _problem,
    "outputs": lambda told: tuple(Output(**output) for output in told),
    "files": lambda told: tuple(SavedFile(**file) for file in told),
}

_COMPARED = (
    *("state", "serial", "held", "cost", "cost_known", "sunk", "attempts", "handle", "outputs", "files"),
    *("submitted_at", "accepted_at", "finished_at"),
)


def _compare(record: Record, played: Record | None, found: Audit) -> None:
    if played is None:
        if record.serial or record.state is not State.PLANNED:
            found.findings.append(Finding(record.id, f"is {record.state}, and no event says how it came to that"))
        return
    for name in _COMPARED:
        is_, should = getattr(record, name), getattr(played, name)
        if is_ != should:
            found.findings.append(Finding(record.id, f"{name} is {is_}, its events make it {should}"))


def _check_file(record: Record, file: SavedFile, folder: Path, found: Audit) -> None:
    path = folder / file.path
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        found.findings.append(Finding(record.id, f"{file.path} can't be read: {error.strerror or error}"))
        return
    found.files += 1
    found.bytes += size
    if (digest, size) != (file.sha256, file.bytes):
        found.findings.append(
            Finding(record.id, f"{file.path} is not the file that was downloaded (its sha256 differs)")
        )


def _check_sums(checkpoint: SqliteCheckpoint, found: Audit) -> None:
    money = checkpoint.money()
    for name, is_, should in (("spent", money.spent, found.spent), ("reserved", money.held, found.held)):
        if is_ != should:
            found.findings.append(
                Finding(0, f"the sum {name} is kept as {format_usd(is_)}, the jobs add up to {format_usd(should)}")
            )


def _check_ids(checkpoint: SqliteCheckpoint, found: Audit) -> None:
    query = "SELECT request_id, min(id), max(id) FROM jobs WHERE request_id NOT NULL GROUP BY request_id HAVING count(*) > 1"
    for request_id, one, other in checkpoint.rows(query):
        found.findings.append(Finding(one, f"has the request_id {request_id}, and so has job {other}"))
    query = "SELECT min(id) FROM jobs GROUP BY key HAVING count(*) > 1"
    for (job,) in checkpoint.rows(query):
        found.findings.append(Finding(job, "is in the checkpoint twice"))


def _name_rows(checkpoint: SqliteCheckpoint, found: Audit) -> None:
    rows = checkpoint.rows_of(finding.job for finding in found.findings)
    found.findings = [
        replace(finding, rows=tuple(row for row, _ in rows.get(finding.job, []))) for finding in found.findings
    ]


def lines(found: Audit) -> Iterator[str]:
    """The sums and every finding, for the screen."""
    yield f"jobs       {found.jobs:,}, events {found.events:,}"
    yield f"intentions {found.intentions:,}, accepted {found.accepted:,}"
    yield f"money      {format_usd(found.spent)} spent, {format_usd(found.held)} reserved"
    yield f"files      {found.files:,} with their sha256, {found.bytes:,} bytes"
    for finding in found.findings:
        where = (
            f"row {', '.join(map(str, finding.rows))}"
            if finding.rows
            else f"job {finding.job}"
            if finding.job
            else "run"
        )
        yield f"  {where}: {finding.what}"
    yield "everything adds up" if found.clean else f"{len(found.findings):,} things do not add up"
