"""Whether a run goes on, for the eye: who works on it, how long it needs, what slows or stopped it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from ..commands.live import LiveState
from ..core.model import State
from ..core.money import format_usd, label_play, format_sums
from ..core.visible import to_one_line
from ..core.words import format_duration, pluralize
from ..results.report import UNDER_WAY

_NOBODY = "nobody works on it"
_WORDS = {
    "going": "going on",
    "paused": "paused",
    "busy": "another command works on it",
    "stopped": _NOBODY,
    "canary": _NOBODY,
}


def live_lines(now: LiveState) -> Iterator[str]:
    """What the status says besides the numbers. Nothing for a run that is over in every way."""
    if now.state in _WORDS:
        who = f", pid {now.pid} on {now.host} ({now.doing})" if now.pid else ""
        who = f", {pluralize(now.workers, 'worker')} of the store" if now.workers else who
        since = f", since {_clock(now.started_at)}" if now.alive and now.started_at else ""
        yield f"  process   {_WORDS[now.state]}{who}{since}"
    if now.state == "going" and now.seconds_left is not None:
        half, most = now.seconds_left
        yield f"  left      about {format_duration(half)} (nine times in ten within {format_duration(most)})"
    if now.waiting:
        yield f"  waiting   {now.waiting}"
    if now.alive and now.slowed:
        yield f"  slowed    {now.slowed}"
    if now.unusually_slow:
        yield f"  slow      {now.unusually_slow:,} take unusually long"
    if now.stopped:
        yield f"  stopped   {now.stopped.removeprefix('stopped, ')}"
    if now.last_word and now.state != "finished":
        at = _clock(now.last_word.get("at"))
        yield to_one_line(f"  trouble   {at}: {now.last_word.get('message')}")


def watched_lines(now: LiveState, *, play: bool = False) -> list[str]:
    """A whole screen of ``status --watch``. ``play``: the money is play money."""
    words = [
        (now.of(*UNDER_WAY), "under way"),
        (now.of(State.PLANNED), "not bought yet"),
        (now.of(State.FAILED), "failed"),
    ]
    words += [(now.of(State.IN_DOUBT), "in doubt"), (now.of(State.UNCOLLECTED), "uncollected")]
    jobs = ", ".join([f"{now.of(State.DONE):,} done", *(f"{count:,} {name}" for count, name in words if count)])
    money = format_sums(now.spent, (now.reserved, "reserved"))
    cap = "" if now.cap is None else f", at most {format_usd(now.cap)}"
    lines = [to_one_line(f"{now.folder}: {jobs}"), f"  money     {money}{cap}{label_play(play)}", *live_lines(now)]
    return [*lines, *(to_one_line(f"  picture   {picture.get('file')}") for picture in now.last_pictures[-3:])]


def _clock(at: float | None) -> str:
    """The hour on the wall; with its day where that is another one."""
    if at is None:
        return "?"
    then, today = dt.datetime.fromtimestamp(at).astimezone(), dt.datetime.now().astimezone().date()
    return f"{then:%H:%M}" if then.date() == today else f"{then:%Y-%m-%d %H:%M}"
