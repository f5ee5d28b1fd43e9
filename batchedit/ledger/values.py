"""Parameters and results of the ledger's ports, besides the values of ``core``: the same for every store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import orjson

from ..core.digests import DigestMap
from ..core.events import Event
from ..core.model import JobKey
from ..core.review import GalleryRow
from .event_log import read_event
from .latest_versions import LatestVersions

CAP_SET = "CapSet"
"""The event of a run whose ``--max-cost`` was changed: the caps before and after, in micro-dollars or None."""


STAGED = "staged"
"""The name, without its ending, of a manifest in the run's folder until its jobs are taken in."""


IsShown = Callable[[int | None, str], bool]
"""Whether a line is shown, by its job's id and state; None and ``""`` for an invalid row."""


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """Some rows of the gallery, and the number of the line that the next page begins with; None at the end."""

    gallery_rows: tuple[GalleryRow, ...]
    following: int | None


@dataclass(frozen=True, slots=True)
class KnownJobs:
    """The jobs that the ledger already has: ids by key, and the highest version by slot.

    An intake adds its own to ``ids``, which are greater than ``last``.
    """

    ids: DigestMap
    versions: LatestVersions
    last: int

    def find(self, key: JobKey) -> int | None:
        """The id, at most ``last``, of the job of this key; None if there was none before the intake."""
        job = self.ids.get(key)
        return job if job is None or job <= self.last else None

    def version(self, slot: int) -> int:
        """The highest version so far of this row, size and variant; 0 if it is new."""
        return self.versions.get(slot)


@dataclass(frozen=True, slots=True)
class IntakeReport:
    """The changes of an intake. ``new``: jobs never seen; ``known``: wanted again; ``dropped``: no longer wanted."""

    new: int
    known: int
    dropped: int
    invalid: int


class Availability(Enum):
    """How far a run has a job, for another run that wants the same picture."""

    BOUGHT = "done, and bought by this run itself"
    DONE = "done, also where its picture was bought by another run"
    TO_BUY = "wanted, in whatever state, and not left to another run"
    UNDER_WAY = "bought or about to be bought, and not done"


@dataclass(frozen=True, slots=True)
class SignedJob:
    """A committed job that has a link with a query in its inputs: by today's rules its key may differ."""

    id: int
    key: JobKey
    inputs: str
    variant: int
    revision: int


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A line of the log. ``state`` is the one that the event led to, ``data`` its fields as a JSON text.

    Nothing in it is checked: a checkpoint from another person may hold anything.
    """

    seq: int
    job: int
    at: float
    name: str
    state: str
    data: str

    def read(self) -> Event:
        """The event. Raises ValueError, TypeError or LookupError for what no edition has written."""
        return read_event(self.name, orjson.loads(self.data), self.state)


@dataclass(frozen=True, slots=True)
class UnreadableJob:
    """A job whose record can't be read, and ``why``."""

    job: int
    why: str


@dataclass(frozen=True, slots=True)
class SharedRequest:
    """Two jobs that have one request_id."""

    request_id: str
    job: int
    other: int


@dataclass(frozen=True, slots=True)
class CommonError:
    """An error that several rows share. ``rows`` are the first few of ``count``: ``(row index, id cell)``."""

    kind: str
    message: str
    count: int
    rows: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """``invalid`` rows; ``seconds_median`` and ``seconds_p90`` over the wanted jobs that are done, None without any.

    Of the wanted jobs that failed, ``moderated`` were refused for their content and ``written_off`` given up by a person.
    """

    invalid: int = 0
    moderated: int = 0
    written_off: int = 0
    seconds_median: float | None = None
    seconds_p90: float | None = None
    errors: tuple[CommonError, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import of decisions: ``written``, the ``same`` as the current ones, ``older`` than those and so
    left out.
    """

    written: int
    same: int
    older: int
