"""Marks: made in the browser, or taken in from ``decisions.csv``."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import time

from ..core.model import State
from ..core.review import Card, Mark, Progress, Verdict
from ..images.features import Told, untold
from ..ledger.decisions import Marks, TakenIn
from ..ledger.gallery_rows import read_cards
from ..manifest.cells import text_of
from ..manifest.read import Row, open_manifest
from ..review.decisions import read_decisions
from ..review.server import ReviewServer, Show
from .gallery import current_pictures, gather
from .local_session import opened
from .run import Given


def progress(cards: Sequence[Card], marks: Mapping[int, Mark]) -> Progress:
    """How far the looking is, over the pictures that lines ask for now."""
    jobs = {shot.id for shot in current_pictures(cards)}
    said = [marks[job].verdict for job in jobs if job in marks]
    return Progress(len(jobs), *(said.count(v) for v in (Verdict.APPROVE, Verdict.REJECT, Verdict.HOLD)))


def review(
    run_name: str,
    given: Given,
    ready: Callable[[str], None],
    ended: Callable[[Progress], None],
    *,
    port: int = 0,
    who: str = "",
    told: Told = untold,
) -> None:
    """Serve the run until the page says finish. ``ready`` gets the address, ``ended`` how far it came, always."""
    with opened(run_name, given, "review") as run:
        found = gather(run, told)
        marks = Marks(run.checkpoint)
        shots = [shot for card in found.cards for shot in card.shots]
        show = Show(
            folder=run.folder.path,
            page=partial(found.html, marks, served=True),
            jobs=frozenset(shot.id for shot in shots if shot.state is State.DONE),
            files=frozenset(file.path for shot in shots for file in shot.files),
            marks=marks,
            who=who or _login(),
        )
        server = ReviewServer(show, port=port)
        ready(server.url)
        try:
            server.run_until_done()
        finally:
            ended(progress(found.cards, marks.all()))


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


def import_decisions(run_name: str, given: Given, source: Path, *, who: str = "") -> tuple[TakenIn, Progress]:
    """Take ``decisions.csv`` in, all of it or none. ManifestError with every wrong row at once."""
    with opened(run_name, given, "review") as run:
        jobs: dict[bytes, int] = dict(run.checkpoint.rows("SELECT key, id FROM jobs WHERE state = 'done'"))
        rows = (
            (row.number, {name: text_of(cell) for name, cell in row.cells.items()} if isinstance(row, Row) else {})
            for row in open_manifest(source).rows()
        )
        decisions = read_decisions(rows, jobs, time(), source.name)
        marks = Marks(run.checkpoint)
        taken = marks.take_in(decisions, who or _login())
        return taken, progress(read_cards(run.checkpoint), marks.all())
