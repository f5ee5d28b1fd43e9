"""``batchedit status``: the state of a run, also while it is going on."""

from __future__ import annotations

from ..ledger.book import Book
from ..ledger.opening import open_for_reading
from ..results.report import Report, compute_cap_needed, make_report
from ..run_folder import RunFolder, read_form_of_run
from .kept_settings import Given
from .open_run_to_read import find_run_here, open_current_copy, open_run_to_read
from .play_money import is_play
from .slowed import read_slowdown
from .store_options import build_store_words


def status(run_name: str, given: Given) -> tuple[RunFolder, Report]:
    """The state of a run. May be called while it is going on."""
    with open_run_to_read(run_name, given) as (folder, checkpoint):
        return folder, make_status_report(checkpoint, folder)


def read_store_status(run_name: str, given: Given) -> tuple[RunFolder, Report]:
    """The same from the store at this moment, also where a process here holds the run, whose copy may be older."""
    folder = find_run_here(run_name, given)
    with open_current_copy(folder, given["store"]) as copy, open_for_reading(copy.checkpoint) as checkpoint:
        return folder, make_status_report(checkpoint, folder)


def make_status_report(checkpoint: Book, folder: RunFolder) -> Report:
    """The state of the run in ``folder``."""
    needed_cap, slowed = compute_cap_needed(checkpoint), read_slowdown(checkpoint)
    digest = checkpoint.summarise()
    form = read_form_of_run(checkpoint, folder)
    return make_report(
        checkpoint.counts(),
        checkpoint.money(),
        digest,
        folder=folder.path,
        form=form,
        cap_needed=needed_cap,
        slowed=slowed,
        store=build_store_words(checkpoint),
        play=is_play(checkpoint),
    )
