"""The book: the port of everything that reads a run's ledger or writes to it, except the pool.

The pool's own port is ``ports.Ledger``. Each store implements both: SQLite and memory here, under the same two behavioural
suites (``tests/ledger``). All SQL is in this package.

Nothing here awaits: commands read and write from a thread, or before the pool runs. Every write is durable when its call
returns. A store that fails raises CheckpointError (74); content that no run can have written, CheckpointCorruptError.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..core.approved_purchases import Approval
from ..core.events import Event
from ..core.model import Counts, InvalidLine, JobKey, Money, Outcome, Record, ResultLine, State
from ..core.review import Conflict, DecisionEvent, GalleryRow, ImportedDecision, PictureDecision
from ..core.steps import ProgressCallback, no_progress
from ..ports import Ledger, StateOf
from .values import (
    Availability,
    GalleryPage,
    ImportReport,
    IntakeReport,
    IsShown,
    KnownJobs,
    LoggedEvent,
    RunSummary,
    SharedRequest,
    SignedJob,
    UnreadableJob,
)


class Facts(Protocol):
    """Facts about the run as a whole."""

    @property
    def model(self) -> str:
        """The model of all its jobs."""
        ...

    @property
    def id_of_run(self) -> str:
        """A text that identifies this run of its store, unique among all stores; "" for a run of a folder."""
        ...

    @property
    def cap(self) -> int | None:
        """The run's ``--max-cost`` in micro-dollars; None for no cap."""
        ...

    def set_cap(self, cap: int | None, at: float) -> bool:
        """``--max-cost`` in micro-dollars for all reservations from now on; None for no cap. False if it was that already.

        A change is an event of the run. ``at`` is epoch seconds.
        """
        ...

    def get(self, name: str) -> str | None:
        """A fact about the run as a whole: ``model``, ``service``, ``fingerprint``, ``settings``, … None if it is absent."""
        ...

    def put(self, name: str, value: str) -> None:
        """Write a fact."""
        ...

    def note(self, name: str, at: float, data: Mapping[str, Any]) -> None:
        """Write an event of the run as a whole. ``at`` is epoch seconds, ``data`` can be written as JSON."""
        ...

    def list_run_events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """``(at, name, fields)`` of every event of the run as a whole, the oldest first."""
        ...


class Sums(Protocol):
    """Sums over the run, without reading its jobs."""

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

    def count_to_buy(self) -> int:
        """The number of jobs that this run would buy: wanted, PLANNED, and not left to another run."""
        ...

    def summarise(self) -> RunSummary:
        """A summary: seconds a job, the commonest errors."""
        ...

    def has_failures(self) -> bool:
        """Is any row invalid, or any job FAILED or CANCELLED? Also where ``--limit`` leaves the job out."""
        ...


class Records(Protocol):
    """Jobs in their current state."""

    def record(self, job: int) -> Record | None:
        """The record of a job by its id; None if there is none."""
        ...

    def find_record_of_key(self, key: JobKey) -> Record | None:
        """The record of the job with this key; None if there is none."""
        ...

    def read_records(self, jobs: Iterable[int]) -> list[Record]:
        """The records of these ids, in their order; an unknown id is left out."""
        ...

    def read_records_in(self, states: Collection[State], *, wanted: bool = False) -> list[Record]:
        """All records in ``states`` by id; with ``wanted`` only those that a row asks for. For states with few jobs."""
        ...

    def read_all_records(self) -> Iterator[Record | UnreadableJob]:
        """All records by id, a page at a time; an unreadable one is yielded as ``UnreadableJob`` instead of raised."""
        ...

    def list_planned_ids(self) -> array[int]:
        """Ids of all jobs to buy (see ``to_buy``), in order: 8 bytes each, because it may be a million."""
        ...

    def list_planned_keys(self) -> list[tuple[int, JobKey]]:
        """``(id, key)`` of all wanted PLANNED jobs by id, also of those that are left to another run."""
        ...

    def read_keys(self, availability: Availability) -> Iterator[tuple[JobKey, int]]:
        """``(key, id)`` of the committed jobs that the run has with this ``availability``."""
        ...

    def list_job_names(self) -> Iterator[str]:
        """The name of every job; a new job needs another one."""
        ...

    def read_name_hashes(self, jobs: Iterable[int]) -> dict[int, int]:
        """For each job id the hash of its name, which a row, size and variant keeps through its versions. An unknown id is
        left out.
        """
        ...

    def find_predecessors(self, versions: Mapping[int, int]) -> dict[int, tuple[JobKey, str]]:
        """For each hash of a name ``(key, inputs)`` of its newest job below the given version. Hashes without one are left
        out.
        """
        ...

    def is_wanted(self, job: int) -> bool:
        """Does a row ask for the job of this id? False if there is none."""
        ...

    def has_file(self, path: str, but_job: int) -> bool:
        """Does the record of another job than ``but_job`` name this file? Reads all records: for a file name that is
        taken.
        """
        ...

    def find_owner(self, request_id: str) -> str | None:
        """The name of the job that this request was ever accepted for, also before a later purchase of it; None for none."""
        ...

    def find_job_of_request(self, request_id: str) -> int | None:
        """The id of the job that ``find_owner`` names."""
        ...


