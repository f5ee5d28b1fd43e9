"""``batchedit doubt``: lists the jobs that may have been bought or can't be collected, and decides about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import time

from ..core.errors import LockedError, UsageError
from ..core.model import State
from ..core.shell_commands import format_command
from ..ledger.book import Book
from ..ledger.lock import hold_run_lock
from ..ledger.opening import open_for_reading
from ..results.report import Report, compute_cap_needed, format_cap_option, format_cap_option_for_rest
from ..run_folder import RunFolder, read_form_of_run
from . import decide_doubts as doubting
from .finish import finish, write_report
from .host import Host
from .kept_settings import Given, load_run_settings
from .observers import ObserverGroup
from .open_run import open_run
from .open_run_to_read import find_run_here, open_run_to_read
from .play_money import is_play, note_purchase
from .purchase_order import Order
from .purchase_stages import buy, make_plan_of_run
from .session import Session, reopen_session
from .store_options import build_store_words
from .wiring import make_asking_client


@dataclass(frozen=True, slots=True)
class DoubtReport:
    """What is still in doubt or uncollected, how many were decided just now, and how the run stands after a purchase.

    ``room`` are the options that raise the run's cap so that one of them can be bought again, ``store`` those by which a
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
        """The exit code: after a purchase that of the run; else 76 if any is in doubt, 75 if any is uncollected, or 0."""
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

    Those of ``buy_again`` are new purchases, which are priced and asked about; nothing else here buys.
    """
    folder = find_run_here(run_name, given)
    _note_crashes(folder, given, host)
    adopted = written_off = 0
    bought = None
    if pasted:
        async with reopen_session(run_name, given, host, "doubt") as run:
            async with make_asking_client(
                run.settings, run.service, run.model, ObserverGroup(host.observers())
            ) as client:
                form, hint = read_form_of_run(run.checkpoint, folder), _build_hint(folder, run.checkpoint)
                note_purchase(run.checkpoint, run.settings, host.environ, run.service.explain_other_service)
                adopted = await doubting.adopt(run.checkpoint, client, pasted, form, hint)
            finish(run, None)
    if buy_again or write_off:
        written_off = _write_off(folder, given, host, write_off, buy_again)
    if buy_again:
        async with reopen_session(run_name, given, host, "doubt") as run:
            if written_off:  # a no to the question leaves these given up
                host.say(f"{written_off:,} written off")
            bought = await _buy_again(run, doubting.pick_to_buy(_list_doubts(run.checkpoint, folder), buy_again))
    with open_for_reading(folder.checkpoint) as checkpoint:
        doubts, room, store = (
            _list_doubts(checkpoint, folder),
            format_cap_option(checkpoint, 1),
            build_store_words(checkpoint),
        )
        play = is_play(checkpoint)
    return DoubtReport(folder.path, doubts, adopted, written_off, bought, room, play, store)


def _note_crashes(folder: RunFolder, given: Given, host: Host) -> None:
    """Put in doubt what a process was sending when it died. A process that lives holds the lock and is still sending. In a
    store the leases tell which workers live.
    """
    with open_run_to_read(str(folder.path), given) as (_, checkpoint):
        if checkpoint.get("store") or not checkpoint.read_records_in({State.SUBMITTING}):
            return
    with (
        suppress(LockedError),
        hold_run_lock(folder.path, "doubt"),
        closing(open_run(folder, load_run_settings(folder, given), host.say, host.environ)) as run,
    ):
        doubting.note_crashes(run)


def _list_doubts(checkpoint: Book, folder: RunFolder) -> list[doubting.Doubt]:
    return doubting.list_doubts(checkpoint, read_form_of_run(checkpoint, folder))


def _build_hint(folder: RunFolder, checkpoint: Book) -> str:
    """The hint for a row that is not in doubt: it may have been released before and not be bought yet."""
    if checkpoint.count_to_buy():
        words = [*format_cap_option_for_rest(compute_cap_needed(checkpoint)), *build_store_words(checkpoint)]
        return f"what is not bought yet, a job that was to be bought again too: {format_command('run', folder.path, *words)}"
    return f"which there are: {format_command('doubt', folder.path, *build_store_words(checkpoint))}"


def _write_off(folder: RunFolder, given: Given, host: Host, write_off: Sequence[str], buy_again: Sequence[str]) -> int:
    """Write off what ``write_off`` names. UsageError, and nothing is done, if anything is wrong with either list."""
    started_at = time()
    with hold_run_lock(folder.path, "doubt"):
        settings = load_run_settings(folder, given, host.environ)
        with closing(open_run(folder, settings, host.say, host.environ)) as checkpoint:
            doubts = _list_doubts(checkpoint, folder)
            hint = _build_hint(folder, checkpoint)
            to_buy, to_write_off = (
                doubting.pick_to_buy(doubts, buy_again, hint),
                doubting.pick_doubts(doubts, write_off, hint),
            )
            if named_twice := {d.record.job.name for d in to_buy} & {d.record.job.name for d in to_write_off}:
                raise UsageError(f"{', '.join(sorted(named_twice))}: buy again or write off, not both")
            written_off = doubting.write_off(checkpoint, to_write_off)
            if written_off:
                write_report(checkpoint, folder, settings, started_at=started_at)
            return written_off


async def _buy_again(run: Session, chosen: Sequence[doubting.Doubt]) -> Report:
    doubting.check_quarantine(run.checkpoint, chosen)
    uncollected = sum(doubt.is_uncollected for doubt in chosen)
    parts = [("in doubt", len(chosen) - uncollected), ("uncollected", uncollected)]
    plan = replace(make_plan_of_run(run), parts=[(name, count) for name, count in parts if count])
    order = Order(released=[doubt.record for doubt in chosen], by=doubting.BY_HAND)
    return await buy(run, plan, order)
