"""Converts records to the columns of ``migrations/`` and back."""

from __future__ import annotations

import re
from typing import Any

import orjson

from ..core.errors import CheckpointCorruptError
from ..core.model import Handle, Job, JobKey, Kind, Output, Problem, Record, SavedFile, State
from ..core.paths import is_saved_path, is_sha256

JOB_COLUMNS = "id, key, slot, inputs, name, size, variant, revision, version, wanted, state"
"""The columns that intake writes; all others have a default."""

REQUEST_COLUMNS = "key, slot, inputs, name, size, variant, revision, version"
"""What a job asks for: the columns that no event changes."""

STATE_COLUMNS = (
    "state, attempts, due_at, held, cost, cost_known, sunk, request_id, status_url, result_url, cancel_url, outputs, "
    "files, kind, problem, http, code, submitted_at, accepted_at, finished_at"
)
"""The columns that an event may change, in the order of ``list_state_values``."""

RECORD_COLUMNS = f"id, key, inputs, name, size, variant, revision, version, serial, {STATE_COLUMNS}"


def list_state_values(record: Record) -> tuple[Any, ...]:
    """The values of STATE_COLUMNS."""
    handle, problem = record.handle, record.problem
    return (
        record.state.value,
        record.attempts,
        record.due_at,
        record.reserved,
        record.cost,
        int(record.cost_known),
        record.earlier_spent,
        *((handle.request_id, handle.status_url, handle.result_url, handle.cancel_url) if handle else (None,) * 4),
        _dump_json([[output.url, output.kind] for output in record.outputs]),
        dump_files(record.files) or None,
        *((problem.kind.value, problem.message, problem.http, problem.code) if problem else (None,) * 4),
        record.submitted_at,
        record.accepted_at,
        record.finished_at,
    )


def dump_files(files: tuple[SavedFile, ...]) -> str:
    """The JSON text of ``Outcome.files``; ``""`` for none."""
    return _dump_json([[f.path, f.sha256, f.bytes, f.width, f.height, f.url] for f in files]) or ""


def read_files(text: str | None) -> tuple[SavedFile, ...]:
    """The inverse of ``dump_files``. CheckpointCorruptError for a file that no run can have saved."""
    return tuple(_check_file(SavedFile(*entry)) for entry in orjson.loads(text)) if text else ()


def _check_file(file: SavedFile) -> SavedFile:
    """A received checkpoint could name any file of this machine, to be shown or delivered; or leave its digest out, so that
    a replaced file goes unnoticed.
    """
    if not (isinstance(file.path, str) and is_saved_path(file.path)):
        raise CheckpointCorruptError(
            f"the checkpoint names {file.path!r} as a finished picture, and that is not in the run's folder files/",
            hint=_FORGED_HINT,
        )
    if not (isinstance(file.sha256, str) and is_sha256(file.sha256)):
        raise CheckpointCorruptError(f"the checkpoint has no sha256 of {file.path}", hint=_FORGED_HINT)
    return file


_FORGED_HINT = (
    "no run of batchedit writes that: if the folder came from somebody else, do not use it; else restore a backup"
)


def check_dumped_files(text: str) -> None:
    """``read_files`` without building its result: for the lines of the results, a million of them."""
    if text and not _is_one_plain_file(text):
        read_files(text)


_is_one_plain_file = re.compile(
    r'\[\["files(?:/(?!\.\.?["/])[^"/\\\0]+)+","[0-9a-f]{64}",[^"]*"[^"\\]*"\]\]'  # nearly every job has one
).fullmatch


def read_record(row: tuple[Any, ...], model: str) -> Record:
    """A record from the values of RECORD_COLUMNS."""
    job_id, key, inputs, name, size, variant, revision, version, serial, *rest = row
    (
        state,
        attempts,
        due_at,
        reserved,
        cost,
        cost_known,
        earlier_spent,
        request_id,
        status_url,
        result_url,
        cancel_url,
        *rest,
    ) = rest
    outputs, files, kind, problem, http, code, submitted_at, accepted_at, finished_at = rest
    return Record(
        id=job_id,
        job=Job(JobKey(key), model, inputs, name, size, variant, revision, version),
        state=State(state),
        serial=serial,
        attempts=attempts,
        due_at=due_at,
        reserved=reserved,
        cost=cost,
        cost_known=bool(cost_known),
        earlier_spent=earlier_spent,
        handle=Handle(request_id, status_url, result_url, cancel_url) if request_id else None,
        outputs=tuple(Output(*entry) for entry in orjson.loads(outputs)) if outputs else (),
        files=read_files(files),
        problem=Problem(Kind(kind), problem, http, code) if kind else None,
        submitted_at=submitted_at,
        accepted_at=accepted_at,
        finished_at=finished_at,
    )


def _dump_json(values: list[list[Any]]) -> str | None:
    return orjson.dumps(values).decode() if values else None
