"""``batchedit status``: how a run stands, also while it is going on."""

from __future__ import annotations

from ..ledger.book import Book
from ..ledger.opening import reading
from ..results.report import Report, compute_cap_needed, make_report
from ..run_folder import RunFolder, form_of_run
from .kept_settings import Given
from .play import is_play
from .reading import as_it_stands, run_here, run_to_read
from .slowed import kept
from .store_words import store_words


def status(run_name: str, given: Given) -> tuple[RunFolder, Report]:
    """How a run stands. May be called while it is going on."""
    with run_to_read(run_name, given) as (folder, checkpoint):
        return folder, report_of(checkpoint, folder)


def status_in_store(run_name: str, given: Given) -> tuple[RunFolder, Report]:
    """The same as the store has it at this moment, also where a process here holds the run, whose copy may be behind."""
    folder = run_here(run_name, given)
    with as_it_stands(folder, given["store"]) as there, reading(there.checkpoint) as checkpoint:
        return folder, report_of(checkpoint, folder)


def report_of(checkpoint: Book, folder: RunFolder) -> Report:
    """How the run in ``folder`` stands."""
    needed, slowed = compute_cap_needed(checkpoint), kept(checkpoint)
    found = checkpoint.digest()
    form = form_of_run(checkpoint, folder)
    return make_report(
        checkpoint.counts(),
        checkpoint.money(),
        found,
        folder=folder.path,
        form=form,
        cap_needed=needed,
        slowed=slowed,
        store=store_words(checkpoint),
        play=is_play(checkpoint),
    )
