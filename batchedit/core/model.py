"""The values that the modules exchange. All are immutable.

Money is integer micro-dollars (1 USD = 1,000,000) throughout; times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, NewType

JobKey = NewType("JobKey", bytes)
"""16 bytes: what a job is, whatever row it stands on (see ``jobs/identity.py``)."""


class State(StrEnum):
    """The state of a job. The comments say what is true on disk."""

    PLANNED = "planned"  # known; nothing sent
    SUBMITTING = "submitting"  # money reserved, intention written
    IN_DOUBT = "in_doubt"  # may have been bought; its money stays reserved
    WAITING = "waiting"  # request_id and URLs on disk
    CANCELLING = "cancelling"  # cancel wanted
    FETCHED = "fetched"  # result and links on disk
    UNCOLLECTED = "uncollected"  # bought, and we stopped polling
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """Why something went wrong: the values of ``result_error_kind``."""

    INVALID = "invalid"  # the row fails the model's schema; never sent
    REFUSED = "refused"  # the service says that the input is wrong (422, 400)
    MODERATED = "moderated"  # the service refuses the content
    FAILED = "failed"  # the job ran and ended in an error
    THROTTLED = "throttled"  # 429, or 503 with Retry-After: surely not taken
    UNREACHABLE = "unreachable"  # never left this machine: DNS, refused, connect or pool timeout
    PROXY = "proxy"  # the proxy refuses to connect to the service: never left this machine, and waiting does not help
    SERVICE = "service"  # the API's own error 500001 on a GET; after a POST it is LOST
    AUTH = "auth"  # 401, 403, 400004: the run stops, no row is failed
    BALANCE = "balance"  # 402, 400002: the same
    LOST = "lost"  # a paid POST whose answer was never seen
    NOT_FOUND = "not_found"  # 404 for a request that exists or existed
    UNREADABLE = "unreadable"  # an answer to a GET that can't be parsed
    SHAPE = "shape"  # 422 on the image's shape: the other one is tried
    STUCK = "stuck"  # never ended within --stuck-after
    DOWNLOAD = "download"  # the link or the file is broken
    INPUT_FILE = "input_file"  # a local picture is missing or can't be read
    CANCELLED = "cancelled"
    WRITTEN_OFF = "written_off"  # a person gave it up; never bought again unless its row is named
    INTERNAL = "internal"  # a defect of ours that this one job met


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in words for the person who reads the results.

    ``http`` is the status code and ``code`` the API's own, where there was one.
    """

    kind: Kind
    message: str
    http: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Handle:
    """A bought job's id and URLs at the service: all that is needed to collect it from another process."""

    request_id: str
    status_url: str = ""
    result_url: str = ""
    cancel_url: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """A link to one finished file. ``kind`` is ``image`` or ``video``."""

    url: str
    kind: str = "image"


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A verified file. ``path`` is relative to the run's folder; ``width`` and ``height`` in pixels, 0 if unknown."""

    path: str
    sha256: str
    bytes: int
    width: int = 0
    height: int = 0
    url: str = ""


class Job(NamedTuple):
    """What to buy. ``inputs`` is the canonical JSON text of the model's inputs, pictures always as a list.

    ``name`` is the file's path below ``files/`` without its ending; ``revision`` counts deliberate repurchases of equal
    inputs (``redo``); ``version`` counts what this row, size and variant has had before.
    """

    key: JobKey
    model: str
    inputs: str
    name: str
    size: str = ""
    variant: int = 1
    revision: int = 0
    version: int = 1


class Record(NamedTuple):
    """A job and everything known of it: one row of the checkpoint.

    ``serial`` is the compare-and-set counter. Money: ``reserved`` is put aside for the purchase under way, ``cost`` what it
    came to (None until it settles; ``cost_known`` tells an amount the API reported from our estimate), ``earlier_spent`` what
    earlier purchases of this job came to or may have.
    """

    id: int
    job: Job
    state: State = State.PLANNED
    serial: int = 0
    attempts: int = 0
    due_at: float = 0.0
    reserved: int = 0
    cost: int | None = None
    cost_known: bool = False
    earlier_spent: int = 0
    handle: Handle | None = None
    outputs: tuple[Output, ...] = ()
    files: tuple[SavedFile, ...] = ()
    problem: Problem | None = None
    submitted_at: float | None = None
    accepted_at: float | None = None
    finished_at: float | None = None
    # Not kept on disk: reset when a new process starts.
    watched_from: float = 0.0
    polled_at: float = 0.0
    queued_at: float | None = None
    left_queue_at: float | None = None
    absent: int = 0
    spoils: int = 0

    @property
    def written_off(self) -> bool:
        """Did a person give it up? In a run of the first edition such a job keeps the problem of its doubt."""
        given_up = self.problem is not None and self.problem.kind in {Kind.WRITTEN_OFF, Kind.LOST}
        return self.state is State.FAILED and given_up

    @property
    def reused(self) -> bool:
        """Was its picture bought in another run? Such a job was never accepted here."""
        return self.state is State.DONE and self.accepted_at is None

    @property
    def running_since(self) -> float | None:
        """When the service began to work on it: when it left the queue, if a poll showed that, else when it was accepted."""
        return self.left_queue_at if self.left_queue_at is not None else self.accepted_at

    @property
    def spent(self) -> int:
        """Micro-dollars: earlier purchases and this one, once it has settled."""
        return self.earlier_spent + (self.cost or 0)


