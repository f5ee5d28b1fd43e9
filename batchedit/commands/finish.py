"""The end of every command that changes a run: results and report."""

from __future__ import annotations

from dataclasses import replace
from time import time

import orjson

from ..core.errors import BatcheditError, RestWaitsError
from ..core.slowdown import Slowdown
from ..core.steps import Steps, no_steps
from ..core.write_failures import WriteFailures
from ..disk import write_atomically
from ..ledger.book import Book
from ..ledger.register import Register
from ..results.files import write_all_results
from ..results.report import Report, compute_cap_needed, list_next_steps, make_report
from ..run_folder import RunFolder, read_form_of_run
from ..settings.model import Settings
from .clock import to_utc_text
from .play_money import is_play
from .session import Session
from .slowed import keep_slowdown
from .store_options import build_store_words


def finish(run: Session, error: BatcheditError | None) -> Report:
    """Write the results and the report. ``error`` goes into the report; it is raised only if even that fails."""
    register = Register.from_environ(run.host.environ)
    if (failure := register.take_failure()) is not None:
        run.write_failures.add(register.path, failure)
    if run.live is not None:
        run.live.retry_write()
    try:
        report = write_report(
            run.checkpoint,
            run.folder,
            run.settings,
            started_at=run.started_at,
            error=error,
            slowed=run.slowed,
            steps=run.host.step,
            write_failures=run.write_failures,
        )
        run.report = report
        if run.live is not None:
            run.live.write_end(report, rest_waits=isinstance(error, RestWaitsError))
    except BatcheditError as write_error:
        raise error or write_error from write_error
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
    write_failures: WriteFailures | None = None,
) -> Report:
    """Write the results, and ``report.json`` beside them. ``started_at`` is epoch seconds; ``error`` ended the command early;
    ``write_failures`` is what could not be written.

    CheckpointError or OutputError where they can't be written.
    """
    keep_slowdown(checkpoint, slowed)
    play = is_play(checkpoint)
    remarks = write_all_results(checkpoint, folder, settings, play=play, steps=steps)
    report = make_report(
        checkpoint.counts(),
        checkpoint.money(),
        checkpoint.summarise(),
        folder=folder.path,
        form=read_form_of_run(checkpoint, folder),
        halted=str(error) if error else "",
        hint=error.hint if error else "",
        code=error.code if error else None,
        slowed=slowed,
        cap_needed=compute_cap_needed(checkpoint),
        store=build_store_words(checkpoint),
        play=play,
        remarks=tuple(remarks),
        write_failures=write_failures,
    )
    report = replace(report, rest_waits=isinstance(error, RestWaitsError))
    report.extra.update(
        source=checkpoint.get("source") or str(folder.path),
        started_at=to_utc_text(started_at),
        ended_at=to_utc_text(time()),
        next=list(list_next_steps(report)),
    )
    write_atomically(folder.report, orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    return report
