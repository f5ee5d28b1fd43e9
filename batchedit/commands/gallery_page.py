"""The gallery in pages, for a browser: a hundred lines at a time, whatever the run's size, also while the run goes on.

No lock is taken and nothing is looked at beforehand: a picture is made small when somebody first looks at it.
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
from ..core.review import Card, Mark, Verdict
from ..ledger.lock import holder
from ..ledger.opening import reading
from ..ledger.register import is_mine
from ..ledger.values import Showing
from ..manifest.cells import text_of
from ..manifest.read import Row
from ..manifest.rownames import row_index, row_word, sheet_flags, sheet_row
from ..planning.recipe import run_roots
from ..review.payload import Table, build_payload
from ..run_folder import RunFolder, form_of_run
from .gallery import current_pictures, shown_card
from .kept_settings import kept_settings
from .local_session import LocalSession
from .play import is_play

LINES = 100
"""So many lines are on a page."""
CELLS_WITHIN = 20_000
"""The sheet's own cells are shown up to this row: beyond it they would have to be read from the sheet's beginning."""
SHOWN = ("all", "todo", "approve", "reject", "hold", "note")
_MANY = 1 << 62
_VERDICTS = ("approve", "reject", "hold")


@contextmanager
def looking(path: Path) -> Iterator[LocalSession]:
    """The run in ``path``, only to be looked at: its lock is left to the process that works on it."""
    folder = RunFolder(path)
    folder.check_links()
    with reading(folder.checkpoint) as checkpoint:
        roots = None if is_mine(checkpoint, path, os.environ) else run_roots(folder)
        yield LocalSession(
            folder, checkpoint, kept_settings(checkpoint, folder, {}), writable=False, picture_roots=roots
        )


def gallery_page(run: LocalSession, first: int = 1, show: str = "all", row: int | None = None) -> dict[str, Any]:
    """The data of one page from line number ``first`` (or the sheet's row ``row``) on; ``show`` is one of SHOWN."""
    marks = run.checkpoint.decisions.all()
    form = form_of_run(run.checkpoint, run.folder)
    if row is not None:
        first = run.checkpoint.line_of_row(max(1, row_index(form, row))) or first
    found = run.checkpoint.card_page(max(1, first), LINES, _showing(show, marks))
    flags = {job: sheet_flags(form, text) for job, text in run.checkpoint.flags().items()}
    cards = [shown_card(card, form) for card in found.cards]
    shots = {shot.id: shot for card in cards for shot in card.shots}
    here = {job: marks[job] for job in shots if job in marks}
    name = run.folder.path.resolve().name
    told = build_payload(cards, _cells(run, found.cards), {}, flags, here, {})
    told |= {
        "name": name,
        "id": name,
        "folder": name,
        "mode": "review",
        "seq": run.checkpoint.decisions.last_seq(),
        "rowWord": row_word(form),
        "summary": "Play money: drawn by a sandbox, nothing was bought." if is_play(run.checkpoint) else "",
        "elsewhere": _elsewhere(run, cards, marks),
        "page": {
            "first": first,
            "show": show,
            "following": found.following,
            "before": max(1, first - LINES),
            **count_pictures(run),
        },
    }
    for item in told["items"]:
        for shot in item["shots"]:
            _by_job(shot, shots[shot["job"]])
    return told


def done_jobs(path: Path, jobs: AbstractSet[int]) -> set[int]:
    """Those of ``jobs`` of the run in ``path`` whose picture is there: they may be marked."""
    with reading(RunFolder(path).checkpoint) as checkpoint:
        found = checkpoint.records_of(job for job in jobs if 0 < job < _MANY)
    return {record.id for record in found if record.state is State.DONE}


def count_pictures(run: LocalSession) -> dict[str, Any]:
    """``pictures``: how many there are by now. ``going``: a process works on the run, so more may come."""
    return {"pictures": run.checkpoint.counts().of(State.DONE), "going": bool(holder(run.folder.path))}


def _showing(show: str, marks: Mapping[int, Mark]) -> Showing:
    def mark(job: int | None) -> Mark:
        return Mark(0) if job is None else marks.get(job, Mark(job))

    if show == "todo":
        return lambda job, state: state == State.DONE and not mark(job).verdict
    if show == "note":
        return lambda job, _: bool(mark(job).note)
    if show in _VERDICTS:
        return lambda job, _: mark(job).verdict == show
    return lambda _job, _state: True


def _elsewhere(run: LocalSession, cards: Sequence[Card], marks: Mapping[int, Mark]) -> dict[str, int]:
    """How far the looking is on all other pages."""
    here = {shot.id for shot in current_pictures(cards)}
    decided = [job for job, mark in marks.items() if mark.verdict and job not in here]
    standing = run.checkpoint.rows_of(decided)
    counted = Counter(marks[job].verdict for job in decided if job in standing)
    told = {verdict.value: counted[verdict] for verdict in (Verdict.APPROVE, Verdict.REJECT, Verdict.HOLD)}
    done = run.checkpoint.counts().of(State.DONE)
    return {"all": max(0, done - len(here)), "looked": sum(told.values()), **told}


def _cells(run: LocalSession, cards: Sequence[Card]) -> Table:
    """The cells of these rows."""
    rows = {card.row for card in cards}
    if not rows or max(rows) > CELLS_WITHIN:
        return Table((), {})
    manifest = run.manifest()
    columns = tuple(manifest.columns)
    found = {
        sheet_row(manifest.form, row.number): tuple(text_of(row.cells.get(column)) for column in columns)
        for row in islice(manifest.rows(), max(rows))
        if isinstance(row, Row) and row.number in rows
    }
    return Table(columns, found)


def _by_job(shot: dict[str, Any], record: Record) -> None:
    """Pictures are asked for by the number of their job: no path is taken from an address."""
    for place, file in enumerate(shot["files"]):
        path = Path(file["path"])
        file.pop("problem", None)
        file |= {"name": path.name, "path": f"files/{record.id}/{place}"}
        if not file.get("video"):
            file["thumb"] = f"thumbs/{record.id}/{place}.webp"
    for place, source in enumerate(shot["sources"]):
        source.pop("problem", None)
        source |= {"thumb": f"thumbs/{record.id}/s{place}.webp", "large": f"thumbs/{record.id}/s{place}-large.webp"}
        source.setdefault("name", source.get("link", ""))