class Lines(Protocol):
    """What the manifest's rows ask for."""

    def read_outcomes(self, first_row: int = 0) -> Iterator[Outcome]:
        """Every line of the results from that row on, in the manifest's order, streamed."""
        ...

    def read_gallery_rows(self, on_progress: ProgressCallback = no_progress) -> list[GalleryRow]:
        """Every line in the manifest's order. The job it asks for comes first, then other versions, the newest first.
        ``on_progress`` is called with how many lines are read.
        """
        ...

    def read_gallery_page(self, first: int, count: int, is_shown: IsShown) -> GalleryPage:
        """At most ``count`` of these rows, from line number ``first`` on: those for whose job id (None: an invalid row) and
        state ``is_shown`` is true.
        """
        ...

    def find_line_of_row(self, row: int) -> int:
        """The number of the first line of row index ``row`` or of the next that has one; 0 past the end."""
        ...

    def find_rows(self, jobs: Iterable[int]) -> dict[int, list[tuple[int, str]]]:
        """For each job id the ``(row number, id cell)`` of the lines that want it."""
        ...

    def read_lost_replies(self) -> dict[bytes, str]:
        """By the key of each job in doubt, the reply to its POST; jobs without a reply are left out."""
        ...

    def read_flags(self) -> dict[int, str]:
        """The flags of the automatic checks when the last gallery was made, by job id."""
        ...

    def keep_flags(self, flags: Mapping[int, str]) -> bool:
        """Replace all flags; False if they were the same already. The results are out of date afterwards."""
        ...

    def change_token(self) -> str:
        """A text that changes whenever a line of the results may have changed."""
        ...


class Log(Protocol):
    """Every event of every job."""

    def read_log(self) -> Iterator[LoggedEvent]:
        """All events, the oldest first, streamed."""
        ...

    def find_last_event_time(self) -> float:
        """The time of the latest event of a job, in epoch seconds; 0 without any."""
        ...

    def has_moved_since(self, seq: int) -> bool:
        """Is there an event other than ``Reused`` after event ``seq``?"""
        ...

    def has_bought(self) -> bool:
        """Was anything bought, or may it have been? A POST that was refused has bought nothing."""
        ...

    def list_shared_requests(self) -> list[SharedRequest]:
        """Jobs that have one request_id: none, unless the record was tampered with or an old edition wrote it."""
        ...

    def list_doubled_jobs(self) -> list[int]:
        """The first id of each key that several jobs have: none, unless the record was tampered with."""
        ...


class Changes(Protocol):
    """Changes of jobs by commands, one commit a call."""

    def save_now(self, record: Record, event: Event, *, bought: bool = False) -> Record:
        """``ports.Ledger.save`` for a command that has no event loop; the same errors.

        ``bought``: the event records a purchase that has happened, so the cap is not checked.
        """
        ...

    def save_all(self, changes: Sequence[tuple[Record, Event]]) -> None:
        """``save_now`` for several: all of them, or none and the first error is raised."""
        ...

    def allow(self, jobs: Iterable[int], *, price: int, times: int) -> Approval:
        """The approval of a person to buy ``jobs``, each ``times``, at ``price`` micro-dollars: what the pool may buy."""
        ...

    def leave_jobs(self, left: Iterable[tuple[int, str, str]]) -> None:
        """Replace the list of jobs that other runs have: ``(job, folder, state there)``."""
        ...

    def count_left_to_others(self) -> Counter[tuple[str, str]]:
        """The number of jobs left to each run in each state, as of the last check: by ``(folder, state)``."""
        ...

    def list_quarantined(self) -> dict[int, float]:
        """Jobs in doubt whose POST may still be on its way, because their process sent no beat any more, and the seconds
        until it can't be. Until then they are not bought again. Only where several processes work on one run.
        """
        ...

    def find_rejected(self) -> list[Record]:
        """Jobs that were rejected, stand on a line, and have not been bought again."""
        ...

    def list_planned_repurchases(self) -> list[int]:
        """Ids of the jobs that replace rejected ones and are not bought yet."""
        ...

    def list_planned_retries(self) -> list[Record]:
        """Jobs that a person asked to retry and that are not bought yet."""
        ...

    def add_repurchases(self, pairs: Iterable[tuple[Record, ResultLine]]) -> list[int]:
        """Add a planned job for each pair (rejected, its new line), all or none. Returns the new ids.

        The lines of the rejected job ask for the new one afterwards; it alone is wanted.
        """
        ...


