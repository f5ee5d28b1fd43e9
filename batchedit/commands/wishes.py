"""What a person wishes of a run that goes on in another process: pause, go on, stop, another speed, another cap.

A wish is written beside the checkpoint, and the run's own process heeds it within a second: no signal is sent, and the
checkpoint keeps its one writer. It holds for the process that goes on when it is said; the next one begins without it. A
wish never lifts what a confirmation bound, except the cap that a person sets.
"""

from __future__ import annotations

import getpass
from pathlib import Path

from ..core.errors import UsageError
from ..core.policy import NO_CAP, GivenCap
from ..core.typed import to_type
from ..core.words import number
from ..ledger.opening import reading
from ..ledger.wishes import Wish, Wishes
from ..results.report import compute_cap_needed, format_cap_option_for_rest
from ..run_folder import RunFolder, find_run, near
from .live import BUYING, live_in
from .store_words import store_words

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
    """Write down what is wished of ``run`` (its folder, name or sheet); returns its folder. Durable when it returns.

    ``pause``: nothing more is bought, what was bought is collected. ``resume`` ends that. ``stop`` ends the process in
    order. ``concurrency``: so many jobs in flight, 0 finds out how many. ``max_cost``: the run's cap from now on, in
    micro-dollars, ``"none"`` for none.

    UsageError (64) if nothing is wished, or if nobody works on the run: then there is nobody to heed it.
    """
    folder = find_run(run, out)
    wishes = [(Wish.PAUSE, "")] * pause + [(Wish.RESUME, "")] * resume + [(Wish.STOP, "")] * stop
    if concurrency is not None:
        if not 0 <= concurrency <= MOST_AT_ONCE:
            raise UsageError(f"{number(concurrency, 'job')} at once can't be: 1 to {MOST_AT_ONCE:,}, or 0 to find out")
        wishes.append((Wish.CONCURRENCY, str(concurrency)))
    if max_cost is not None:
        wishes.append((Wish.MAX_COST, str(max_cost)))
    if not wishes:
        raise UsageError("nothing was wished", hint="-j N, --max-cost USD, or both")
    _must_go_on(folder)
    Wishes(folder.path).add(*wishes, who=who or _login())
    return folder.path


def _must_go_on(folder: RunFolder) -> None:
    now = live_in(folder)
    if not now.alive or (now.doing and now.doing not in BUYING):
        raise UsageError(
            f"nobody works on {near(folder.path)}, so there is nobody to heed it",
            hint=f"to go on with it: {way_on(folder)}",
        )


def way_on(folder: RunFolder) -> str:
    """The command to type for what the run has not bought, with the cap that it needs."""
    with reading(folder.checkpoint) as checkpoint:
        room, store = format_cap_option_for_rest(compute_cap_needed(checkpoint)), store_words(checkpoint)
    return to_type("run", near(folder.path), *room, *store)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


__all__ = ["MOST_AT_ONCE", "NO_CAP", "way_on", "wish"]
