"""The values of the review: what people decide about pictures, and which pictures belong to a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .model import Record


class Verdict(StrEnum):
    """What a person decided about a picture. ``NONE``: nothing yet, or taken back."""

    NONE = ""
    APPROVE = "approve"
    REJECT = "reject"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class PictureDecision:
    """A person's decision about one job. ``serial`` counts its changes, 0 before the first; ``at`` is epoch seconds."""

    job: int
    verdict: Verdict = Verdict.NONE
    note: str = ""
    serial: int = 0
    who: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Conflict:
    """The decision was not written: another person changed it since it was read. ``current`` is theirs."""

    current: PictureDecision


@dataclass(frozen=True, slots=True)
class DecisionEvent:
    """One change of a decision. ``via`` is ``review`` or ``import``."""

    seq: int
    job: int
    verdict: Verdict
    note: str
    who: str
    at: float
    via: str


@dataclass(frozen=True, slots=True)
class ImportedDecision:
    """A line of ``decisions.csv``: a decision that was made outside the run. ``key`` is the job's."""

    key: bytes
    verdict: Verdict
    note: str
    at: float


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """One line of the results and every version of its picture, the newest first; none for an invalid row.

    ``problems`` and ``over`` are JSON texts as in ``Outcome``.
    """

    row: int
    id: str
    versions: tuple[Record, ...] = ()
    problems: str = ""
    over: str = ""

    @property
    def current(self) -> Record | None:
        """The job that the line asks for now."""
        return self.versions[0] if self.versions else None


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """How far the review is: jobs with a picture, and those of them that have a verdict."""

    pictures: int
    approved: int = 0
    rejected: int = 0
    held: int = 0

    @property
    def reviewed(self) -> int:
        """Pictures with any verdict."""
        return self.approved + self.rejected + self.held
