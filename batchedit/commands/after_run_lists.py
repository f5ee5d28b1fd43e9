"""The lists of a run for the pages: what is in doubt, what was rejected, what would be delivered. No lock is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import UsageError
from ..core.model import State
from ..core.review import Conflict, PictureDecision, Verdict
from ..ledger.decisions import FolderDecisions
from ..manifest.rownames import describe_row
from ..run_folder import read_form_of_run
from . import decide_doubts as doubting
from .gallery_page import open_read_only
from .live_file import format_utc
from .review import count_progress

MAX_LISTED = 200
"""The most that one page lists; the counts are of all."""
MAX_NOTE_LENGTH = 2000


def list_doubts(folder: Path) -> dict[str, Any]:
    """``{count, doubts}``: each with its name, row, request_id, when it was sent and the last answer."""
    with open_read_only(folder) as run:
        form = read_form_of_run(run.checkpoint, run.folder)
        doubts = doubting.list_doubts(run.checkpoint, form)
    entries = [
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
        for doubt in doubts[:MAX_LISTED]
    ]
    return {"count": len(doubts), "doubts": entries}


def list_rejected(folder: Path) -> dict[str, Any]:
    """``{count, before, rejected}``: each with its job, row, prompt and note. ``before`` counts those that an earlier redo
    asked for and that are not bought yet.
    """
    with open_read_only(folder) as run:
        book, form = run.checkpoint, read_form_of_run(run.checkpoint, run.folder)
        records, decisions, already_asked = book.find_rejected(), book.decisions.all(), book.list_planned_repurchases()
        rows = book.find_rows(record.id for record in records[:MAX_LISTED])
    entries = [
        {
            "job": record.id,
            "name": record.job.name,
            "row": ", ".join(describe_row(form, row, row_id) for row, row_id in rows.get(record.id, ())[:1]),
            "prompt": str(orjson.loads(record.job.inputs).get("prompt", "")),
            "note": decisions[record.id].note,
        }
        for record in records[:MAX_LISTED]
    ]
    return {"count": len(records), "before": len(already_asked), "rejected": entries}


def list_delivery(folder: Path) -> dict[str, Any]:
    """``{pictures, approved, rejected, held, unseen, names}``: what would be delivered, and what has no verdict yet."""
    with open_read_only(folder) as run:
        gallery_rows, decisions = run.checkpoint.read_gallery_rows(), run.checkpoint.decisions.all()
    progress = count_progress(gallery_rows, decisions)
    names = [
        Path(file.path).name
        for card in gallery_rows
        for shot in card.versions[:1]
        if shot.state is State.DONE and shot.id in decisions and decisions[shot.id].verdict is Verdict.APPROVE
        for file in shot.files
    ]
    unseen = progress.pictures - progress.reviewed
    return {
        "pictures": progress.pictures,
        "approved": progress.approved,
        "rejected": progress.rejected,
        "held": progress.held,
        "unseen": unseen,
        "names": names[:6],
    }


def write_note(folder: Path, job: int, note: str, who: str, at: float) -> None:
    """Replace the note about a rejected picture; the verdict stays. UsageError if it is not rejected any more."""
    decisions = FolderDecisions(folder)
    decision = decisions.all().get(job, PictureDecision(job))
    if decision.verdict is not Verdict.REJECT:
        raise UsageError("this picture is not rejected any more", hint="reload the page")
    if decision.note != note and isinstance(decisions.put(replace(decision, note=note, who=who, at=at)), Conflict):
        raise UsageError("somebody else has just changed this mark", hint="reload the page")
