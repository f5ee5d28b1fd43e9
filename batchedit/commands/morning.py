"""What the morning's pages list of a run: what is in doubt, what was rejected, what would be delivered. No lock is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import UsageError
from ..core.model import State
from ..core.review import Conflict, Mark, Verdict
from ..ledger.decisions import Marks
from ..manifest.rownames import row_name
from ..run_folder import form_of_run
from . import doubts as doubting
from .gallery_page import open_read_only
from .live_file import format_utc
from .review import progress

LISTED = 200
"""So many are listed on one page; the counts are of all."""
LONGEST_NOTE = 2000


def list_doubts(folder: Path) -> dict[str, Any]:
    """``{count, doubts}``: each with its name, row, request_id, when it was sent and what is known of it."""
    with open_read_only(folder) as run:
        form = form_of_run(run.checkpoint, run.folder)
        found = doubting.list_doubts(run.checkpoint, form)
    told = [
        {
            "name": doubt.record.job.name,
            "row": ", ".join(f"{doubt.word} {row}" for row, _ in doubt.rows),
            "wanted": bool(doubt.rows),
            "uncollected": doubt.is_uncollected,
            "request": doubt.record.handle.request_id if doubt.record.handle else "",
            "sent": (format_utc(doubt.record.submitted_at) or "").replace("T", " ").replace("+00:00", " UTC"),
            "why": doubt.record.problem.message if doubt.record.problem else "",
            "reply": doubt.reply[:300],
        }
        for doubt in found[:LISTED]
    ]
    return {"count": len(found), "doubts": told}


def list_rejected(folder: Path) -> dict[str, Any]:
    """``{count, before, rejected}``: each with its job, row, prompt and the note that was written about it. ``before`` were
    asked for already and are not bought yet.
    """
    with open_read_only(folder) as run:
        book, form = run.checkpoint, form_of_run(run.checkpoint, run.folder)
        records, marks, before = book.rejected(), book.decisions.all(), book.redone_and_planned()
        rows = book.rows_of(record.id for record in records[:LISTED])
    told = [
        {
            "job": record.id,
            "name": record.job.name,
            "row": ", ".join(row_name(form, row, id_) for row, id_ in rows.get(record.id, ())[:1]),
            "prompt": str(orjson.loads(record.job.inputs).get("prompt", "")),
            "note": marks[record.id].note,
        }
        for record in records[:LISTED]
    ]
    return {"count": len(records), "before": len(before), "rejected": told}


def list_delivery(folder: Path) -> dict[str, Any]:
    """``{pictures, approved, rejected, held, unseen, names}``: what would be delivered, and what nobody looked at."""
    with open_read_only(folder) as run:
        cards, marks = run.checkpoint.cards(), run.checkpoint.decisions.all()
    told = progress(cards, marks)
    names = [
        Path(file.path).name
        for card in cards
        for shot in card.shots[:1]
        if shot.state is State.DONE and shot.id in marks and marks[shot.id].verdict is Verdict.APPROVE
        for file in shot.files
    ]
    unseen = told.pictures - told.looked_at
    return {
        "pictures": told.pictures,
        "approved": told.approved,
        "rejected": told.rejected,
        "held": told.held,
        "unseen": unseen,
        "names": names[:6],
    }


def write_note(folder: Path, job: int, note: str, who: str, at: float) -> None:
    """Another note about a rejected picture; the verdict stands. UsageError if it is not rejected any more."""
    marks = Marks(folder)
    mark = marks.all().get(job, Mark(job))
    if mark.verdict is not Verdict.REJECT:
        raise UsageError("this picture is not rejected any more", hint="reload the page")
    if mark.note != note and isinstance(marks.put(replace(mark, note=note, who=who, at=at)), Conflict):
        raise UsageError("somebody else has just changed this mark", hint="reload the page")
