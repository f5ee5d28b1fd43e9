"""The events of a job, as past participles. ``core/lifecycle.py`` says which state each of them leads to.

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
    """Bought earlier, in another run of the same person: its files are complete and copied here. It costs nothing.

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
    """Surely not taken. ``due_at`` is when to try again. It is no attempt: such an answer is about the run, not the job.

    ``counts`` is in the logs of the first edition alone, which counted attempts after a 500001.
    Out of IN_DOUBT by the job's own sender only: no other process can know that the POST never left.
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

    ``reply`` is the undecided answer: the first 4 KiB of head and body, without the token; ``""`` for none.
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

    The record's problem is of Kind.WRITTEN_OFF, so that no later command takes it for a failure to be bought again.
    """

    durable: ClassVar[bool] = True
    at: float
    by: str


@dataclass(frozen=True, slots=True)
class Pending:
    """Polled, not finished. ``running`` once the job has left the service's queue."""

    durable: ClassVar[bool] = False
    at: float
    due_at: float
    running: bool = False
    word: str = ""
    queue_position: int | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A poll without a result: an error or no answer. ``absent`` for a 404, which may pass."""

    durable: ClassVar[bool] = False
    at: float
    due_at: float
    problem: Problem
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Completed:
    """Finished, with the links. ``cost`` in micro-dollars where the API reported it."""

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
    """The service did not know the request in several polls over some time. It may know it again later."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class GivenUp:
    """We stop polling. The job stays bought, and the next ``run`` or ``fetch`` polls it again."""

    durable: ClassVar[bool] = True
    at: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class Resumed:
    """Polled again: by a new process, or by ``run`` and ``fetch`` on what was uncollected."""

    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True)
class CancelAsked:
    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True)
class CancelConfirmed:
    """The service says that the job is cancelled. ``cost`` in micro-dollars where it reported one.

    Without a cost it is free only where we asked for it (CANCELLING): only a queued job can be cancelled [page]. One that
    was cancelled elsewhere counts at what was reserved for it, until a cost is reported.
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
    """Every file is complete, verified and under its final name."""

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
    """The service reported the cost after the result. Micro-dollars."""

    durable: ClassVar[bool] = True
    at: float
    cost: int


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """A person asks for a failed or cancelled job to be bought again: a new purchase, priced as one."""

    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True)
class Reopened:
    """A failure that was none: the first edition treated a request that the service does not know as the end of its job.

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
