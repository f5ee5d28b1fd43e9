"""What every command that changes a run ends with: results and report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from time import time

import orjson

from ..core.errors import BatcheditError, RestWaitsError
from ..core.slowdown import Slowdown
from ..core.steps import Steps, no_steps
from ..core.unwritten import Unwritten
from ..disk import write_whole
from ..ledger.book import Book
from ..ledger.register import Register
from ..results.files import write_all_results
from ..results.report import Report, compute_cap_needed, list_next_steps, make_report
from ..run_folder import RunFolder, form_of_run
from ..settings.model import Settings
from .play import is_play
from .session import Session
from .slowed import keep
from .store_words import store_words


def finish(run: Session, error: BatcheditError | None) -> Report:
    """Write the results and the report. ``error`` goes into the report; it is raised only if even that fails."""
    register = Register.of(run.host.environ)
    if (failed := register.take_failure()) is not None:
        run.unwritten.refused(register.path, failed)
    if run.live is not None:
        run.live.mend()
    try:
        report = write_report(
            run.checkpoint,
            run.folder,
            run.settings,
            started_at=run.started_at,
            error=error,
            slowed=run.slowed,
            steps=run.host.step,
            unwritten=run.unwritten,
        )
        run.report = report
        if run.live is not None:
            run.live.ended(report, rest_waits=isinstance(error, RestWaitsError))
    except BatcheditError as failed:
        raise error or failed from failed
    return report


def write_report(
    checkpoint: Book,
    folder: RunFolder,
    settings: Settings,
    *,
    started_at: float,
    error: BatcheditError | None = None,
    slowed: Slowdown | None = None,
    steps: Steps = no_steps,
    unwritten: Unwritten | None = None,
) -> Report:
    """The results, and ``report.json`` beside them. ``started_at`` is epoch seconds; ``error`` ended the command early, and
    ``unwritten`` is what the disk did not take.

    CheckpointError or OutputError where they can't be written.
    """
    keep(checkpoint, slowed)
    play = is_play(checkpoint)
    remarks = write_all_results(checkpoint, folder, settings, play=play, steps=steps)
    report = make_report(
        checkpoint.counts(),
        checkpoint.money(),
        checkpoint.digest(),
        folder=folder.path,
        form=form_of_run(checkpoint, folder),
        halted=str(error) if error else "",
        hint=error.hint if error else "",
        code=error.code if error else None,
        slowed=slowed,
        cap_needed=compute_cap_needed(checkpoint),
        store=store_words(checkpoint),
        play=play,
        remarks=tuple(remarks),
        unwritten=unwritten,
    )
    report = replace(report, rest_waits=isinstance(error, RestWaitsError))
    report.extra.update(
        source=checkpoint.get("source") or str(folder.path),
        started_at=_iso(started_at),
        ended_at=_iso(time()),
        next=list(list_next_steps(report)),
    )
    write_whole(folder.report, orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    return report


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat()
