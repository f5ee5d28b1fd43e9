"""What to do with a job now: actions, as imperatives, and the pure function that chooses one from the record alone.

A fresh job and one read after a crash get the same answer. ``recover`` and ``drop_future_due_at`` prepare a record that a
new process reads. This module reads no clock: the caller passes ``now``, in seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from .events import Event, Lost, Resumed
from .model import Kind, Problem, Record, State


@dataclass(frozen=True, slots=True)
class Reserve:
    """Put the money aside and write the intention down."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Send the POST that buys."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask ``/result``."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the service to cancel."""


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch every output into its file."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop polling, for the reason given."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing to do before ``until`` (epoch seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do for this record until a person decides."""


Action = Reserve | Submit | Poll | Cancel | Download | GiveUp | Sleep | Rest


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a bought job is collected for.

    ``stuck_after``: seconds from the first poll of this process until a job that has not ended becomes UNCOLLECTED.
    ``spoils``: how many broken downloads before the job becomes UNCOLLECTED.
    """

    stuck_after: float = 3600.0
    spoils: int = 5


def next_action(record: Record, now: float, patience: Patience) -> Action:  # noqa: PLR0911 - one return a state
    """What to do with ``record`` at ``now``. Pure: a fresh job and one found after a crash get the same answer."""
    match record.state:
        case State.IN_DOUBT | State.UNCOLLECTED | State.DONE | State.FAILED | State.CANCELLED:
            return Rest()
        case State.SUBMITTING:
            return Submit()
        case State.PLANNED:
            return Sleep(record.due_at) if record.due_at > now else Reserve()
        case State.WAITING | State.CANCELLING:
            if _is_polled_too_long(record, patience):
                return GiveUp(_describe_stuck_job(record, patience))
            if record.due_at > now:
                return Sleep(record.due_at)
            return Poll() if record.state is State.WAITING else Cancel()
        case State.FETCHED:
            if record.spoils >= patience.spoils or _is_polled_too_long(record, patience):
                return GiveUp(record.problem or _describe_stuck_job(record, patience))
            if record.due_at > now:
                return Sleep(record.due_at)
            return Download() if record.outputs else Poll()
        case _:
            assert_never(record.state)


def _is_polled_too_long(record: Record, patience: Patience) -> bool:
    """Judged by the time of the last poll, not by the clock: a laptop that slept all night must poll before it gives up."""
    return record.polled_at - record.watched_from >= patience.stuck_after > 0 and record.polled_at > 0


def _describe_stuck_job(record: Record, patience: Patience) -> Problem:
    last_answer = f"; the last look said: {record.problem.message}" if record.problem else ""
    return Problem(Kind.STUCK, f"not finished after {patience.stuck_after:.0f} seconds of looking{last_answer}")


MAX_SECONDS_AHEAD = 3600.0
"""Seconds by which a time on disk may be ahead of the clock: a run writes down no longer wait."""


def drop_future_due_at(record: Record, now: float) -> Record:
    """``record`` as read from disk, without a ``due_at`` that was computed before the clock was set back.

    The times of past events stay, or the record would contradict its log. Callers treat such a time that is ahead of
    ``now`` as ``now``.
    """
    happened = (record.submitted_at, record.accepted_at, record.finished_at)
    if record.due_at <= now + MAX_SECONDS_AHEAD and all(at is None or at <= now for at in happened):
        return record
    return record._replace(due_at=0.0)


def recover(record: Record, now: float) -> Event | None:
    """The event that a new process must write for a record it reads; None for no event.

    The process that wrote SUBMITTING died before it wrote an answer down, so the POST may have gone out.
    """
    if record.state is State.SUBMITTING:
        return Lost(now, Problem(Kind.LOST, "batchedit stopped between sending this job and hearing the answer"))
    if record.state is State.WAITING:
        return Resumed(now)
    return None
