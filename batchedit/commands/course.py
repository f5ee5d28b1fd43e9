"""How a run went so far, for a small chart, and what went wrong in it most often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.model import State
from ..core.money import to_json_usd
from .gallery_page import looking

POINTS = 60
MOST_DRAWN = 50_000
"""Above this many jobs no chart is drawn: every line of the results would be read for it."""


def course(folder: Path) -> dict[str, Any]:
    """``points``: ``(seconds since the first picture, pictures by then, US dollars by then)``, at most POINTS and evenly
    spread over the pictures. ``errors``: ``{message, count}``, the commonest first.
    """
    with looking(folder) as run:
        counts = run.checkpoint.counts()
        troubled = sum(counts.of(state) for state in (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED))
        errors = run.checkpoint.digest().errors if troubled else ()
        is_small = sum(counts.by_state.values()) <= MOST_DRAWN
        done = sorted(
            (outcome.finished_at, outcome.cost or 0)
            for outcome in (run.checkpoint.outcomes() if is_small else ())
            if outcome.state == State.DONE and outcome.finished_at is not None
        )
    told = [{"message": error.message, "count": error.count} for error in errors[:5]]
    return {"points": _points(done), "errors": told}


def _points(done: list[tuple[float, int]]) -> list[tuple[float, int, float]]:
    points, spent = [], 0
    step = max(1, -(-len(done) // POINTS))
    for number, (at, cost) in enumerate(done, 1):
        spent += cost
        if number % step == 0 or number == len(done):
            points.append((round(at - done[0][0], 1), number, round(to_json_usd(spent), 4)))
    return points
