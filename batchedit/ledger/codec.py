"""Records to the columns of ``schema.sql`` and back."""

from __future__ import annotations

from typing import Any

import orjson

from ..core.model import Handle, Job, JobKey, Kind, Output, Problem, Record, SavedFile, State

JOB_COLUMNS = "id, key, slot, inputs, name, size, variant, revision, version, wanted, state"
"""What intake writes; everything else has a default."""

STATE_COLUMNS = (
    "state, attempts, due_at, held, cost, cost_known, sunk, request_id, status_url, result_url, cancel_url, outputs, "
    "files, kind, problem, http, code, submitted_at, accepted_at, finished_at"
)
"""What an event may change, in the order of ``state_values``."""

RECORD_COLUMNS = f"id, key, inputs, name, size, variant, revision, version, serial, {STATE_COLUMNS}"


def state_values(record: Record) -> tuple[Any, ...]:
    """The values of STATE_COLUMNS."""
    handle, problem = record.handle, record.problem
    return (
        record.state.value,
        record.attempts,
        record.due_at,
        record.held,
        record.cost,
        int(record.cost_known),
        record.sunk,
        *((handle.request_id, handle.status_url, handle.result_url, handle.cancel_url) if handle else (None,) * 4),
        _dump([[output.url, output.kind] for output in record.outputs]),
        files_text(record.files) or None,
        *((problem.kind.value, problem.message, problem.http, problem.code) if problem else (None,) * 4),
        record.submitted_at,
        record.accepted_at,
        record.finished_at,
    )


def files_text(files: tuple[SavedFile, ...]) -> str:
    """The JSON text of ``Outcome.files``; ``""`` for none."""
    return _dump([[f.path, f.sha256, f.bytes, f.width, f.height, f.url] for f in files]) or ""


def read_files(text: str | None) -> tuple[SavedFile, ...]:
    """The inverse of ``files_text``."""
    return tuple(SavedFile(*entry) for entry in orjson.loads(text)) if text else ()


def read_record(row: tuple[Any, ...], model: str) -> Record:
    """A record from the values of RECORD_COLUMNS."""
    job_id, key, inputs, name, size, variant, revision, version, serial, *rest = row
    state, attempts, due_at, held, cost, cost_known, sunk, request_id, status_url, result_url, cancel_url, *rest = rest
    outputs, files, kind, problem, http, code, submitted_at, accepted_at, finished_at = rest
    return Record(
        id=job_id,
        job=Job(JobKey(key), model, inputs, name, size, variant, revision, version),
        state=State(state),
        serial=serial,
        attempts=attempts,
        due_at=due_at,
        held=held,
        cost=cost,
        cost_known=bool(cost_known),
        sunk=sunk,
        handle=Handle(request_id, status_url, result_url, cancel_url) if request_id else None,
        outputs=tuple(Output(*entry) for entry in orjson.loads(outputs)) if outputs else (),
        files=read_files(files),
        problem=Problem(Kind(kind), problem, http, code) if kind else None,
        submitted_at=submitted_at,
        accepted_at=accepted_at,
        finished_at=finished_at,
    )


def _dump(values: list[list[Any]]) -> str | None:
    return orjson.dumps(values).decode() if values else None
