"""The live state of a run as text: who works on it, how long it needs, what slows or stopped it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from ..commands.live import LiveState
from ..core.model import State
from ..core.money import format_sums, format_usd, label_play
from ..core.plurals_and_durations import format_duration, pluralize
from ..core.safe_text import to_one_line
from ..results.report import UNDER_WAY

_NOBODY = "nobody works on it"
_STATE_TEXTS = {
    "going": "going on",
    "paused": "paused",
    "busy": "another command works on it",
    "stopped": _NOBODY,
    "canary": _NOBODY,
}


def format_live_state(live_state: LiveState) -> Iterator[str]:
    """The lines of ``status`` besides the counts and sums. None for a run that is finished."""
    if live_state.state in _STATE_TEXTS:
        worker_text = f", pid {live_state.pid} on {live_state.host} ({live_state.doing})" if live_state.pid else ""
        worker_text = f", {pluralize(live_state.workers, 'worker')} of the store" if live_state.workers else worker_text
        since_text = (
            f", since {_format_clock(live_state.started_at)}" if live_state.alive and live_state.started_at else ""
        )
        yield f"  process   {_STATE_TEXTS[live_state.state]}{worker_text}{since_text}"
    if live_state.state == "going" and live_state.seconds_left is not None:
        median_seconds, p90_seconds = live_state.seconds_left
        yield f"  left      about {format_duration(median_seconds)} (nine times in ten within {format_duration(p90_seconds)})"
    if live_state.waiting:
        yield f"  waiting   {live_state.waiting}"
    if live_state.alive and live_state.slowed:
        yield f"  slowed    {live_state.slowed}"
    if live_state.unusually_slow:
        yield f"  slow      {live_state.unusually_slow:,} take unusually long"
    if live_state.stopped:
        yield f"  stopped   {live_state.stopped.removeprefix('stopped, ')}"
    if live_state.last_word and live_state.state != "finished":
        clock = _format_clock(live_state.last_word.get("at"))
        yield to_one_line(f"  trouble   {clock}: {live_state.last_word.get('message')}")


def format_watch_screen(live_state: LiveState, *, play: bool = False) -> list[str]:
    """A whole screen of ``status --watch``. ``play``: the money is play money."""
    other_counts = [
        (live_state.of(*UNDER_WAY), "under way"),
        (live_state.of(State.PLANNED), "not bought yet"),
        (live_state.of(State.FAILED), "failed"),
    ]
    other_counts += [(live_state.of(State.IN_DOUBT), "in doubt"), (live_state.of(State.UNCOLLECTED), "uncollected")]
    jobs_text = ", ".join(
        [f"{live_state.of(State.DONE):,} done", *(f"{count:,} {name}" for count, name in other_counts if count)]
    )
    money_text = format_sums(live_state.spent, (live_state.reserved, "reserved"))
    cap_text = "" if live_state.cap is None else f", at most {format_usd(live_state.cap)}"
    main_lines = [
        to_one_line(f"{live_state.folder}: {jobs_text}"),
        f"  money     {money_text}{cap_text}{label_play(play)}",
        *format_live_state(live_state),
    ]
    return [
        *main_lines,
        *(to_one_line(f"  picture   {picture.get('file')}") for picture in live_state.last_pictures[-3:]),
    ]


def _format_clock(at: float | None) -> str:
    """The local time of day; with the date if that is not today."""
    if at is None:
        return "?"
    local_time, today = dt.datetime.fromtimestamp(at).astimezone(), dt.datetime.now().astimezone().date()
    return f"{local_time:%H:%M}" if local_time.date() == today else f"{local_time:%Y-%m-%d %H:%M}"
