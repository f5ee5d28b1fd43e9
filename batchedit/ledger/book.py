"""The book: the port of everything that reads a run's record or takes something into it, but for the pool.

The pool's own port is ``ports.Ledger``. A store answers both: SQLite and memory here, each under the same two behavioural
suites (``tests/ledger``). No statement of a database stands outside this room.

Nothing here awaits: commands read and take in from a thread, or before the pool runs. Every write is durable when its call
returns. What a store can't do is a CheckpointError (74), what it holds and nobody can have written a CheckpointCorruptError.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..core.approval import Approval
from ..core.events import Event
from ..core.model import Counts, InvalidLine, JobKey, Money, Outcome, Record, ResultLine, State
from ..core.review import Card, Conflict, ImportedDecision, PictureDecision, DecisionEvent
from ..core.steps import ProgressCallback, no_progress
from ..ports import Ledger, StateOf
from .values import (
    CardPage,
    Having,
    IntakeReport,
    KnownJobs,
    LoggedEvent,
    RunSummary,
    SharedRequest,
    Showing,
    SignedJob,
    TakenIn,
    Unreadable,
)


class Facts(Protocol):
    """What is known of the run as a whole."""

    @property
    def model(self) -> str:
        """The model that all its jobs are of."""
        ...

    @property
    def id_of_run(self) -> str:
        """Which run of which store this is, in words that no other has; "" for a run of a folder."""
        ...

    @property
    def cap(self) -> int | None:
        """The run's ``--max-cost`` in micro-dollars; None for no cap."""
        ...

    def set_cap(self, cap: int | None, at: float) -> bool:
        """``--max-cost`` in micro-dollars for all reservations from now on; None for no cap. False if it stood so already.

        A change is an event of the run. ``at`` is epoch seconds.
        """
        ...

    def get(self, name: str) -> str | None:
        """A fact about the run as a whole: ``model``, ``service``, ``fingerprint``, ``settings``, … None if nobody put it."""
        ...

    def put(self, name: str, value: str) -> None:
        """Write such a fact."""
        ...

    def note(self, name: str, at: float, told: Mapping[str, Any]) -> None:
        """Write an event of the run as a whole. ``at`` is epoch seconds, ``told`` what JSON can hold."""
        ...

    def run_events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """``(at, name, fields)`` of every event of the run as a whole, from the first to the last."""
        ...


class Sums(Protocol):
    """How the run stands, without reading its jobs."""

    believes_estimate: bool
    """See ``ports.Ledger``."""
    earlier_cost: int
    """See ``ports.Ledger``."""

    @property
    def top_price(self) -> int:
        """Micro-dollars: the dearest job that the service has named a cost for; 0 before it has."""
        ...

    def counts(self) -> Counts:
        """Wanted jobs by state."""
        ...

    def money(self) -> Money:
        """The sums of money over all jobs, wanted or not."""
        ...

    def to_buy(self) -> int:
        """How many jobs this run would buy: wanted, PLANNED, and not left to another run."""
        ...

    def digest(self) -> RunSummary:
        """What the run came to: seconds a job, the commonest errors."""
        ...

    def anything_failed(self) -> bool:
        """Is any row invalid, or any job FAILED or CANCELLED? Also where ``--limit`` leaves the job out."""
        ...


class Records(Protocol):
    """Jobs as they stand."""

    def record(self, job: int) -> Record | None:
        """The record of a job by its id; None if there is none."""
        ...

    def record_of_key(self, key: JobKey) -> Record | None:
        """The record of the job of this very key; None if there is none."""
        ...

    def records_of(self, jobs: Iterable[int]) -> list[Record]:
        """The records of these ids, in their order; an id that nobody has is left out."""
        ...

    def records_in(self, states: Collection[State], *, wanted: bool = False) -> list[Record]:
        """All records in ``states`` by id; with ``wanted`` only those that a row asks for. For states that few are in."""
        ...

    def every_record(self) -> Iterator[Record | Unreadable]:
        """All records by id, a page at a time; what makes no sense is told instead of raised."""
        ...

    def planned_ids(self) -> array[int]:
        """Ids of all jobs to buy (see ``to_buy``), in order: 8 bytes each, for it may be a million."""
        ...

    def planned_keys(self) -> list[tuple[int, JobKey]]:
        """``(id, key)`` of all wanted PLANNED jobs by id, also of those that are left to another run."""
        ...

    def keys(self, having: Having) -> Iterator[tuple[JobKey, int]]:
        """``(key, id)`` of the committed jobs that the run has so much of."""
        ...

    def job_names(self) -> Iterator[str]:
        """The name of every job: what a new one may not be called."""
        ...

    def slots_of(self, jobs: Iterable[int]) -> dict[int, int]:
        """For each job id its slot, which a row, size and variant keeps through its versions. An id that nobody has is left
        out.
        """
        ...

    def predecessors(self, versions: Mapping[int, int]) -> dict[int, tuple[JobKey, str]]:
        """For each slot ``(key, inputs)`` of its newest job below the given version; slots without one are left out."""
        ...

    def is_wanted(self, job: int) -> bool:
        """Does a row ask for the job of this id? False if there is none."""
        ...

    def has_file(self, path: str, but_job: int) -> bool:
        """Does the record of another job than ``but_job`` name this file? Reads them all: asked where one is in the way."""
        ...

    def owner(self, request_id: str) -> str | None:
        """The name of the job that this request was ever accepted for, also before it was bought anew; None for none."""
        ...

    def job_of_request(self, request_id: str) -> int | None:
        """The id of that job."""
        ...


