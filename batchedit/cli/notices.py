"""The messages of ``--notify``: started, the canary waits, stopped and why, finished; each with what to do next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from typing import Any

from ..commands.kept_settings import Given
from ..commands.quote_to_confirm import Quote
from ..commands.status import read_store_status
from ..commands.store import has_other_workers, is_first_to_tell
from ..core.errors import BatcheditError
from ..core.model import State
from ..core.money import format_usd, label_play
from ..core.plurals_and_durations import pluralize
from ..core.safe_text import as_lines
from ..core.shell_commands import format_command, quote_word
from ..results.report import Report, list_next_steps
from ..review.notify import Pictures, build_notice, no_pictures
from ..run_folder import shorten_path

_RUN_EXIT_CODES = frozenset({0, 1, 75, 76})
"""Exit codes that tell the state of a run, and not of one process."""


def describe_start(quote: Quote) -> dict[str, Any]:
    """The run was confirmed and buys."""
    folder = quote.plan.folder
    price_text = f" for about {format_usd(quote.estimate)}{_label_play(quote)}" if quote.price else ""
    rest_text = f"; the other {quote.rest:,} wait for another yes" if quote.rest else ""
    lines = [
        f"{_name_run(folder)} has started: {pluralize(quote.count, 'picture')}{price_text}{rest_text}",
        f"→ to see how it goes: {format_command('status', shorten_path(folder), '--watch')}",
    ]
    return build_notice(_name_run(folder), None, as_lines(lines), "started")


def describe_waiting_canary(quote: Quote) -> dict[str, Any]:
    """The canary is bought, and the terminal asks about the rest."""
    folder, canary = quote.plan.folder, quote.canary
    assert canary is not None
    price_text = f" for about {format_usd(quote.estimate)}{_label_play(quote)}" if quote.price else ""
    spent_text = f"{format_usd(canary.cost)} spent{_label_play(quote)}"
    verb_text = "is" if canary.jobs == 1 else "are"
    lines = [
        f"{_name_run(folder)}: {canary.done:,} of the first {canary.jobs:,} {verb_text} there, {spent_text}",
        f"The other {quote.count:,} wait for your yes{price_text}.",
        *(f"problem: {problem}" for problem in canary.problems[:3]),
        f"→ look at them: {quote_word(folder.absolute() / 'files')}",
        "→ then answer at the terminal where it was started",
    ]
    return build_notice(_name_run(folder), None, as_lines(lines), "canary_waiting")


def make_picture_loader(folder: Path) -> Pictures:
    """A function that loads the first few pictures of the run, small, for a channel that takes pictures."""
    from ..commands.thumbnails_on_demand import read_first_pictures  # noqa: PLC0415 - Pillow, which a text does not need

    return partial(read_first_pictures, folder)


def describe_end(report: Report, *, others_remain: bool = False) -> dict[str, Any]:
    """The run has ended: complete, with failures, or stopped early and why. ``others_remain``: it has ended for this worker
    alone, and other workers go on.
    """
    done, counts = report.counts.of(State.DONE), report.counts
    event = "canary_waiting" if report.rest_waits else "stopped" if report.halted else "finished"
    status_text = {"canary_waiting": "waits for your yes", "stopped": "has stopped"}.get(event, "is finished")
    job_count = sum(counts.by_state.values())
    spent_text = f"{format_usd(report.money.spent)} spent{label_play(report.play)}"
    first_line = (
        _describe_stopped_worker(_name_run(report.folder))
        if others_remain
        else f"{_name_run(report.folder)} {status_text}"
    )
    lines = [
        f"{first_line}: {done:,} of {pluralize(job_count, 'picture')}, {spent_text}",
        *([f"why: {report.halted}"] if report.halted else []),
    ]
    unfinished_states = (State.FAILED, State.CANCELLED, State.IN_DOUBT, State.UNCOLLECTED)
    if not_done_text := ", ".join(
        f"{counts.of(state):,} {state.replace('_', ' ')}" for state in unfinished_states if counts.of(state)
    ):
        lines.append(not_done_text)
    lines += [f"{error.count:,} × {error.message}: {', '.join(error.rows)}" for error in report.errors[:3]]
    lines += [f"→ {step}" for step in list_next_steps(report)]
    return build_notice(report.folder.name, report.as_json(), as_lines(lines), event)


def describe_worker_end(name: str, error: BatcheditError | None, given: Given) -> tuple[dict[str, Any], Pictures]:
    """A worker leaves the run ``name`` of the store in ``given``: because of ``error``, or because nothing is left to do."""
    others_remain = error is not None and is_end_of_this_worker_only(given["store"], error.code)
    try:
        folder, report = read_store_status(name, given)
    except BatcheditError as read_error:
        return describe_failure(name, error or read_error, others_remain=others_remain), no_pictures
    if error is not None:
        report = replace(report, halted=str(error), hint=error.hint)
    return describe_end(report, others_remain=others_remain), make_picture_loader(folder.path)


def is_end_of_this_worker_only(store: str | None, code: int) -> bool:
    """Does the exit code ``code`` end this worker alone, while others of the ``store`` work?"""
    return store is not None and code not in _RUN_EXIT_CODES and has_other_workers(store)


def make_news_check(store: str) -> Callable[[str, dict[str, Any]], bool]:
    """A function of a channel's address and a message: has the message not been sent to the channel yet? Each worker of a run
    in the store sends one at its end, and all have the same content. True for a message that is about one process alone, and
    while the store does not answer.
    """

    def is_news(channel: str, content: dict[str, Any]) -> bool:
        """Has ``content`` not been sent to ``channel`` yet?"""
        report = content["report"]
        if report is None and content["event"] != "started":
            return True
        state = [time()] if report is None else [report["jobs"], report["usd"]["spent"], report["stopped"]]
        try:
            return is_first_to_tell(store, content["run"], channel, [content["event"], *state])
        except BatcheditError:
            return True

    return is_news


def describe_failure(name: str, error: BaseException, *, others_remain: bool = False) -> dict[str, Any]:
    """The command ended without a report. ``name`` is what was typed for the run. ``others_remain``: see ``describe_end``."""
    reasons = [str(error) or type(error).__name__]
    hint = ""
    if isinstance(error, BatcheditError):
        reasons, hint = list(error.lines), error.hint
    run_name = Path(name).stem or name
    lines = [
        _describe_stopped_worker(run_name) if others_remain else f"{run_name} has stopped",
        f"why: {reasons[0]}",
        *reasons[1:4],
        *([f"→ {hint}"] if hint else []),
    ]
    return build_notice(run_name, None, as_lines(lines), "stopped")


def _describe_stopped_worker(name: str) -> str:
    return f"a worker of {name} has stopped, others go on"


def _name_run(folder: Path) -> str:
    return folder.absolute().name


def _label_play(quote: Quote) -> str:
    return label_play(quote.plan.play)
