"""An older copy of a checkpoint in the place of the newest: a restored backup, or a folder that was copied without the
``-wal`` file. What was bought since would be bought again.

The run's log lies beside it and is written after each commit, so it never has more than the checkpoint that it belongs to.
Where it has more, its purchases are taken in: an id is collected, a purchase without an end is in doubt. About jobs that the
older copy does not have at all, the log holds too little for that: a person decides about those.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from ..core.events import Accepted, Declined, Event, Lost, Refused, Reserved, RetryAsked
from ..core.lifecycle import advance
from ..core.model import Handle, Kind, Problem, Record, State
from ..disk import is_plain_file
from ..ledger.book import Book
from ..ledger.register import compute_run_id
from ..ledger.run_facts import COMMITTED, parse_whole_number, read_fact
from ..run_folder import RunFolder

TAIL_BYTES = 64 * 1024
"""How much of the log's end is read whenever a run is opened: an older copy lacks the newest purchases."""
_BOUND = "older_copy"
"""The fact of a run that holds the highest job id that the older copy had when it was detected."""
_BY = "run.jsonl (the checkpoint was an older copy)"
_START_EVENTS = frozenset({Reserved.__name__, Lost.__name__})
_PURCHASE_EVENTS = _START_EVENTS | {Accepted.__name__, Declined.__name__, Refused.__name__}
_EVENT_BYTES = tuple(f'"event":"{name}"'.encode() for name in sorted(_PURCHASE_EVENTS))
_LOG_RESOLUTION = 0.002  # seconds: the log's times are cut to milliseconds


@dataclass(frozen=True, slots=True)
class _Logged:
    """A line of the log about a purchase. ``at`` is epoch seconds."""

    job: int
    name: str
    event: str
    at: float
    request_id: str = ""


def take_in_logged(checkpoint: Book, folder: RunFolder, warn: Callable[[str], None]) -> None:
    """Take in the purchases that the log has and the checkpoint does not, of the jobs that both have."""
    purchases = list(_find_forgotten(checkpoint, folder))
    if not purchases:
        return
    if not checkpoint.get(_BOUND):
        checkpoint.put(_BOUND, str(read_fact(checkpoint, COMMITTED, parse_whole_number, 0)))
    bound = read_fact(checkpoint, _BOUND, parse_whole_number, 0)
    accepted = doubts = 0
    for purchase in purchases:
        record = _find_record(checkpoint, purchase, bound)
        if record is None:
            continue
        for event in _list_missing_events(checkpoint, record, purchase):
            record = checkpoint.save_now(advance(record, event), event, bought=isinstance(event, Reserved))
        accepted += record.handle is not None and record.handle.request_id == purchase.request_id
        doubts += record.state is State.IN_DOUBT
    if accepted or doubts:
        warn(
            f"warning: {folder.checkpoint} is an older copy of itself: {folder.log.name} tells of purchases that it did not "
            f"know. {accepted:,} were taken in and are collected, {doubts:,} are in doubt now"
        )


def count_forgotten_purchases(checkpoint: Book, folder: RunFolder) -> int:
    """How many jobs were bought by the log, or may have been, that the checkpoint does not have: if the sheet asks for them,
    they are bought again.
    """
    bound = read_fact(checkpoint, _BOUND, parse_whole_number, 0)
    return sum(_find_record(checkpoint, purchase, bound) is None for purchase in _find_forgotten(checkpoint, folder))


def _find_record(checkpoint: Book, purchase: _Logged, bound: int) -> Record | None:
    """The job of ``purchase``, if the older copy had it: a job that got this id later may be another one."""
    record = checkpoint.record(purchase.job) if purchase.job <= bound else None
    return record if record is not None and record.job.name == purchase.name else None


def _list_missing_events(checkpoint: Book, record: Record, purchase: _Logged) -> Iterator[Event]:
    """The events that bring ``record`` to the state of the log; none where it is bought already."""
    state = record.state
    if state in {State.FAILED, State.CANCELLED}:
        yield RetryAsked(purchase.at)
        state = State.PLANNED
    if state is State.PLANNED:
        yield Reserved(purchase.at, checkpoint.top_price)
        state = State.SUBMITTING
    if purchase.event == Accepted.__name__ and state in {State.SUBMITTING, State.IN_DOUBT}:
        yield Accepted(purchase.at, Handle(purchase.request_id), by=_BY)
    elif state is State.SUBMITTING:
        yield Lost(
            purchase.at,
            Problem(Kind.LOST, "the checkpoint was an older copy, and its log tells of no end of this POST"),
        )


# --- what the log has and the checkpoint does not --------------------------------------------------


def _find_forgotten(checkpoint: Book, folder: RunFolder) -> Iterator[_Logged]:
    """For each job the last line of the log about its purchase, where the checkpoint does not have it."""
    if checkpoint.get("store") or not is_plain_file(folder.log, folder.path):
        return
    run = compute_run_id(checkpoint, folder.path)
    if not any(_is_newer(checkpoint, purchase) for purchase in _read_purchases(_read_tail(folder.log), run)):
        return
    known_times: dict[tuple[int, str], list[float]] = {}
    for logged in checkpoint.read_log():
        if logged.name in _START_EVENTS:
            known_times.setdefault((logged.job, logged.name), []).append(logged.at)
    last_by_job: dict[int, _Logged] = {}
    with folder.log.open("rb") as log:
        for purchase in _read_purchases(log, run):
            last_by_job[purchase.job] = purchase
    for purchase in last_by_job.values():
        times = known_times.get((purchase.job, purchase.event), ())
        is_known = (
            any(abs(at - purchase.at) < _LOG_RESOLUTION for at in times)
            if purchase.event in _START_EVENTS
            else purchase.event != Accepted.__name__ or checkpoint.find_job_of_request(purchase.request_id) is not None
        )
        if not is_known:
            yield purchase


def _is_newer(checkpoint: Book, purchase: _Logged) -> bool:
    if purchase.event == Accepted.__name__:
        return checkpoint.find_job_of_request(purchase.request_id) is None
    return purchase.event in _START_EVENTS and purchase.at > checkpoint.find_last_event_time() + _LOG_RESOLUTION


def _read_tail(log: Path) -> list[bytes]:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        return file.read().split(b"\n")


def _read_purchases(lines: Iterable[bytes], run: str) -> Iterator[_Logged]:
    """The lines about a purchase in the run with the id ``run``. A line that is cut off or damaged is skipped."""
    for line in lines:
        if not any(word in line for word in _EVENT_BYTES):
            continue
        try:
            entry = orjson.loads(line)
            if entry.get("run", run) == run and entry["event"] in _PURCHASE_EVENTS:
                request_id = str(entry["request_id"]) if entry["event"] == Accepted.__name__ else ""
                yield _Logged(
                    int(entry["job"]), str(entry["name"]), entry["event"], _parse_time(entry["at"]), request_id
                )
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            continue


def _parse_time(at: str | float) -> float:
    """Epoch seconds of a time in the log; the first edition wrote epoch seconds."""
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else float(at)
