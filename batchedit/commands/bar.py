"""How far a run is, for the eye: a bar on a terminal, a line a minute elsewhere. What matters most stands first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import IO

from tqdm import tqdm

from ..core.model import State
from ..core.money import format_usd
from ..core.slowdown import SLOWED
from ..core.visible import one_line
from ..core.words import minutes
from ..ports import Snapshot

STILL_OPEN = (State.SUBMITTING, State.WAITING, State.CANCELLING, State.FETCHED)
LINE_SECONDS = 60.0
_FORMAT = "{percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} done {desc}"
_DRAWN = len("100%|") + 10 + len("| / done ")
"""Columns of the bar besides its two numbers and what is said of them."""


class Bar:
    """A tqdm bar of finished jobs, with what holds it up, the time left and the money. Make it on a terminal only."""

    def __init__(self, total: int, stream: IO[str], *, play: bool = False) -> None:
        self._bar = tqdm(total=total, file=stream, unit="job", dynamic_ncols=True, mininterval=0.2, bar_format=_FORMAT)
        self._total, self._play = total, play

    def refresh(self, now: Snapshot) -> None:
        """Show ``now``, as much of it as there is room for."""
        self._bar.n = now.counts.of(State.DONE)
        shown = self._bar.format_dict
        passed, made = shown["elapsed"] or 0.0, shown["n"] - shown["initial"]
        rate = made / passed * 60 if passed > 1 else 0.0
        room = (shown["ncols"] or 80) - _DRAWN - len(f"{self._bar.n}{self._total}") - 1
        self._bar.set_description_str(described(now, room, rate=rate, play=self._play), refresh=True)

    def say(self, text: str) -> None:
        """Lines above the bar. ``text`` holds no control but line ends."""
        self._bar.write(text, file=self._bar.fp)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._bar.close()


class Minutely:
    """The same as a line a minute, where there is no terminal. The first comes after a minute."""

    def __init__(
        self, total: int, say: Callable[[str], None], *, play: bool = False, clock: Callable[[], float] = monotonic
    ) -> None:
        self._total, self._say, self._play, self._clock = total, say, play, clock
        self._due = clock() + LINE_SECONDS

    def refresh(self, now: Snapshot) -> None:
        """Say ``now`` if the last line is a minute old."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + LINE_SECONDS
        self._say(f"{now.counts.of(State.DONE):,} of {self._total:,} done · {described(now, play=self._play)}")


def described(now: Snapshot, room: int | None = None, *, rate: float = 0.0, play: bool = False) -> str:
    """State and time left first, then money and what went wrong; nothing that is zero. What does not fit into ``room``
    columns is left out by whole parts. ``rate`` is jobs a minute, ``play``: the money is play money.
    """
    told = ""
    for part in _parts(now, rate, play=play):
        more = one_line(f"{told} · {part}" if told else part)
        if room is not None and len(more) > room:
            break
        told = more
    return told


def _parts(now: Snapshot, rate: float, *, play: bool) -> Iterator[str]:
    counts, money, open_now = now.counts, now.money, now.counts.of(*STILL_OPEN)
    states = (State.FAILED, State.IN_DOUBT, State.UNCOLLECTED)
    held = (
        (money.reserved - money.in_doubt, "reserved"),
        (money.in_doubt, "in doubt"),
        (money.cancellable, "cancellable"),
    )
    kind = " play money" if play else ""
    first = "" if money.spent else next((name for sum_, name in held if sum_), "")
    slowed = "" if now.slowed is None else str(now.slowed) if now.paused else now.slowed.details()
    half, most = (minutes(seconds) for seconds in now.eta) if now.eta is not None else ("", "")
    parts = [
        (now.paused or now.slowed, "waiting" if now.paused else SLOWED),
        (half, f"{half} left"),
        (money.spent, f"{format_usd(money.spent)}{kind}"),
        *((counts.of(state), f"{counts.of(state):,} {state.replace('_', ' ')}") for state in states),
        (open_now, f"{open_now:,} under way"),
        (now.stalled, f"{now.stalled:,} unusually slow"),
        (most != half, f"90 %: {most}"),
        (rate, f"{rate:.0f}/min"),
        *((sum_, f"{format_usd(sum_)}{kind if name == first else ''} {name}") for sum_, name in held),
        (now.paused, now.paused),
        (now.slowed, slowed),
    ]
    return (text for there, text in parts if there)
