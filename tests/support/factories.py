"""Values as they would be: a factory each, and a test names only what it is about."""

from __future__ import annotations

from typing import Any

from batchedit.core.model import Handle, Job, JobKey, Output, Record, ResultLine, State


def make_job(number: int = 1, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "key": JobKey(number.to_bytes(16, "big")),
        "model": "openai/gpt-4o-image/edit",
        "inputs": f'{{"image":["https://images.example.com/{number}.png"],"prompt":"an ad, {number}","size":"1:1"}}',
        "name": f"job-{number}",
        "size": "1:1",
    }
    return Job(**(values | changes))


def make_line(number: int = 1, **changes: Any) -> ResultLine:
    values: dict[str, Any] = {"row": number, "id": f"sku-{number}", "job": make_job(number), "name_hash": number}
    return ResultLine(**(values | changes))


def make_record(state: State = State.PLANNED, number: int = 1, **changes: Any) -> Record:
    """A record as it would be in ``state``."""
    values: dict[str, Any] = {"id": number, "job": make_job(number), "state": state}
    if state is not State.PLANNED:
        values |= {"submitted_at": 100.0, "reserved": 40_000}
    if state in {State.WAITING, State.CANCELLING, State.FETCHED, State.UNCOLLECTED, State.DONE}:
        values |= {"handle": Handle(f"req-{number}"), "accepted_at": 101.0, "watched_from": 101.0}
    if state in {State.FETCHED, State.DONE}:
        values |= {
            "reserved": 0,
            "cost": 40_000,
            "outputs": (Output(f"https://files.runcomfy.net/{number}.png"),),
            "finished_at": 130.0,
        }
    if state in {State.FAILED, State.CANCELLED}:
        values |= {"reserved": 0, "finished_at": 130.0}
    return Record(**(values | changes))
