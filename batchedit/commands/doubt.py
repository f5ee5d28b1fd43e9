"""``batchedit doubt``: what may have been bought or can't be collected, listed and decided about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import time

from ..core.errors import LockedError, UsageError
from ..core.model import State
from ..core.typed import to_type
from ..ledger.book import Book
from ..ledger.lock import run_lock
from ..ledger.opening import reading
from ..results.report import Report, compute_cap_needed, format_cap_option, format_cap_option_for_rest
from ..run_folder import RunFolder, form_of_run
from . import doubts as doubting
from .finish import finish, write_report
from .host import Host
from .kept_settings import Given, settings_of
from .observers import ObserverGroup
from .open_run import open_run
from .order import Order
from .play import is_play, note_purchase
from .purchase import buy, plan_of_run
from .reading import run_here, run_to_read
from .session import Session, again
from .store_words import store_words
from .wiring import client_for


@dataclass(frozen=True, slots=True)
class DoubtReport:
    """What is still in doubt or uncollected, how many were decided just now, and how the run stands after a purchase.

    ``room`` are the words that make room under the run's cap for one of them to be bought again, ``store`` those by which a
    command finds the store of the run. ``play``: its money is the sandbox's.
    """

    folder: Path
    open: Sequence[doubting.Doubt]
    adopted: int = 0
    written_off: int = 0
    bought: Report | None = None
    room: Sequence[str] = ()
    play: bool = False
    store: Sequence[str] = ()

    @property
    def code(self) -> int:
        """The exit code: 76 before 75 before 0; after a purchase that of the run."""
        if self.bought is not None:
            return self.bought.code
        if any(not doubt.is_uncollected for doubt in self.open):
            return 76
        return 75 if self.open else 0


async def doubt(
    run_name: str,
    given: Given,
    host: Host,
    *,
    pasted: Mapping[str, str],
    buy_again: Sequence[str],
    write_off: Sequence[str],
) -> DoubtReport:
    """List the jobs in doubt or uncollected and decide about some. ``pasted``: ROW → request_id.

    Those of ``buy_again`` are new purchases, priced and asked about as such; nothing else here buys.
    """
    folder = run_here(run_name, given)
    _note_crashes(folder, given, host)
    adopted = written_off = 0
    bought = None
    if pasted:
        async with again(run_name, given, host, "doubt") as run:
            async with client_for(run.settings, run.service, run.model, ObserverGroup(host.observers())) as client:
                form, hint = form_of_run(run.checkpoint, folder), _which_doubts(folder, run.checkpoint)
                note_purchase(run.checkpoint, run.settings, host.environ, run.service.why_another)
                adopted = await doubting.adopt(run.checkpoint, client, pasted, form, hint)
            finish(run, None)
    if buy_again or write_off:
        written_off = _write_off(folder, given, host, write_off, buy_again)
    if buy_again:
        async with again(run_name, given, host, "doubt") as run:
            if written_off:  # a no to the question leaves these given up
                host.say(f"{written_off:,} written off")
            bought = await _buyagain(run, doubting.pick_to_buy(_doubts(run.checkpoint, folder), buy_again))
    with reading(folder.checkpoint) as there:
        found, room, store = _doubts(there, folder), format_cap_option(there, 1), store_words(there)
        play = is_play(there)
    return DoubtReport(folder.path, found, adopted, written_off, bought, room, play, store)


def _note_crashes(folder: RunFolder, given: Given, host: Host) -> None:
    """What a process that died was sending is in doubt. A process that lives is sending it still, and keeps the lock. In a
    store the leases say who lives.
    """
    with run_to_read(str(folder.path), given) as (_, checkpoint):
        if checkpoint.get("store") or not checkpoint.records_in({State.SUBMITTING}):
            return
    with (
        suppress(LockedError),
        run_lock(folder.path, "doubt"),
        closing(open_run(folder, settings_of(folder, given), host.say, host.environ)) as run,
    ):
        doubting.note_crashes(run)


def _doubts(checkpoint: Book, folder: RunFolder) -> list[doubting.Doubt]:
    return doubting.doubts(checkpoint, form_of_run(checkpoint, folder))


def _which_doubts(folder: RunFolder, checkpoint: Book) -> str:
    """For a row that is none of them: it may have been released before, and is not bought yet."""
    if checkpoint.to_buy():
        words = [*format_cap_option_for_rest(compute_cap_needed(checkpoint)), *store_words(checkpoint)]
        return f"what is not bought yet, a job that was to be bought again too: {to_type('run', folder.path, *words)}"
    return f"which there are: {to_type('doubt', folder.path, *store_words(checkpoint))}"


def _write_off(folder: RunFolder, given: Given, host: Host, write_off: Sequence[str], buy_again: Sequence[str]) -> int:
    """Give up what ``write_off`` names. UsageError, and nothing is done, if anything is wrong with either list."""
    began = time()
    with run_lock(folder.path, "doubt"):
        settings = settings_of(folder, given, host.environ)
        with closing(open_run(folder, settings, host.say, host.environ)) as checkpoint:
            found = _doubts(checkpoint, folder)
            hint = _which_doubts(folder, checkpoint)
            release, off = doubting.pick_to_buy(found, buy_again, hint), doubting.pick(found, write_off, hint)
            if both := {d.record.job.name for d in release} & {d.record.job.name for d in off}:
                raise UsageError(f"{', '.join(sorted(both))}: buy again or write off, not both")
            written_off = doubting.write_off(checkpoint, off)
            if written_off:
                write_report(checkpoint, folder, settings, started_at=began)
            return written_off


async def _buyagain(run: Session, chosen: Sequence[doubting.Doubt]) -> Report:
    doubting.check_quarantine(run.checkpoint, chosen)
    uncollected = sum(doubt.is_uncollected for doubt in chosen)
    parts = [("in doubt", len(chosen) - uncollected), ("uncollected", uncollected)]
    what = replace(plan_of_run(run), parts=[(name, count) for name, count in parts if count])
    order = Order(released=[doubt.record for doubt in chosen], by=doubting.BY_HAND)
    return await buy(run, what, order)
