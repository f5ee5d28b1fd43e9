"""Wishes for a run that goes on in another process: pause, go on, stop, another number of jobs in flight, another cap.

A wish is written beside the checkpoint, and the run's own process handles it within a second: no signal is sent, and the
checkpoint keeps its one writer. It holds for the process that runs at that moment; the next one begins without it. A wish
never exceeds what the person has confirmed, except for a cap that the person sets.
"""

from __future__ import annotations

import getpass
from pathlib import Path

from ..core.budget import NO_CAP, GivenCap
from ..core.errors import UsageError
from ..core.plurals_and_durations import pluralize
from ..core.shell_commands import format_command
from ..ledger.opening import open_for_reading
from ..ledger.pause_stop_wishes import Wish, Wishes
from ..results.report import compute_cap_needed, format_cap_option_for_rest
from ..run_folder import RunFolder, find_run, shorten_path
from .live import BUYING, read_live_state
from .store_options import build_store_words

MOST_AT_ONCE = 10_000


def wish(
    run: str,
    out: str | None = None,
    *,
    pause: bool = False,
    resume: bool = False,
    stop: bool = False,
    concurrency: int | None = None,
    max_cost: GivenCap = None,
    who: str = "",
) -> Path:
    """Write wishes for ``run`` (its folder, name or sheet); returns its folder. Durable when it returns.

    ``pause``: nothing more is bought, what was bought is collected. ``resume`` ends that. ``stop`` ends the process in
    order. ``concurrency``: the number of jobs in flight, 0 to learn it. ``max_cost``: the run's cap from now on, in
    micro-dollars, ``"none"`` for none.

    UsageError (64) if there is no wish, or if no process works on the run that could handle it.
    """
    folder = find_run(run, out)
    requested = [(Wish.PAUSE, "")] * pause + [(Wish.RESUME, "")] * resume + [(Wish.STOP, "")] * stop
    if concurrency is not None:
        if not 0 <= concurrency <= MOST_AT_ONCE:
            raise UsageError(
                f"{pluralize(concurrency, 'job')} at once can't be: 1 to {MOST_AT_ONCE:,}, or 0 to find out"
            )
        requested.append((Wish.CONCURRENCY, str(concurrency)))
    if max_cost is not None:
        requested.append((Wish.MAX_COST, str(max_cost)))
    if not requested:
        raise UsageError("nothing was wished", hint="-j N, --max-cost USD, or both")
    _check_goes_on(folder)
    Wishes(folder.path).add(*requested, who=who or _find_login())
    return folder.path


def _check_goes_on(folder: RunFolder) -> None:
    live = read_live_state(folder)
    if not live.alive or (live.doing and live.doing not in BUYING):
        raise UsageError(
            f"nobody works on {shorten_path(folder.path)}, so there is nobody to heed it",
            hint=f"to go on with it: {format_resume_command(folder)}",
        )


def format_resume_command(folder: RunFolder) -> str:
    """The command that buys the rest of the run, with the cap that it needs."""
    with open_for_reading(folder.checkpoint) as checkpoint:
        room, store = format_cap_option_for_rest(compute_cap_needed(checkpoint)), build_store_words(checkpoint)
    return format_command("run", shorten_path(folder.path), *room, *store)


def _find_login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


__all__ = ["MOST_AT_ONCE", "NO_CAP", "format_resume_command", "wish"]
