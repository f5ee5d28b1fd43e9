"""Decisions about pictures: made in the browser, or taken in from ``decisions.csv``."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time

from ..core.model import State
from ..core.review import GalleryRow, PictureDecision, ReviewProgress, Verdict
from ..core.steps import Steps, no_steps
from ..ledger.values import Availability, ImportReport
from ..manifest.cells import to_cell_text
from ..manifest.read import Row, open_manifest
from ..manifest.rownames import to_sheet_row
from ..results.files import write_all_results
from ..results.report import format_cap_option
from ..review.decisions import read_decisions
from ..review.server import ReviewServer, ServedGallery
from .gallery import gather_gallery, list_current_pictures
from .kept_settings import Given
from .local_session import LocalSession, open_locally
from .play_money import is_play
from .store_options import build_store_words


@dataclass(frozen=True, slots=True)
class ReviewStatus:
    """How far the review is. ``room`` are the options that make room under the run's cap for a redo of the rejected pictures,
    ``store`` those by which a command finds the store of the run.
    """

    folder: Path
    progress: ReviewProgress
    room: Sequence[str] = ()
    store: Sequence[str] = ()


def count_progress(gallery_rows: Sequence[GalleryRow], decisions: Mapping[int, PictureDecision]) -> ReviewProgress:
    """How far the review is, over the pictures that lines ask for now."""
    jobs = {version.id for version in list_current_pictures(gallery_rows)}
    verdicts = [decisions[job].verdict for job in jobs if job in decisions]
    return ReviewProgress(len(jobs), *(verdicts.count(v) for v in (Verdict.APPROVE, Verdict.REJECT, Verdict.HOLD)))


def review(
    run_name: str,
    given: Given,
    on_ready: Callable[[str], None],
    on_end: Callable[[ReviewStatus], None],
    *,
    port: int = 0,
    who: str = "",
    steps: Steps = no_steps,
) -> None:
    """Serve the run until the page says finish. ``on_ready`` gets the address, ``on_end`` how far the review came, however it
    ends.

    The run's lock is held only while pictures are gathered and results are written, never while a person reviews: decisions
    have a file of their own, so that a run may begin, go on and end meanwhile.
    """
    with open_locally(run_name, given, "review") as run:
        gallery, decisions, folder = gather_gallery(run, steps), run.checkpoint.decisions, run.folder.path
    versions = [version for card in gallery.gallery_rows for version in card.versions]
    show = ServedGallery(
        folder=folder,
        page=partial(gallery.render_html, decisions, served=True),
        find_done_jobs=frozenset(version.id for version in versions if version.state is State.DONE).intersection,
        files=frozenset(file.path for version in versions for file in version.files),
        decisions=decisions,
        who=who or _find_login(),
    )
    server = ReviewServer(show, on_ready, port=port)
    try:
        server.run_until_done()
    finally:
        with open_locally(run_name, given, "review") as run:
            on_end(_make_review_status(run, count_progress(gallery.gallery_rows, decisions.all())))
            _write_into_results(run, steps)


def _make_review_status(run: LocalSession, progress: ReviewProgress) -> ReviewStatus:
    book = run.checkpoint
    room = format_cap_option(book, len(book.find_rejected()) + len(book.list_planned_repurchases()))
    return ReviewStatus(run.folder.path, progress, room, build_store_words(book))


def _write_into_results(run: LocalSession, steps: Steps = no_steps) -> None:
    """Write the decisions into the results. A run that is going on writes them when it ends."""
    if run.writable:
        write_all_results(run.checkpoint, run.folder, run.settings, play=is_play(run.checkpoint), steps=steps)


def _find_login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


def import_decisions(run_name: str, given: Given, source: Path, *, who: str = "") -> tuple[ImportReport, ReviewStatus]:
    """Take ``decisions.csv`` in, all of it or none. ManifestError with every wrong row at once.

    Returns what was taken in, and how far the review is.
    """
    with open_locally(run_name, given, "review") as run:
        jobs: dict[bytes, int] = dict(run.checkpoint.read_keys(Availability.DONE))
        manifest = open_manifest(source)
        rows = (
            (
                to_sheet_row(manifest.form, row.number),
                {name: to_cell_text(cell) for name, cell in row.cells.items()} if isinstance(row, Row) else {},
            )
            for row in manifest.rows()
        )
        decisions = read_decisions(rows, jobs, time(), source.name)
        decisions_table = run.checkpoint.decisions
        taken_in = decisions_table.take_in(decisions, who or _find_login())
        _write_into_results(run)
        return taken_in, _make_review_status(
            run, count_progress(run.checkpoint.read_gallery_rows(), decisions_table.all())
        )
