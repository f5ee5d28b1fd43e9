"""The law: a job's life as a table.

A job is a record in one of ten states. What happened to it is an event. ``TRANSITIONS`` says which event may happen in
which state and where it leads; ``advance`` is the only way to move, and raises for anything the table does not hold.
``next_action`` says what to do with a record now; ``pool/drive.py`` does it and comes back with the next event.

Two rules carry the promise "never pay twice":

* The POST is sent in SUBMITTING only, and a record gets there by ``Reserved`` alone, which the checkpoint makes durable
  before the loop goes on. So whatever may have been bought has an intention on disk.
* Out of SUBMITTING leads one way back to PLANNED: ``Declined``, for what was *surely not* taken. Everything unclear is
  ``Lost``, and IN_DOUBT is left only by a person.

A record found in SUBMITTING at start was cut off between intention and answer: ``recover`` turns it into ``Lost``.

``Pending`` and ``Missed`` change nothing that a new process needs to know. They move the record in memory and are not
written down (``durable`` is False): a job looked at ten times costs no more disk than one looked at once.

This module reads no clock: every event carries ``at`` and every question is asked with ``now``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, assert_never

from .errors import IllegalEventError
from .model import Handle, Kind, Output, Problem, Record, SavedFile, State

# --- events: past participles ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reserved:
    """Money put aside and the intention to submit written down. ``price`` in micro-dollars, 0 if unknown."""

    durable: ClassVar[bool] = True
    at: float
    price: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service took the job (or a person pasted its id): it is bought."""

    durable: ClassVar[bool] = True
    at: float
    handle: Handle
    by: str = "service"


@dataclass(frozen=True, slots=True)
class Declined:
    """Surely not taken. ``due_at`` is when to try again; ``counts`` if this used up one of the job's attempts."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem
    due_at: float = 0.0
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Not taken, and trying again would not help: the input is wrong, or the attempts are used up."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class Lost:
    """The POST went out, or may have, and its answer was never seen."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class Released:
    """A person (or ``--on-doubt buy-again``) decided to buy a doubtful job again. The first money counts as spent."""

    durable: ClassVar[bool] = True
    at: float
    by: str


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """A person gave a doubtful job up. Its money counts as spent."""

    durable: ClassVar[bool] = True
    at: float
    by: str


@dataclass(frozen=True, slots=True)
class Pending:
    """Looked at, not finished. ``running`` once the job has left the service's queue."""

    durable: ClassVar[bool] = False
    at: float
    due_at: float
    running: bool = False
    word: str = ""
    queue_position: int | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A look that told nothing: an error or no answer. ``absent`` for a 404, which may pass."""

    durable: ClassVar[bool] = False
    at: float
    due_at: float
    problem: Problem
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Completed:
    """Finished; here are the links. ``cost`` in micro-dollars where the API told it."""

    durable: ClassVar[bool] = True
    at: float
    outputs: tuple[Output, ...]
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Errored:
    """The job ran and ended in an error, or was moderated."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The service no longer knows the request."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class GivenUp:
    """We stop looking. The job stays bought and is taken up again by the next ``run`` or ``fetch``."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class Resumed:
    """Somebody looks again: a new process, or ``run`` and ``fetch`` on what was uncollected."""

    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True)
class CancelAsked:
    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True)
class CancelConfirmed:
    """The service cancelled it while it was queued. Nothing is charged."""

    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True)
class CancelDenied:
    """Too late: the job runs or has run. It is paid for, so it is collected."""

    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True)
class Saved:
    """Every file is whole, verified and under its final name."""

    durable: ClassVar[bool] = True
    at: float
    files: tuple[SavedFile, ...]


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A link or file was broken: ask for fresh links at ``due_at``."""

    durable: ClassVar[bool] = True
    at: float
    due_at: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class Priced:
    """The service told the cost after the result. Micro-dollars."""

    durable: ClassVar[bool] = True
    at: float
    cost: int


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """A person wants a failed or cancelled job bought anew: a new purchase, priced as one."""

    durable: ClassVar[bool] = True
    at: float


Event = (
    Reserved
    | Accepted
    | Declined
    | Refused
    | Lost
    | Released
    | WrittenOff
    | Pending
    | Missed
    | Completed
    | Errored
    | Gone
    | GivenUp
    | Resumed
    | CancelAsked
    | CancelConfirmed
    | CancelDenied
    | Saved
    | Spoiled
    | Priced
    | RetryAsked
)

# --- the table ------------------------------------------------------------------------------------

