"""The job state machine: which event may happen in which state, and where it leads.

A job is a record in one of ten states. What happened to it is an event (``core/events.py``). ``TRANSITIONS`` says which
event may happen in which state and where it leads; ``advance`` is the only way to move, and raises for anything the table
does not hold. ``next_action`` (``core/actions.py``) says what to do with a record now; ``pool/worker.py`` does it and comes
back with the next event.

Two rules carry the promise "never pay twice":

* The POST is sent in SUBMITTING only, and a record gets there by ``Reserved`` alone, which the checkpoint makes durable
  before the loop goes on. So whatever may have been bought has an intention on disk.
* One event leads from SUBMITTING back to PLANNED: ``Declined``, for what was *surely not* taken. Everything unclear is
  ``Lost``. IN_DOUBT is left by a person, by an id that comes late, or by ``Declined`` from the one process that sent this
  very POST and learns afterwards that no byte of it went out.
* A 404 is never an end. A request that the service no longer knows (``Gone``) was accepted once, so it is
  UNCOLLECTED: later runs ask again, and only a person gives it up or buys it again.

A record found in SUBMITTING at start was cut off between intention and answer: ``recover`` turns it into ``Lost``.

``Pending`` and ``Missed`` change nothing that a new process needs to know. They move the record in memory and are not
written down (``durable`` is False): a job polled ten times costs no more disk than one polled once.

This module reads no clock: every event carries ``at``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from .errors import IllegalEventError
from .events import (
    Accepted,
    CancelAsked,
    CancelConfirmed,
    CancelDenied,
    Completed,
    Declined,
    Errored,
    Event,
    GivenUp,
    Gone,
    Lost,
    Missed,
    Pending,
    Priced,
    Refused,
    Released,
    Reopened,
    Reserved,
    Resumed,
    RetryAsked,
    Reused,
    Saved,
    Spoiled,
    WrittenOff,
)
from .model import Kind, Problem, Record, State
from .money import format_usd

TRANSITIONS: Mapping[State, Mapping[type[Event], State]] = {
    State.PLANNED: {
        Reserved: State.SUBMITTING,
        Reused: State.DONE,  # bought earlier, in another run
    },
    State.SUBMITTING: {
        Accepted: State.WAITING,
        Declined: State.PLANNED,
        Refused: State.FAILED,
        Lost: State.IN_DOUBT,
    },
    State.IN_DOUBT: {
        Accepted: State.WAITING,
        Declined: State.PLANNED,  # by the job's own sender, who knows that the POST never left
        Released: State.PLANNED,
        WrittenOff: State.FAILED,
    },
    State.WAITING: {
        Pending: State.WAITING,
        Missed: State.WAITING,
        Resumed: State.WAITING,
        Completed: State.FETCHED,
        Errored: State.FAILED,
        Gone: State.UNCOLLECTED,
        GivenUp: State.UNCOLLECTED,
        CancelAsked: State.CANCELLING,
        CancelConfirmed: State.CANCELLED,  # cancelled elsewhere, by hand on the vendor's site
    },
    State.CANCELLING: {
        CancelConfirmed: State.CANCELLED,
        CancelDenied: State.WAITING,
        Missed: State.CANCELLING,
        Completed: State.FETCHED,
        GivenUp: State.UNCOLLECTED,
    },
    State.FETCHED: {
        Saved: State.DONE,
        Spoiled: State.FETCHED,
        Completed: State.FETCHED,  # fresh links
        Pending: State.FETCHED,
        Missed: State.FETCHED,
        GivenUp: State.UNCOLLECTED,
        # Finished once and now the service takes it back: it is paid for and can't be had, but not failed by the input.
        Errored: State.UNCOLLECTED,
        Gone: State.UNCOLLECTED,
        CancelConfirmed: State.UNCOLLECTED,
    },
    State.UNCOLLECTED: {
        Resumed: State.WAITING,
        Priced: State.UNCOLLECTED,
        Released: State.PLANNED,
        WrittenOff: State.FAILED,
    },
    State.DONE: {
        Priced: State.DONE,
    },
    State.FAILED: {
        RetryAsked: State.PLANNED,
        Reopened: State.UNCOLLECTED,
        Priced: State.FAILED,
    },
    State.CANCELLED: {
        RetryAsked: State.PLANNED,
        Priced: State.CANCELLED,
    },
}

REMOTE = frozenset({State.SUBMITTING, State.IN_DOUBT, State.WAITING, State.CANCELLING})
"""States in which the service may be working for us: these take a slot of ``--concurrency``."""

BOUGHT = frozenset({State.WAITING, State.CANCELLING, State.FETCHED, State.UNCOLLECTED})
"""States in which a job is paid for and still to be collected."""

FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})


def advance(record: Record, event: Event) -> Record:
    """The record after ``event``. Raises IllegalEventError, and changes nothing, where the table has no such move."""
    target = TRANSITIONS[record.state].get(type(event))
    if target is None:
        raise IllegalEventError(f"job {record.id} is {record.state} and can't be {type(event).__name__}")
    after = _apply(record, event)
    return after if after.state is target else after._replace(state=target)


def _apply(record: Record, event: Event) -> Record:  # noqa: PLR0911, C901, PLR0912 - one arm an event, closed by assert_never
    match event:
        case Reserved(at, price):
            return record._replace(reserved=price, submitted_at=at, problem=None, finished_at=None)
        case Reused(at, handle, files):
            return record._replace(
                handle=handle, files=files, cost=0, cost_known=True, problem=None, due_at=0.0, finished_at=at
            )
        case Accepted(at, handle):
            return record._replace(handle=handle, accepted_at=at, watched_from=at, due_at=0.0, problem=None)
        case Declined(_, problem, due_at, counts):
            return record._replace(reserved=0, problem=problem, due_at=due_at, attempts=record.attempts + counts)
        case Refused(at, problem):
            return record._replace(reserved=0, problem=problem, finished_at=at)
        case Lost(_, problem):
            return record._replace(problem=problem)
        case WrittenOff(at, by):
            return _settle(record, None)._replace(problem=_describe_write_off(record, by), finished_at=at)
        case Pending(at, due_at, running):
            seen = _update_queue_times(record, at, running)
            return seen._replace(due_at=due_at, polled_at=at, absent=0, problem=event.problem)
        case Missed(at, due_at, problem, absent):
            times = record.absent + 1 if absent else 0
            return record._replace(due_at=due_at, polled_at=at, problem=problem, absent=times)
        case Completed(at, outputs, cost):
            paid = _settle(record, cost)
            return paid._replace(
                outputs=outputs, due_at=0.0, problem=None, finished_at=record.finished_at or at, absent=0
            )
        case Errored(at, problem, cost):
            return _settle(record, cost)._replace(problem=problem, finished_at=at)
        case Gone(_, problem) | GivenUp(_, problem):
            return record._replace(problem=problem)
        case Resumed(at):
            return record._replace(
                watched_from=at, polled_at=0.0, due_at=0.0, absent=0, spoils=0, outputs=(), problem=None
            )
        case CancelAsked() | CancelDenied():
            return record._replace(due_at=0.0)
        case CancelConfirmed(at, cost):
            return _apply_cancel_confirmed(record, at, cost)
        case Saved(_, files):
            return record._replace(files=files, problem=None)
        case Spoiled(_, due_at, problem):
            return record._replace(outputs=(), due_at=due_at, problem=problem, spoils=record.spoils + 1)
        case Priced(_, cost):
            return _settle(record, cost)
        case RetryAsked() | Released():
            return _reset_for_repurchase(record)
        case Reopened():
            return record._replace(finished_at=None)
        case _:
            assert_never(event)


def _describe_write_off(record: Record, by: str) -> Problem:
    earlier = f"; before that: {record.problem.message}" if record.problem else ""
    return Problem(Kind.WRITTEN_OFF, f"given up ({by}); it may have been charged{earlier}")


def _apply_cancel_confirmed(record: Record, at: float, cost: int | None) -> Record:
    if record.state is State.FETCHED:
        return _settle(record, cost)
    # One that finished before has a cost, so it was not cancelled in the queue.
    is_free = cost is None and record.cost is None and record.state is State.CANCELLING
    charged = 0 if is_free else record.cost if cost is None and record.cost_known else cost
    if charged is None:
        message = (
            "cancelled, but not by this run; the service does not say whether it was charged, so it counts as spent"
        )
    elif charged:
        message = f"cancelled; the service charged {format_usd(charged)} all the same"
    else:
        message = "cancelled while it was still queued; nothing was charged"
    return _settle(record, charged)._replace(problem=Problem(Kind.CANCELLED, message), finished_at=at)


def _update_queue_times(record: Record, at: float, running: bool) -> Record:
    """The moment a job left the queue lies between the last poll that found it there and the first that did not."""
    if not running:
        return record._replace(queued_at=at)
    if record.queued_at is not None and record.left_queue_at is None:
        return record._replace(left_queue_at=(record.queued_at + at) / 2)
    return record


def _settle(record: Record, cost: int | None) -> Record:
    """The purchase is over: what was reserved becomes what it cost, the API's figure where it reported one."""
    if cost is not None:
        return record._replace(reserved=0, cost=cost, cost_known=True)
    if record.cost is not None:
        return record
    return record._replace(reserved=0, cost=record.reserved, cost_known=False)


def _reset_for_repurchase(record: Record) -> Record:
    """Back to PLANNED for a new purchase; what the last one came to, or may have, goes to ``earlier_spent``."""
    return record._replace(
        attempts=0,
        due_at=0.0,
        earlier_spent=record.earlier_spent + (record.reserved if record.cost is None else record.cost),
        reserved=0,
        cost=None,
        cost_known=False,
        handle=None,
        outputs=(),
        files=(),
        problem=None,
        submitted_at=None,
        accepted_at=None,
        finished_at=None,
        watched_from=0.0,
        polled_at=0.0,
        queued_at=None,
        left_queue_at=None,
        absent=0,
        spoils=0,
    )


def draw_mermaid() -> str:
    """The table as a Mermaid state diagram, for the README."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLANNED}"]
    for source, transitions in TRANSITIONS.items():
        by_target: dict[State, list[str]] = {}
        for event, target in transitions.items():
            by_target.setdefault(target, []).append(event.__name__)
        lines += [f"    {source} --> {target}: {', '.join(names)}" for target, names in by_target.items()]
    return "\n".join(lines)
