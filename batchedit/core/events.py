"""What happens to a job: the events of its life, as past participles. ``core/lifecycle.py`` says where each of them leads.

Every event carries ``at``, seconds since the epoch; money is in micro-dollars. ``durable`` says whether the event is
written to the log: ``Pending`` and ``Missed`` change nothing that a new process needs to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .model import Handle, Output, Problem, SavedFile


@dataclass(frozen=True, slots=True)
class Reserved:
    """Money put aside and the intention to submit written down. ``price`` in micro-dollars, 0 if unknown."""

    durable: ClassVar[bool] = True
    at: float
    price: int = 0


@dataclass(frozen=True, slots=True)
class Reused:
    """Bought earlier, in another run of this person: its files are whole and under their names here. It costs nothing.

    ``run`` is that run's folder, ``handle`` the request that the picture was bought with.
    """

    durable: ClassVar[bool] = True
    at: float
    handle: Handle
    files: tuple[SavedFile, ...]
    run: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service took the job (or a person pasted its id): it is bought."""

    durable: ClassVar[bool] = True
    at: float
    handle: Handle
    by: str = "service"


@dataclass(frozen=True, slots=True)
class Declined:
    """Surely not taken. ``due_at`` is when to try again. It uses up nothing: such an answer is about the run, not the job.

    ``counts`` stands in the logs of the first edition alone, which counted attempts after a 500001.
    Out of IN_DOUBT by the job's own sender only: nobody else can know that the POST never left.
    """

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
    """The POST went out, or may have, and no answer that decides was seen.

    ``reply`` is what came all the same: the first 4 KiB of head and body, without the token; ``""`` for nothing.
    """

    durable: ClassVar[bool] = True
    at: float
    problem: Problem
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """A person (or ``--on-doubt buy-again``) decided to buy a job again that is in doubt or uncollected.

    A new purchase, priced as one. The first money counts as spent.
    """

    durable: ClassVar[bool] = True
    at: float
    by: str


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """A person gave up a job that is in doubt or uncollected. Its money counts as spent.

    The record keeps the mark Kind.WRITTEN_OFF, so that no later command takes it for a failure to be bought anew.
    """

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
    problem: Problem | None = None


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
    """The service does not know the request, asked several times over some time. It may know it again later."""

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
    """The service says that the job is cancelled. ``cost`` in micro-dollars where it told one.

    Without a cost it is free only where we asked for it (CANCELLING): only a queued job can be cancelled [page]. One that
    somebody else cancelled counts at what was reserved for it, until a cost is told.
    """

    durable: ClassVar[bool] = True
    at: float
    cost: int | None = None


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


@dataclass(frozen=True, slots=True)
class Reopened:
    """A failure that was none: the first edition took a request that is not known for the end of its job.

    Written by the migration of its checkpoints. The money stays where that edition put it.
    """

    durable: ClassVar[bool] = True
    at: float


Event = (
    Reserved
    | Reused
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
    | Reopened
)
