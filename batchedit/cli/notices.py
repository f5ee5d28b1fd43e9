"""What ``--notify`` sends: started, the canary waits, stopped and why, finished; each with what to do next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from typing import Any

from ..commands.kept_settings import Given
from ..commands.quote import Quote
from ..commands.status import read_store_status
from ..commands.store import has_other_workers, is_first_to_tell
from ..core.errors import BatcheditError
from ..core.model import State
from ..core.money import format_usd, label_play
from ..core.typed import quote_word, format_command
from ..core.visible import as_lines
from ..core.words import pluralize
from ..results.report import Report, list_next_steps
from ..review.notify import Pictures, build_notice, no_pictures
from ..run_folder import shorten_path

_OF_THE_RUN = frozenset({0, 1, 75, 76})
"""Exit codes that say how a run stands, and not what became of one process."""


def started(quote: Quote) -> dict[str, Any]:
    """A yes was said: it buys."""
    folder = quote.plan.folder
    price = f" for about {format_usd(quote.estimate)}{_play(quote)}" if quote.price else ""
    rest = f"; the other {quote.rest:,} wait for another yes" if quote.rest else ""
    lines = [
        f"{_name(folder)} has started: {pluralize(quote.count, 'picture')}{price}{rest}",
        f"→ to see how it goes: {format_command('status', shorten_path(folder), '--watch')}",
    ]
    return build_notice(_name(folder), None, as_lines(lines), "started")


def canary_waits(quote: Quote) -> dict[str, Any]:
    """The first few are bought, and the question about the rest stands at the terminal."""
    folder, canary = quote.plan.folder, quote.canary
    assert canary is not None
    price = f" for about {format_usd(quote.estimate)}{_play(quote)}" if quote.price else ""
    spent = f"{format_usd(canary.cost)} spent{_play(quote)}"
    lines = [
        f"{_name(folder)}: {canary.done:,} of the first {canary.jobs:,} {'is' if canary.jobs == 1 else 'are'} there, {spent}",
        f"The other {quote.count:,} wait for your yes{price}.",
        *(f"problem: {problem}" for problem in canary.problems[:3]),
        f"→ look at them: {quote_word(folder.absolute() / 'files')}",
        "→ then answer at the terminal where it was started",
    ]
    return build_notice(_name(folder), None, as_lines(lines), "canary_waiting")


def pictures(run_folder: Path) -> Pictures:
    """The first few pictures of the run, small, for a channel that takes any."""
    from ..commands.small_pictures import read_first_pictures  # noqa: PLC0415 - Pillow, which a text needs not

    return partial(read_first_pictures, run_folder)


def ended(report: Report, *, others: bool = False) -> dict[str, Any]:
    """The run is over: with everything, with failures, or stopped early and why. ``others``: for this worker alone, and
    others go on.
    """
    done, counts = report.counts.of(State.DONE), report.counts
    event = "canary_waiting" if report.rest_waits else "stopped" if report.halted else "finished"
    word = {"canary_waiting": "waits for your yes", "stopped": "has stopped"}.get(event, "is finished")
    wanted = sum(counts.by_state.values())
    spent = f"{format_usd(report.money.spent)} spent{label_play(report.play)}"
    head = _stopped(_name(report.folder)) if others else f"{_name(report.folder)} {word}"
    lines = [
        f"{head}: {done:,} of {pluralize(wanted, 'picture')}, {spent}",
        *([f"why: {report.halted}"] if report.halted else []),
    ]
    not_done = (State.FAILED, State.CANCELLED, State.IN_DOUBT, State.UNCOLLECTED)
    if told := ", ".join(f"{counts.of(state):,} {state.replace('_', ' ')}" for state in not_done if counts.of(state)):
        lines.append(told)
    lines += [f"{error.count:,} × {error.message}: {', '.join(error.rows)}" for error in report.errors[:3]]
    lines += [f"→ {step}" for step in list_next_steps(report)]
    return build_notice(report.folder.name, report.as_json(), as_lines(lines), event)


def left(name: str, error: BatcheditError | None, given: Given) -> tuple[dict[str, Any], Pictures]:
    """A worker leaves the run ``name`` of the store that ``given`` names: because of ``error``, or nothing is left to do."""
    others = error is not None and others_go_on(given["store"], error.code)
    try:
        folder, report = read_store_status(name, given)
    except BatcheditError as unread:
        return broken(name, error or unread, others=others), no_pictures
    if error is not None:
        report = replace(report, halted=str(error), hint=error.hint)
    return ended(report, others=others), pictures(folder.path)


def others_go_on(store: str | None, code: int) -> bool:
    """Does the exit code ``code`` end this worker alone, while others of the ``store`` work?"""
    return store is not None and code not in _OF_THE_RUN and has_other_workers(store)


def first_to_tell(store: str) -> Callable[[str, dict[str, Any]], bool]:
    """Says of a channel, an address, and a message whether the channel has yet to hear of it: each worker of a run in the
    store sends one at its end, and they all say the same. A reason that is one process's own is always told, and so is
    everything while the store can't be asked.
    """

    def first(channel: str, content: dict[str, Any]) -> bool:
        """Has ``channel`` yet to hear of it?"""
        report = content["report"]
        if report is None and content["event"] != "started":
            return True
        state = [time()] if report is None else [report["jobs"], report["usd"]["spent"], report["stopped"]]
        try:
            return is_first_to_tell(store, content["run"], channel, [content["event"], *state])
        except BatcheditError:
            return True

    return first


def broken(name: str, error: BaseException, *, others: bool = False) -> dict[str, Any]:
    """It ended without a report. ``name`` is what was typed for the run. ``others`` as ``ended`` takes it."""
    why = [str(error) or type(error).__name__]
    hint = ""
    if isinstance(error, BatcheditError):
        why, hint = list(error.lines), error.hint
    told = Path(name).stem or name
    lines = [
        _stopped(told) if others else f"{told} has stopped",
        f"why: {why[0]}",
        *why[1:4],
        *([f"→ {hint}"] if hint else []),
    ]
    return build_notice(told, None, as_lines(lines), "stopped")


def _stopped(name: str) -> str:
    return f"a worker of {name} has stopped, others go on"


def _name(folder: Path) -> str:
    return folder.absolute().name


def _play(quote: Quote) -> str:
    return label_play(quote.plan.play)