class Intake(Protocol):
    """An intake in progress: ``add``, then ``commit`` or ``abandon``. Nothing counts before ``commit``."""

    known: KnownJobs
    """The jobs that there were before, and those that were added."""

    def add(self, lines: Iterable[ResultLine | InvalidLine]) -> None:
        """Write ``lines`` as they come. A job whose key is known is wanted again; any other is a new one, PLANNED."""
        ...

    def commit(self, fingerprint: str, facts: Mapping[str, str] | None = None) -> IntakeReport:
        """Make it the run's manifest, all at once. ``fingerprint`` is kept to recognise an unchanged manifest next
        time, and ``facts`` about the intake with it, by name.
        """
        ...

    def abandon(self) -> None:
        """Forget everything added since the intake began."""
        ...


class Intakes(Protocol):
    """Intake of a manifest, and the lookups that it needs."""

    def begin_intake(self, *, limit: int | None = None) -> Intake:
        """Delete what an intake that died left, and prepare for new lines. ``limit``: how many jobs are wanted, None: all."""
        ...

    def read_known_jobs(self, aliases: Iterable[tuple[bytes, int]] | None = None) -> KnownJobs:
        """Keys and slots of every committed job: some 60 bytes a job in memory.

        A key whose job was rejected and bought again stands for the newest job that replaces it. ``aliases`` are further keys
        and the jobs that they stand for; by default those that are stored.
        """
        ...

    def state_of(self, known: KnownJobs) -> StateOf:
        """A function from key to the state of its job, as of now: what an intake adds to ``known`` later is no job yet."""
        ...

    def read_aliases(self) -> dict[JobKey, int]:
        """Further keys of jobs besides their own, as stored last."""
        ...

    def keep_aliases(self, aliases: Mapping[JobKey, int], facts: Mapping[str, str]) -> None:
        """Replace the aliases, and write ``facts`` with them, in one commit."""
        ...

    def list_signed_jobs(self) -> list[SignedJob]:
        """Committed jobs with a link that has a query. The best of several with one key comes last: a finished one, then
        the newest.
        """
        ...


class Decisions(Protocol):
    """People's decisions about pictures: the current mark of each job, and every change of one."""

    def all(self) -> dict[int, PictureDecision]:
        """The current mark of each job, by job id; revoked ones too, with their serial."""
        ...

    def last_seq(self) -> int:
        """The number of the latest change, 0 before the first."""
        ...

    def since(self, seq: int) -> tuple[int, list[PictureDecision]]:
        """``(the latest change's number, the marks that changed after change seq)``, each as it is now, and once."""
        ...

    def events(self) -> Iterator[DecisionEvent]:
        """Every change, the oldest first: also one that was revoked later."""
        ...

    def put(self, decision: PictureDecision, via: str = "review") -> PictureDecision | Conflict:
        """Write ``decision``, whose serial is the one that its author read. Returns it with its new serial; a Conflict with
        the current mark, and nothing is written, where it was changed since. ``via``: ``review`` or ``import``.
        """
        ...

    def take_in(self, decisions: Iterable[tuple[int, ImportedDecision]], who: str) -> ImportReport:
        """Write decisions made elsewhere, all or none. One that is older than the current mark is left out."""
        ...


class Book(Facts, Sums, Records, Lines, Log, Changes, Intakes, Protocol):
    """One run's ledger, for everything but the pool."""

    @property
    def decisions(self) -> Decisions:
        """People's decisions about its pictures."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """A block whose reads see one state, whatever another process writes meanwhile. Nothing is written inside."""
        ...

    def refresh(self) -> None:
        """Bring this process up to date with what others have written. Does nothing where every read does so."""
        ...

    def close(self) -> None:
        """Release the file or connection. Safe to call twice."""
        ...


class Checkpoint(Book, Ledger, Protocol):
    """One run's ledger with both its ports: commands open it, and pass it to the pool as a ``ports.Ledger``."""