class Lines(Protocol):
    """What the manifest's rows ask for."""

    def outcomes(self, first_row: int = 0) -> Iterator[Outcome]:
        """Every line of the results from that row on, in the manifest's order, streamed."""
        ...

    def cards(self, told: ProgressCallback = no_progress) -> list[Card]:
        """Every line in the manifest's order. The job it asks for comes first, then other versions, the newest first.
        ``told`` hears how far the reading is.
        """
        ...

    def card_page(self, first: int, count: int, showing: Showing) -> CardPage:
        """At most ``count`` of these cards, from line number ``first`` on: those for whose job id (None: an invalid row) and
        state ``showing`` is true.
        """
        ...

    def line_of_row(self, row: int) -> int:
        """The number of the first line of row index ``row`` or of the next that has one; 0 past the end."""
        ...

    def rows_of(self, jobs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
        """For each job id the ``(row number, id cell)`` of the lines that want it."""
        ...

    def lost_replies(self) -> dict[bytes, str]:
        """By the key of each job in doubt, what came in answer to its POST; those that got nothing are left out."""
        ...

    def flags(self) -> dict[int, str]:
        """What a machine found odd about pictures when the last gallery was made, by job id."""
        ...

    def keep_flags(self, flags: Mapping[int, str]) -> bool:
        """Replace all flags; False if they stood so already. The results are out of date afterwards."""
        ...

    def change_token(self) -> str:
        """A text that changes whenever a line of the results may have changed."""
        ...


class Log(Protocol):
    """Every event of a job that ever happened."""

    def log(self) -> Iterator[LoggedEvent]:
        """From the first to the last, streamed."""
        ...

    def last_event_at(self) -> float:
        """When something last happened to a job, in epoch seconds; 0 if nothing ever did."""
        ...

    def moved_since(self, seq: int) -> bool:
        """Did anything but ``Reused`` happen to a job after event ``seq``?"""
        ...

    def has_bought(self) -> bool:
        """Was anything bought, or may it have been? A POST that was refused has bought nothing."""
        ...

    def shared_requests(self) -> list[SharedRequest]:
        """Jobs that have one request_id: none, unless the record was tampered with or an old edition wrote it."""
        ...

    def doubled_jobs(self) -> list[int]:
        """The first id of each key that several jobs have: none, unless the record was tampered with."""
        ...


class Changes(Protocol):
    """What a command does to a job, one commit a call."""

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record:
        """``ports.Ledger.save`` for a command that has no event loop; the same errors.

        ``bought``: the event tells of a purchase that has happened, so the cap has no say in it.
        """
        ...

    def save_all(self, changes: Sequence[tuple[Record, Event]]) -> None:
        """``save_now`` for several: all of them, or none and the first error is raised."""
        ...

    def allow(self, jobs: Iterable[int], *, price: int, times: int) -> Approval:
        """A person said yes to buying ``jobs``, each ``times``, at ``price`` micro-dollars: what the pool may buy by that."""
        ...

    def leave(self, left: Iterable[tuple[int, str, str]]) -> None:
        """``(job, folder, state there)``: the jobs that other runs have, and no others from now on."""
        ...

    def left_to_others(self) -> Counter[tuple[str, str]]:
        """How many jobs were left to which run, and how they stood there, when this run last looked: ``(folder, state)``."""
        ...

    def quarantined(self) -> dict[int, float]:
        """Jobs in doubt whose POST may still be on its way, as their process was not heard of any more, and the seconds
        until it can't be. Until then they are not bought again. Only where several processes work on one run.
        """
        ...

    def rejected(self) -> list[Record]:
        """Jobs that were rejected, stand on a line, and have not been bought again."""
        ...

    def redone_and_planned(self) -> list[int]:
        """Ids of the jobs that were asked for in the place of rejected ones and are not bought yet."""
        ...

    def retried_and_planned(self) -> list[Record]:
        """Jobs that a person wanted bought anew and that are not bought yet."""
        ...

    def add_repurchases(self, again: Iterable[tuple[Record, ResultLine]]) -> list[int]:
        """Add a planned job for each pair (rejected, its new line), all or none. Returns the new ids.

        The lines of the rejected job ask for the new one afterwards; it alone is wanted.
        """
        ...


class Intake(Protocol):
    """Lines on their way in: ``add``, then ``commit`` or ``abandon``. Nothing of it counts before ``commit``."""

    known: KnownJobs
    """What there was before, and what was added."""

    def add(self, lines: Iterable[ResultLine | InvalidLine]) -> None:
        """Write ``lines`` as they come. A job whose key is known is wanted again; any other is a new one, PLANNED."""
        ...

    def commit(self, fingerprint: str, about: Mapping[str, str] | None = None) -> IntakeReport:
        """Make it the run's manifest, all at once. ``fingerprint`` is kept to tell an unchanged manifest next time, and
        ``about`` with it: what is to be known of the intake, by name.
        """
        ...

    def abandon(self) -> None:
        """Forget everything added since the intake began."""
        ...


class Intakes(Protocol):
    """Taking a manifest in, and what has to be known for that."""

    def begin_intake(self, *, limit: int | None = None) -> Intake:
        """Sweep away what a dead intake left, and make room for new lines. ``limit``: how many jobs are wanted, None: all."""
        ...

    def known_jobs(self, aliases: Iterable[tuple[bytes, int]] | None = None) -> KnownJobs:
        """Keys and slots of every committed job: some 60 bytes a job in memory.

        A key whose job was rejected and bought again stands for the newest job in its place. ``aliases`` are further keys
        and the jobs that they stand for; those that are kept, unless given.
        """
        ...

    def state_of(self, known: KnownJobs) -> StateOf:
        """The state of the job that a key stands for, as of now: what an intake adds to ``known`` later is no job yet."""
        ...

    def aliases(self) -> dict[JobKey, int]:
        """The keys under which jobs are wanted besides their own, as they were kept last."""
        ...

    def keep_aliases(self, aliases: Mapping[JobKey, int], facts: Mapping[str, str]) -> None:
        """Replace them, and put ``facts`` with them, in one commit."""
        ...

    def signed_jobs(self) -> list[SignedJob]:
        """Committed jobs with a link that has a query. The best of several with one key comes last: a finished one, then
        the newest.
        """
        ...


class Decisions(Protocol):
    """What people said about pictures: each mark as it stands, and every change of one."""

    def all(self) -> dict[int, PictureDecision]:
        """Every mark that stands, by job id; taken back ones with their serial too."""
        ...

    def last_seq(self) -> int:
        """The number of the latest change, 0 before the first."""
        ...

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """``(the latest change's number, the marks that changed after change seq)``, each as it stands now and once."""
        ...

    def events(self) -> Iterator[DecisionEvent]:
        """Every change, from the first to the last: also one that a later one took back."""
        ...

    def put(self, wanted: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """Write ``wanted``, whose serial is the one that its maker saw. Returns it with its new serial; a Conflict with the
        mark that stands, and nothing is written, where somebody changed it since. ``via``: ``review`` or ``import``.
        """
        ...

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> TakenIn:
        """Marks made elsewhere, all or none. One that is older than what stands is left out."""
        ...


class Book(Facts, Sums, Records, Lines, Log, Changes, Intakes, Protocol):
    """One run's record, for everything but the pool."""

    @property
    def decisions(self) -> Decisions:
        """What people said about its pictures."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Reads inside see one moment, whatever another process writes meanwhile. Nothing is written inside."""
        ...

    def refresh(self) -> None:
        """Read inside this process what others have written since. Nothing where every read does so."""
        ...

    def close(self) -> None:
        """Let it go. Safe to call twice."""
        ...


class Checkpoint(Book, Ledger, Protocol):
    """One run's record with both its ports: what a command opens, and gives the pool its part of."""
