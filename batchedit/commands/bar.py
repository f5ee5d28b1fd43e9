"""How far a run is: a bar on a terminal, a line a minute elsewhere. What matters most comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import IO

from tqdm import tqdm

from ..core.model import State
from ..core.money import format_usd
from ..core.plurals_and_durations import format_duration
from ..core.safe_text import to_one_line
from ..core.slowdown import SLOWED
from ..ports import Snapshot

STILL_OPEN = (State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED)
LINE_SECONDS = 60.0
_FORMAT = "{percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} done {desc}"
_BAR_COLUMNS = len("100%|") + 10 + len("| / done ")
"""Columns of the bar without its two numbers and its description."""


class Bar:
    """A tqdm bar of finished jobs with why buying waits, the time left and the money. Only for a terminal."""

    def __init__(self, total: int, stream: IO[str], *, play: bool = False) -> None:
        self._bar = tqdm(total=total, file=stream, unit="job", dynamic_ncols=True, mininterval=0.2, bar_format=_FORMAT)
        self._total, self._play = total, play

    def refresh(self, now: Snapshot) -> None:
        """Show as much of ``now`` as there is room for."""
        self._bar.n = now.counts.of(State.DONE)
        bar_state = self._bar.format_dict
        elapsed, finished = bar_state["elapsed"] or 0.0, bar_state["n"] - bar_state["initial"]
        rate = finished / elapsed * 60 if elapsed > 1 else 0.0
        room = (bar_state["ncols"] or 80) - _BAR_COLUMNS - len(f"{self._bar.n}{self._total}") - 1
        self._bar.set_description_str(describe_progress(now, room, rate=rate, play=self._play), refresh=True)

    def say(self, text: str) -> None:
        """Write lines above the bar. ``text`` holds no control characters but line ends."""
        self._bar.write(text, file=self._bar.fp)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bar.close()


class ProgressLines:
    """The same as one line a minute, where there is no terminal. The first comes after a minute."""

    def __init__(
        self, total: int, say: Callable[[str], None], *, play: bool = False, clock: Callable[[], float] = monotonic
    ) -> None:
        self._total, self._say, self._play, self._clock = total, say, play, clock
        self._due = clock() + LINE_SECONDS

    def refresh(self, now: Snapshot) -> None:
        """Print ``now`` if the last line is a minute old."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + LINE_SECONDS
        self._say(f"{now.counts.of(State.DONE):,} of {self._total:,} done · {describe_progress(now, play=self._play)}")


def describe_progress(now: Snapshot, room: int | None = None, *, rate: float = 0.0, play: bool = False) -> str:
    """State and time left first, then money and what went wrong, without what is zero. Parts that do not fit into ``room``
    columns are left out whole. ``rate`` is jobs a minute; ``play``: the money is play money.
    """
    line = ""
    for part in _list_parts(now, rate, play=play):
        longer = to_one_line(f"{line} · {part}" if line else part)
        if room is not None and len(longer) > room:
            break
        line = longer
    return line


def _list_parts(now: Snapshot, rate: float, *, play: bool) -> Iterator[str]:
    counts, money, open_now = now.counts, now.money, now.counts.of(*STILL_OPEN)
    states = (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED)
    unspent = (
        (money.reserved - money.in_doubt, "reserved"),
        (money.in_doubt, "in doubt"),
        (money.cancellable, "cancellable"),
    )
    label = " play money" if play else ""
    labelled = "" if money.spent else next((name for amount, name in unspent if amount), "")
    slowed = "" if now.slowed is None else str(now.slowed) if now.paused else now.slowed.details()
    likely, nine_in_ten = (format_duration(seconds) for seconds in now.eta) if now.eta is not None else ("", "")
    parts = [
        (now.paused or now.slowed, "waiting" if now.paused else SLOWED),
        (likely, f"{likely} left"),
        (money.spent, f"{format_usd(money.spent)}{label}"),
        *((counts.of(state), f"{counts.of(state):,} {state.replace('_', ' ')}") for state in states),
        (open_now, f"{open_now:,} under way"),
        (now.stalled, f"{now.stalled:,} unusually slow"),
        (nine_in_ten != likely, f"90 %: {nine_in_ten}"),
        (rate, f"{rate:.0f}/min"),
        *((amount, f"{format_usd(amount)}{label if name == labelled else ''} {name}") for amount, name in unspent),
        (now.paused, now.paused),
        (now.slowed, slowed),
    ]
    return (text for is_shown, text in parts if is_shown)
