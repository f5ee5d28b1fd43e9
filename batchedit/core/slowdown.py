"""The limits that the service's refusals (429) impose on a run, as numbers and as one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .plurals_and_durations import pluralize, pluralize_text

SLOWED = "slowed by the service"
_MIN_SHOWN_SECONDS = 90.0
"""A shorter delay is not shown: it would change with every poll."""


@dataclass(frozen=True, slots=True)
class Slowdown:
    """What the service allows: ``posts_per_second``, or ``jobs_at_once`` where that is what it limits; and how much longer
    the run takes in all: ``seconds_longer`` so far and for what is left.
    """

    posts_per_second: float | None = None
    jobs_at_once: int | None = None
    seconds_longer: float = 0.0

    def __str__(self) -> str:
        """``slowed by the service: 4 POSTs a second (429), 12 minutes longer``."""
        return f"{SLOWED}: {self.details()}"

    def details(self) -> str:
        """The same without its first words, for where they were just shown."""
        limit = f"{self._format_limit()} (429)"
        seconds = self.seconds_longer
        if seconds < _MIN_SHOWN_SECONDS:
            return limit
        short = seconds < 5400
        delay = (
            pluralize_text(f"{seconds / 60:.0f}", "minute")
            if short
            else pluralize_text(f"{seconds / 3600:.1f}", "hour")
        )
        return f"{limit}, {delay} longer"

    def _format_limit(self) -> str:
        rate = self.posts_per_second or 0.0
        if self.jobs_at_once is not None:
            return f"{pluralize(self.jobs_at_once, 'job')} at once"
        if rate >= 1.0:
            return f"{pluralize_text(f'{rate:.0f}' if rate >= 10 else f'{rate:.2g}', 'POST')} a second"
        return f"{pluralize_text(f'{60 * rate:.2g}', 'POST')} a minute"

    def as_json(self) -> dict[str, float | int | None]:
        """The numbers by name, as in events and ``report.json``."""
        rate = self.posts_per_second
        return {
            "posts_per_second": None if rate is None else round(rate, 3),
            "jobs_at_once": self.jobs_at_once,
            "seconds_longer": round(self.seconds_longer),
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Slowdown:
        """From the result of ``as_json``. KeyError, TypeError or ValueError for anything else."""
        rate, at_once = record["posts_per_second"], record["jobs_at_once"]
        return cls(
            None if rate is None else float(rate),
            None if at_once is None else int(at_once),
            float(record["seconds_longer"]),
        )