TRANSITIONS: Mapping[State, Mapping[type[Event], State]] = {
    State.PLANNED: {
        Reserved: State.SUBMITTING,
    },
    State.SUBMITTING: {
        Accepted: State.WAITING,
        Declined: State.PLANNED,
        Refused: State.FAILED,
        Lost: State.IN_DOUBT,
    },
    State.IN_DOUBT: {
        Accepted: State.WAITING,
        Released: State.PLANNED,
        WrittenOff: State.FAILED,
    },
    State.WAITING: {
        Pending: State.WAITING,
        Missed: State.WAITING,
        Resumed: State.WAITING,
        Completed: State.FETCHED,
        Errored: State.FAILED,
        Gone: State.FAILED,
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
    },
    State.DONE: {
        Priced: State.DONE,
    },
    State.FAILED: {
        RetryAsked: State.PLANNED,
        Priced: State.FAILED,
    },
    State.CANCELLED: {
        RetryAsked: State.PLANNED,
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
            return record._replace(held=price, submitted_at=at, problem=None, finished_at=None)
        case Accepted(at, handle):
            return record._replace(handle=handle, accepted_at=at, watched_from=at, due_at=0.0, problem=None)
        case Declined(at, problem, due_at, counts):
            return record._replace(held=0, problem=problem, due_at=due_at, attempts=record.attempts + counts)
        case Refused(at, problem):
            return record._replace(held=0, problem=problem, finished_at=at)
        case Lost(_, problem):
            return record._replace(problem=problem)
        case Released():
            return _anew(record)
        case WrittenOff(at):
            return _settle(record, None)._replace(finished_at=at)
        case Pending(at, due_at, running):
            return _seen_in_queue(record, at, running)._replace(due_at=due_at, looked_at=at, absent=0, problem=None)
        case Missed(at, due_at, problem, absent):
            seen = record.absent + 1 if absent else 0
            return record._replace(due_at=due_at, looked_at=at, problem=problem, absent=seen)
        case Completed(at, outputs, cost):
            paid = _settle(record, cost)
            return paid._replace(
                outputs=outputs, due_at=0.0, problem=None, finished_at=record.finished_at or at, absent=0
            )
        case Errored(at, problem, cost):
            return _settle(record, cost)._replace(problem=problem, finished_at=at)
        case Gone(at, problem):
            return _settle(record, None)._replace(problem=problem, finished_at=at)
        case GivenUp(_, problem):
            return record._replace(problem=problem)
        case Resumed(at):
            return record._replace(
                watched_from=at, looked_at=0.0, due_at=0.0, absent=0, spoils=0, outputs=(), problem=None
            )
        case CancelAsked() | CancelDenied():
            return record._replace(due_at=0.0)
        case CancelConfirmed(at):
            if record.state is State.FETCHED:
                return record
            problem = Problem(Kind.CANCELLED, "cancelled while it was still queued; nothing was charged")
            return record._replace(held=0, problem=problem, finished_at=at)
        case Saved(_, files):
            return record._replace(files=files, problem=None)
        case Spoiled(_, due_at, problem):
            return record._replace(outputs=(), due_at=due_at, problem=problem, spoils=record.spoils + 1)
        case Priced(_, cost):
            return _settle(record, cost)
        case RetryAsked():
            return _anew(record)
        case _:
            assert_never(event)


def _seen_in_queue(record: Record, at: float, running: bool) -> Record:
    """The moment a job left the queue lies between the last look that found it there and the first that did not."""
    if not running:
        return record._replace(queued_at=at)
    if record.queued_at is not None and record.left_queue_at is None:
        return record._replace(left_queue_at=(record.queued_at + at) / 2)
    return record


def _settle(record: Record, cost: int | None) -> Record:
    """The purchase is over: what was held becomes what it cost, the API's figure where it told one."""
    if cost is not None:
        return record._replace(held=0, cost=cost, cost_known=True)
    if record.cost is not None:
        return record
    return record._replace(held=0, cost=record.held, cost_known=False)


def _anew(record: Record) -> Record:
    """Back to PLANNED for a new purchase; what the last one came to, or may have, is sunk."""
    return record._replace(
        attempts=0,
        due_at=0.0,
        sunk=record.sunk + (record.held if record.cost is None else record.cost),
        held=0,
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
        looked_at=0.0,
        queued_at=None,
        left_queue_at=None,
        absent=0,
        spoils=0,
    )


# --- actions: imperatives -------------------------------------------------------------------------


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
    """Stop looking, for the reason given."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Sleep:
    """Nothing to do before ``until`` (epoch seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing more to do for this record by itself."""


Action = Reserve | Submit | Poll | Cancel | Download | GiveUp | Sleep | Rest


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a bought job is looked after.

    ``stuck_after``: seconds from the first look of this process until a job that has not ended becomes UNCOLLECTED.
    ``spoils``: how many broken downloads before its files count as not to be had.
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
            if _looked_too_long(record, patience):
                return GiveUp(_stuck(record, patience))
            if record.due_at > now:
                return Sleep(record.due_at)
            return Poll() if record.state is State.WAITING else Cancel()
        case State.FETCHED:
            if record.spoils >= patience.spoils or _looked_too_long(record, patience):
                return GiveUp(record.problem or _stuck(record, patience))
            if record.due_at > now:
                return Sleep(record.due_at)
            return Download() if record.outputs else Poll()
        case _:
            assert_never(record.state)


def _looked_too_long(record: Record, patience: Patience) -> bool:
    """Judged by the last *look*, not by the clock: a laptop that slept all night must look before it gives up."""
    return record.looked_at - record.watched_from >= patience.stuck_after > 0 and record.looked_at > 0


def _stuck(record: Record, patience: Patience) -> Problem:
    last = f"; the last look said: {record.problem.message}" if record.problem else ""
    return Problem(Kind.STUCK, f"not finished after {patience.stuck_after:.0f} seconds of looking{last}")


def recover(record: Record, now: float) -> Event | None:
    """What a new process must note about a record it finds: None where there is nothing to say.

    The process that wrote SUBMITTING died before it wrote an answer down, so the POST may have gone out.
    """
    if record.state is State.SUBMITTING:
        return Lost(now, Problem(Kind.LOST, "batchedit stopped between sending this job and hearing the answer"))
    if record.state is State.WAITING:
        return Resumed(now)
    return None


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the README."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLANNED}"]
    for source, moves in TRANSITIONS.items():
        by_target: dict[State, list[str]] = {}
        for event, target in moves.items():
            by_target.setdefault(target, []).append(event.__name__)
        lines += [f"    {source} --> {target}: {', '.join(names)}" for target, names in by_target.items()]
    return "\n".join(lines)
