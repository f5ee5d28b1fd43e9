"""The commands for a run that goes on in another process: its state, and wishes to pause, stop or change it."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import ServiceUnavailableError, UsageError
from ..core.safe_text import as_lines, to_one_line
from ..core.shell_commands import format_command
from .completion import complete_run
from .group import command
from .json_output import print_json
from .json_values import status_to_json
from .option_values import parse_cap_option, parse_concurrency_option
from .options import COMMON_OPTIONS, JSON_OPTION, STORE_OPTION, options, read_given_options

if TYPE_CHECKING:
    from ..commands.live import LiveState
    from ..run_folder import RunFolder

REDRAW_SECONDS = 1.0
READS_WITHOUT_WORKER = 3
"""After so many reads without a worker at it, a run of a store counts as not worked on."""
AWAY_SECONDS = 60.0
"""How long a store that has answered before may be away."""
LINE_SECONDS = 60.0
"""Without a terminal the numbers are printed once a minute."""


@command("status")
@click.argument("run", shell_complete=complete_run)
@click.option("--watch", is_flag=True, help="Show it again each second, for as long as somebody works on the run.")
@options(STORE_OPTION, JSON_OPTION, COMMON_OPTIONS)
@click.pass_context
def status(ctx: click.Context, /, run: str, *, watch: bool, as_json: bool, **_: Any) -> int:
    """Is it running, how long does it need; counts by state, money, the commonest errors."""
    from ..commands.live import read_live_state  # noqa: PLC0415 - `--help` needs none of it
    from ..commands.status import status as read_status  # noqa: PLC0415
    from ..run_folder import RunFolder  # noqa: PLC0415
    from .live_text import format_live_state  # noqa: PLC0415
    from .printed_text import format_report  # noqa: PLC0415

    if watch and as_json:
        raise UsageError(
            "--json is one object, and --watch shows many", hint="ask again with --json as often as you like"
        )
    folder, report = read_status(run, read_given_options(ctx))
    if watch:
        _watch_run(folder, read_given_options(ctx).get("store"), play=report.play)
        report = read_status(run, read_given_options(ctx))[1]
    live_state = read_live_state(RunFolder(report.folder), store=read_given_options(ctx).get("store"))
    if as_json:
        print_json("status", status_to_json(live_state, report))
        return 0
    if live_state.alive and live_state.slowed:
        report = replace(report, slowed=None)  # the live lines show what slows it now
    first_line, *other_lines = format_report(report, going=live_state.alive).split("\n")
    click.echo(as_lines([first_line, *format_live_state(live_state), *other_lines]))
    return 0


def _poll_live_state(folder: RunFolder, store: str | None) -> Iterator[LiveState]:
    """The live state of the run once a second, for as long as a process works on it. A worker of a store may have none of its
    jobs for a moment, so several reads decide. A store that has answered and restarts is waited for as long as its workers
    wait.
    """
    from ..commands.live import read_live_state  # noqa: PLC0415 - `--help` needs none of it

    reads_allowed = reads_left = 1 if store is None else READS_WITHOUT_WORKER
    patient_until = -math.inf
    while reads_left:
        try:
            live_state = read_live_state(folder, store=store)
        except ServiceUnavailableError:
            if monotonic() > patient_until:
                raise
            sleep(REDRAW_SECONDS)
            continue
        patient_until = monotonic() + AWAY_SECONDS
        reads_left = reads_allowed if live_state.alive else 0 if live_state.state == "finished" else reads_left - 1
        if live_state.alive:
            yield live_state
        if reads_left:
            sleep(REDRAW_SECONDS)


def _watch_run(folder: RunFolder, store: str | None, *, play: bool) -> None:
    """Redraw on a terminal; one line a minute elsewhere."""
    from .live_text import format_watch_screen  # noqa: PLC0415
    from .streams import clear_last_lines, fold  # noqa: PLC0415

    drawn_lines, printed_at = 0, -LINE_SECONDS
    is_terminal = sys.stdout.isatty()
    for live_state in _poll_live_state(folder, store):
        lines = format_watch_screen(live_state, play=play)
        if is_terminal:
            width = shutil.get_terminal_size().columns
            text = fold("\n".join(lines), width - 1)
            clear_last_lines(drawn_lines)
            click.echo(text)
            drawn_lines = sum(1 + (len(line) - 1) // width if line else 1 for line in text.split("\n"))
        elif monotonic() - printed_at >= LINE_SECONDS:
            printed_at = monotonic()
            click.echo(to_one_line("; ".join(line.strip() for line in lines[:3])))
        sys.stdout.flush()
    clear_last_lines(drawn_lines)


@command("pause")
@click.argument("run", shell_complete=complete_run)
@options(COMMON_OPTIONS)
@click.pass_context
def pause(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Buy nothing more in a run that goes on elsewhere; what was bought is collected."""
    folder = _write_wish(ctx, run, pause=True)
    return _print_accepted_wish(ctx, "buying pauses", f"to go on: {format_command('resume', folder)}")


@command("resume")
@click.argument("run", shell_complete=complete_run)
@options(COMMON_OPTIONS)
@click.pass_context
def resume(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Go on with a run that was paused."""
    _write_wish(ctx, run, resume=True)
    return _print_accepted_wish(ctx, "buying goes on")


@command("stop")
@click.argument("run", shell_complete=complete_run)
@options(COMMON_OPTIONS)
@click.pass_context
def stop(ctx: click.Context, /, run: str, **_: Any) -> int:
    """End a run that goes on elsewhere, in order: answers on the way are written down, results written."""
    from ..commands.pause_stop_set import format_resume_command  # noqa: PLC0415 - `--help` needs none of it
    from ..run_folder import RunFolder  # noqa: PLC0415

    folder = _write_wish(ctx, run, stop=True)
    return _print_accepted_wish(ctx, "it ends", f"to go on with it later: {format_resume_command(RunFolder(folder))}")


@command("set")
@click.argument("run", shell_complete=complete_run)
@click.option(
    "-j", "--concurrency", metavar="N|auto", callback=parse_concurrency_option, help="Jobs in flight from now on."
)
@click.option(
    "--max-cost", metavar="USD|none", callback=parse_cap_option, help="The run's cap from now on; none lifts it."
)
@options(COMMON_OPTIONS)
@click.pass_context
def set_(ctx: click.Context, /, run: str, *, concurrency: int | None, max_cost: Any, **_: Any) -> int:
    """Another speed or another cap for a run that goes on elsewhere."""
    _write_wish(ctx, run, concurrency=concurrency, max_cost=max_cost)
    return _print_accepted_wish(ctx, "it is written down")


def _write_wish(ctx: click.Context, run: str, **changes: Any) -> Path:
    from ..commands.pause_stop_set import wish  # noqa: PLC0415 - `--help` needs none of it
    from ..run_folder import shorten_path  # noqa: PLC0415

    return shorten_path(wish(run, read_given_options(ctx).get("out"), **changes))


def _print_accepted_wish(ctx: click.Context, text: str, hint: str = "") -> int:
    if not ctx.params["quiet"]:
        lines = [f"{text}: the run heeds it within a second or two", *([f"  → {hint}"] if hint else [])]
        click.echo(as_lines(lines), err=True)
    return 0
