"""The progress of a run so far for a small chart, and its commonest errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.model import Record, State
from ..core.money import to_json_usd
from ..ledger.book import Book
from .gallery_page import open_read_only

MAX_POINTS = 60
MAX_CHART_JOBS = 50_000
"""With more jobs than this no chart is drawn: every job would have to be read for it."""


def build_progress_chart(folder: Path) -> dict[str, Any]:
    """``points``: ``(seconds since the first, pictures by then, US dollars by then)``, at most MAX_POINTS, evenly spread. The
    last one has the numbers that ``live`` gives as done and spent: it includes what a version that was replaced, a job that
    failed or an earlier purchase of a job cost, and it counts a job that several rows ask for once. ``errors``:
    ``{message, count}``, the commonest first.
    """
    with open_read_only(folder) as run:
        counts = run.checkpoint.counts()
        troubles = sum(counts.of(state) for state in (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED))
        errors = run.checkpoint.summarise().errors if troubles else ()
        is_small = sum(counts.by_state.values()) <= MAX_CHART_JOBS
        additions = sorted(_list_additions(run.checkpoint)) if is_small else []
    error_counts = [{"message": error.message, "count": error.count} for error in errors[:5]]
    return {"points": _build_points(additions), "errors": error_counts}


def _list_additions(checkpoint: Book) -> Iterator[tuple[float, int, int]]:
    """``(epoch seconds, pictures, micro-dollars)`` that each job adds."""
    wanted = {record.id for record in checkpoint.read_records_in({State.DONE}, wanted=True)}
    for record in checkpoint.read_all_records():
        if isinstance(record, Record) and (record.id in wanted or record.spent):
            yield record.finished_at or record.submitted_at or 0.0, int(record.id in wanted), record.spent


def _build_points(additions: list[tuple[float, int, int]]) -> list[tuple[float, int, float]]:
    points, pictures, spent = [], 0, 0
    begin = next((at for at, _, _ in additions if at), 0.0)
    stride = max(1, -(-len(additions) // MAX_POINTS))
    for number, (at, picture, cost) in enumerate(additions, 1):
        pictures, spent = pictures + picture, spent + cost
        if number % stride == 0 or number == len(additions):
            points.append((round(max(at - begin, 0.0), 1), pictures, to_json_usd(spent)))
    return points
