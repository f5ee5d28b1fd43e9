"""The gallery in pages, for a browser: a hundred lines at a time, whatever the run's size, also while the run goes on.

It takes no lock and prepares nothing: a thumbnail is made when it is first asked for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from ..core.model import Record, State
from ..core.review import GalleryRow, PictureDecision, Verdict
from ..images.thumbnails_and_features import needs_preview
from ..ledger.lock import find_holder
from ..ledger.opening import open_for_reading
from ..ledger.register import is_mine
from ..ledger.values import IsShown
from ..manifest.cells import to_cell_text
from ..manifest.read import Row
from ..manifest.rownames import choose_row_word, to_row_index, to_sheet_flags, to_sheet_row
from ..planning.recipe import list_run_roots
from ..review.payload import Table, build_payload
from ..run_folder import RunFolder, read_form_of_run
from .gallery import list_current_pictures, to_sheet_card
from .kept_settings import load_kept_settings
from .local_session import LocalSession
from .play_money import is_play

PAGE_LINES = 100
"""Lines on a page."""
MAX_CELL_ROW = 20_000
"""The sheet's own cells are shown up to this row: to show later ones the sheet would be read from its beginning."""
PAGE_FILTERS = ("all", "todo", "approve", "reject", "hold", "note")
_JOB_LIMIT = 1 << 62
_VERDICTS = ("approve", "reject", "hold")


@contextmanager
def open_read_only(path: Path) -> Iterator[LocalSession]:
    """Open the run in ``path`` for reading. Its lock is left to the process that works on it."""
    folder = RunFolder(path)
    folder.check_links()
    with open_for_reading(folder.checkpoint) as checkpoint:
        roots = None if is_mine(checkpoint, path, os.environ) else list_run_roots(folder)
        yield LocalSession(
            folder, checkpoint, load_kept_settings(checkpoint, folder, {}), writable=False, picture_roots=roots
        )


def build_gallery_page(run: LocalSession, first: int = 1, show: str = "all", row: int | None = None) -> dict[str, Any]:
    """The data of one page from line number ``first`` (or the sheet's row ``row``) on. ``show`` is one of PAGE_FILTERS."""
    decisions = run.checkpoint.decisions.all()
    form = read_form_of_run(run.checkpoint, run.folder)
    if row is not None:
        first = run.checkpoint.find_line_of_row(max(1, to_row_index(form, row))) or first
    card_page = run.checkpoint.read_gallery_page(max(1, first), PAGE_LINES, _make_filter(show, decisions))
    flags = {job: to_sheet_flags(form, text) for job, text in run.checkpoint.read_flags().items()}
    gallery_rows = [to_sheet_card(card, form) for card in card_page.gallery_rows]
    versions = {record.id: record for card in gallery_rows for record in card.versions}
    page_decisions = {job: decisions[job] for job in versions if job in decisions}
    name = run.folder.path.resolve().name
    page = build_payload(gallery_rows, _read_cells(run, card_page.gallery_rows), {}, flags, page_decisions, {})
    page |= {
        "name": name,
        "id": name,
        "folder": name,
        "mode": "review",
        "seq": run.checkpoint.decisions.last_seq(),
        "rowWord": choose_row_word(form),
        "summary": "Play money: drawn by a sandbox, nothing was bought." if is_play(run.checkpoint) else "",
        "elsewhere": _count_other_pages(run, gallery_rows, decisions),
        "page": {
            "first": first,
            "show": show,
            "following": card_page.following,
            "before": max(1, first - PAGE_LINES),
            **count_pictures(run),
        },
    }
    for item in page["items"]:
        for shot in item["shots"]:
            _address_by_job(shot, versions[shot["job"]])
    return page


def find_done_jobs(path: Path, jobs: AbstractSet[int]) -> set[int]:
    """Those of ``jobs`` of the run in ``path`` that are done: they may be decided about."""
    with open_for_reading(RunFolder(path).checkpoint) as checkpoint:
        records = checkpoint.read_records(job for job in jobs if 0 < job < _JOB_LIMIT)
    return {record.id for record in records if record.state is State.DONE}


def count_pictures(run: LocalSession) -> dict[str, Any]:
    """``pictures``: how many there are now. ``going``: a process works on the run, so more may come."""
    return {"pictures": run.checkpoint.counts().of(State.DONE), "going": bool(find_holder(run.folder.path))}


def _make_filter(show: str, decisions: Mapping[int, PictureDecision]) -> IsShown:
    def find_mark(job: int | None) -> PictureDecision:
        return PictureDecision(0) if job is None else decisions.get(job, PictureDecision(job))

    if show == "todo":
        return lambda job, state: state == State.DONE and not find_mark(job).verdict
    if show == "note":
        return lambda job, _: bool(find_mark(job).note)
    if show in _VERDICTS:
        return lambda job, _: find_mark(job).verdict == show
    return lambda _job, _state: True


def _count_other_pages(
    run: LocalSession, gallery_rows: Sequence[GalleryRow], decisions: Mapping[int, PictureDecision]
) -> dict[str, int]:
    """How far the review is on all other pages."""
    current_jobs = {record.id for record in list_current_pictures(gallery_rows)}
    decided = [job for job, decision in decisions.items() if decision.verdict and job not in current_jobs]
    wanted_jobs = run.checkpoint.find_rows(decided)
    verdicts = Counter(decisions[job].verdict for job in decided if job in wanted_jobs)
    counts = {verdict.value: verdicts[verdict] for verdict in (Verdict.APPROVE, Verdict.REJECT, Verdict.HOLD)}
    done = run.checkpoint.counts().of(State.DONE)
    return {"all": max(0, done - len(current_jobs)), "looked": sum(counts.values()), **counts}


def _read_cells(run: LocalSession, gallery_rows: Sequence[GalleryRow]) -> Table:
    """The cells of these rows."""
    rows = {card.row for card in gallery_rows}
    if not rows or max(rows) > MAX_CELL_ROW:
        return Table((), {})
    manifest = run.open_manifest()
    columns = tuple(manifest.columns)
    cells = {
        to_sheet_row(manifest.form, row.number): tuple(to_cell_text(row.cells.get(column)) for column in columns)
        for row in islice(manifest.rows(), max(rows))
        if isinstance(row, Row) and row.number in rows
    }
    return Table(columns, cells)


def _address_by_job(values: dict[str, Any], record: Record) -> None:
    """Address pictures by the number of their job: the server takes no path from an address."""
    for index, file in enumerate(values["files"]):
        path = Path(file["path"])
        file.pop("problem", None)
        file |= {"name": path.name, "path": f"files/{record.id}/{index}"}
        if not file.get("video"):
            file["thumb"] = f"thumbs/{record.id}/{index}.jpg"
            if needs_preview(path.suffix, record.files[index].bytes, file["width"], file["height"]):
                file["large"] = f"thumbs/{record.id}/{index}-large.jpg"
    for index, source in enumerate(values["sources"]):
        source.pop("problem", None)
        source |= {"thumb": f"thumbs/{record.id}/s{index}.jpg", "large": f"thumbs/{record.id}/s{index}-large.jpg"}
        source.setdefault("name", source.get("link", ""))
