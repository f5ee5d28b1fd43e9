"""How a run went so far, for a small chart, and what went wrong in it most often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.model import Record, State
from ..core.money import to_json_usd
from ..ledger.book import Book
from .gallery_page import looking

POINTS = 60
MOST_DRAWN = 50_000
"""Above this many jobs no chart is drawn: every job would be read for it."""


def course(folder: Path) -> dict[str, Any]:
    """``points``: ``(seconds since the first, pictures by then, US dollars by then)``, at most POINTS and evenly spread. The
    last one has the numbers that ``live`` tells as done and spent: what a version that was replaced, a job that failed or a
    purchase before this one cost is in it, and a job that several rows ask for is in it once. ``errors``:
    ``{message, count}``, the commonest first.
    """
    with looking(folder) as run:
        counts = run.checkpoint.counts()
        troubled = sum(counts.of(state) for state in (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED))
        errors = run.checkpoint.summarise().errors if troubled else ()
        is_small = sum(counts.by_state.values()) <= MOST_DRAWN
        steps = sorted(_steps(run.checkpoint)) if is_small else []
    told = [{"message": error.message, "count": error.count} for error in errors[:5]]
    return {"points": _points(steps), "errors": told}


def _steps(checkpoint: Book) -> Iterator[tuple[float, int, int]]:
    """When, how many pictures and how many micro-dollars each job adds."""
    wanted = {record.id for record in checkpoint.read_records_in({State.DONE}, wanted=True)}
    for record in checkpoint.read_all_records():
        if isinstance(record, Record) and (record.id in wanted or record.spent):
            yield record.finished_at or record.submitted_at or 0.0, int(record.id in wanted), record.spent


def _points(steps: list[tuple[float, int, int]]) -> list[tuple[float, int, float]]:
    points, pictures, spent = [], 0, 0
    begin = next((at for at, _, _ in steps if at), 0.0)
    every = max(1, -(-len(steps) // POINTS))
    for number, (at, picture, cost) in enumerate(steps, 1):
        pictures, spent = pictures + picture, spent + cost
        if number % every == 0 or number == len(steps):
            points.append((round(max(at - begin, 0.0), 1), pictures, to_json_usd(spent)))
    return points