@dataclass(frozen=True, slots=True)
class Money:
    """The money of a run in micro-dollars.

    ``reserved`` is put aside for the ``in_flight`` jobs under way and the ``doubts`` in doubt (``in_doubt`` is their part);
    ``cancellable`` is the part of it whose jobs may still be in the service's queue; ``uncollected`` counts jobs that we
    stopped polling while their money is reserved. ``cap`` is ``--max-cost``, ``top_price`` the highest cost that the API
    reported for a job, ``settled`` whether any cost is known, or the service was asked often enough and reports none. Of
    ``spent``, ``guessed`` is our estimate for ``guesses`` jobs that are over and whose cost was not reported;
    ``awaits_cost`` while nothing is settled and the service may still report one of these.
    """

    spent: int = 0
    reserved: int = 0
    in_doubt: int = 0
    cancellable: int = 0
    in_flight: int = 0
    doubts: int = 0
    uncollected: int = 0
    guesses: int = 0
    guessed: int = 0
    settled: bool = False
    awaits_cost: bool = False
    cap: int | None = None
    top_price: int = 0


@dataclass(frozen=True, slots=True)
class CellProblem:
    """One thing wrong with one cell. ``column`` is the user's own column name, empty if the row as a whole is wrong."""

    column: str
    value: Any
    reason: str


class ResultLine(NamedTuple):
    """One line of the results: a row, or one of its sizes and variants, that wants a job."""

    row: int
    id: str
    job: Job
    name_hash: int  # signed 64-bit digest of the name without its version: what an edit keeps
    duplicate: bool = False  # an earlier line of this manifest wants the same job
    over: str = ""  # the columns that --for added to this line: a JSON object text, "" for none
    moves: bool = False  # its inputs hold something outside its identity: a local path, a link's signature
    pictures: int = 0  # how many pictures of the sheet are inputs of it


LEFT_OUT = "left out"
"""In place of a problem's column: the row asks for no picture (a variant, a gift card, a sum), and has no fault."""


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A row that can't become a job, with every reason at once."""

    row: int
    id: str
    problems: tuple[CellProblem, ...]

    @property
    def left_out(self) -> str:
        """What the row is, where it asks for no picture; ``""`` for a row that has a fault."""
        first = self.problems[0] if self.problems else None
        return first.reason if first is not None and first.column == LEFT_OUT else ""


class Outcome(NamedTuple):
    """One line of the results as the checkpoint keeps it: a row, size and variant, and the state of its job.

    ``state`` is a State's value or ``"invalid"``. ``files`` is a JSON text: a list of
    ``[path, sha256, bytes, width, height, url]``, ``""`` if there are none; ``url`` is the link of an output that is no
    file yet. ``cost`` is micro-dollars over all purchases of the job, None before anything was bought. ``problems`` is, for
    an invalid row, a JSON text: a list of ``[column, value, reason]``. ``flags`` are the results of the automatic checks of
    the picture, separated by blanks. ``reused_from`` is the folder of the run that the picture was bought in, where that is
    another one. ``decision`` and ``note`` are what a person said about the picture in the review, ``""`` for none.
    """

    row: int
    id: str
    state: str
    size: str = ""
    variant: int = 1
    version: int = 1
    kind: str = ""
    problem: str = ""
    files: str = ""
    url: str = ""
    request_id: str = ""
    cost: int | None = None
    submitted_at: float | None = None
    finished_at: float | None = None
    key: bytes = b""
    problems: str = ""
    over: str = ""
    flags: str = ""
    reused_from: str = ""
    decision: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs by state, as the current manifest wants them."""

    by_state: dict[State, int] = field(default_factory=dict)

    def of(self, *states: State) -> int:
        """How many jobs are in any of ``states``."""
        return sum(self.by_state.get(state, 0) for state in states)
