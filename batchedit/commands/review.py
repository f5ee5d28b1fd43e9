"""Marks: made in the browser, or taken in from ``decisions.csv``."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time

from ..core.model import State
from ..core.review import Card, Mark, Progress, Verdict
from ..core.steps import Steps, no_steps
from ..ledger.values import Having, TakenIn
from ..manifest.cells import text_of
from ..manifest.read import Row, open_manifest
from ..manifest.rownames import sheet_row
from ..results.files import write_all_results
from ..results.report import format_cap_option
from ..review.decisions import read_decisions
from ..review.server import ReviewServer, ServedGallery
from .gallery import current_pictures, gather
from .kept_settings import Given
from .local_session import LocalSession, opened_locally
from .play import is_play
from .store_words import store_words


@dataclass(frozen=True, slots=True)
class Looked:
    """How far the looking is. ``room`` are the words that make room under the run's cap for a redo of the rejected ones,
    ``store`` those by which a command finds the store of the run.
    """

    folder: Path
    progress: Progress
    room: Sequence[str] = ()
    store: Sequence[str] = ()


def progress(cards: Sequence[Card], marks: Mapping[int, Mark]) -> Progress:
    """How far the looking is, over the pictures that lines ask for now."""
    jobs = {shot.id for shot in current_pictures(cards)}
    said = [marks[job].verdict for job in jobs if job in marks]
    return Progress(len(jobs), *(said.count(v) for v in (Verdict.APPROVE, Verdict.REJECT, Verdict.HOLD)))


def review(
    run_name: str,
    given: Given,
    ready: Callable[[str], None],
    ended: Callable[[Looked], None],
    *,
    port: int = 0,
    who: str = "",
    steps: Steps = no_steps,
) -> None:
    """Serve the run until the page says finish. ``ready`` gets the address, ``ended`` how far the
    looking came, however it ends.

    The run's lock is held for the pictures and the results alone, never while a person looks: marks go into a file of their
    own, so that a run may begin, go on and end meanwhile.
    """
    with opened_locally(run_name, given, "review") as run:
        found, marks, folder = gather(run, steps), run.checkpoint.decisions, run.folder.path
    shots = [shot for card in found.cards for shot in card.shots]
    show = ServedGallery(
        folder=folder,
        page=partial(found.html, marks, served=True),
        find_done_jobs=frozenset(shot.id for shot in shots if shot.state is State.DONE).intersection,
        files=frozenset(file.path for shot in shots for file in shot.files),
        decisions=marks,
        who=who or _login(),
    )
    server = ReviewServer(show, ready, port=port)
    try:
        server.run_until_done()
    finally:
        with opened_locally(run_name, given, "review") as run:
            ended(_looked(run, progress(found.cards, marks.all())))
            _into_results(run, steps)


def _looked(run: LocalSession, looked: Progress) -> Looked:
    book = run.checkpoint
    room = format_cap_option(book, len(book.rejected()) + len(book.redone_and_planned()))
    return Looked(run.folder.path, looked, room, store_words(book))


def _into_results(run: LocalSession, steps: Steps = no_steps) -> None:
    """What was said stands in the results. A run that goes on writes them when it ends."""
    if run.writable:
        write_all_results(run.checkpoint, run.folder, run.settings, play=is_play(run.checkpoint), steps=steps)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


def import_decisions(run_name: str, given: Given, source: Path, *, who: str = "") -> tuple[TakenIn, Looked]:
    """Take ``decisions.csv`` in, all of it or none. ManifestError with every wrong row at once.

    Returns what was taken in, and how far the looking is.
    """
    with opened_locally(run_name, given, "review") as run:
        jobs: dict[bytes, int] = dict(run.checkpoint.keys(Having.DONE))
        manifest = open_manifest(source)
        rows = (
            (
                sheet_row(manifest.form, row.number),
                {name: text_of(cell) for name, cell in row.cells.items()} if isinstance(row, Row) else {},
            )
            for row in manifest.rows()
        )
        decisions = read_decisions(rows, jobs, time(), source.name)
        marks = run.checkpoint.decisions
        taken = marks.take_in(decisions, who or _login())
        _into_results(run)
        return taken, _looked(run, progress(run.checkpoint.cards(), marks.all()))
