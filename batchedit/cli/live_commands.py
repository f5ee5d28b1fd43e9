"""The commands for a run that goes on elsewhere: how it stands, and what is wished of it."""

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
from ..core.typed import format_command
from ..core.visible import as_lines, to_one_line
from .completion import complete_run
from .group import command
from .json_output import print_json
from .json_values import status_value
from .option_values import wished_cap, wished_concurrency
from .options import COMMON_OPTIONS, JSON_OPTION, STORE_OPTION, given, options

if TYPE_CHECKING:
    from ..commands.live import LiveState
    from ..run_folder import RunFolder

REDRAW_SECONDS = 1.0
LOOKS_FOR_NOBODY = 3
"""So often nobody of a store is seen at a run until it is believed."""
AWAY_SECONDS = 60.0
"""So long a store that was there may be away."""
QUIET_SECONDS = 60.0
"""Without a terminal the numbers are said once a minute."""


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
    from .live_text import live_lines  # noqa: PLC0415
    from .show import report_text  # noqa: PLC0415

    if watch and as_json:
        raise UsageError(
            "--json is one object, and --watch shows many", hint="ask again with --json as often as you like"
        )
    folder, report = read_status(run, given(ctx))
    if watch:
        _watch(folder, given(ctx).get("store"), play=report.play)
        report = read_status(run, given(ctx))[1]
    now = read_live_state(RunFolder(report.folder), store=given(ctx).get("store"))
    if as_json:
        print_json("status", status_value(now, report))
        return 0
    if now.alive and now.slowed:
        report = replace(report, slowed=None)  # it stands among the live lines, as it is just now
    head, *rest = report_text(report, going=now.alive).split("\n")
    click.echo(as_lines([head, *live_lines(now), *rest]))
    return 0


def _each_second(folder: RunFolder, store: str | None) -> Iterator[LiveState]:
    """How the run stands, for as long as somebody works on it. A worker of a store may have none of its jobs for a moment. A
    store that was there and restarts is waited for, as long as its workers wait.
    """
    from ..commands.live import read_live_state  # noqa: PLC0415 - `--help` needs none of it

    looks = left = 1 if store is None else LOOKS_FOR_NOBODY
    patient_until = -math.inf
    while left:
        try:
            now = read_live_state(folder, store=store)
        except ServiceUnavailableError:
            if monotonic() > patient_until:
                raise
            sleep(REDRAW_SECONDS)
            continue
        patient_until = monotonic() + AWAY_SECONDS
        left = looks if now.alive else 0 if now.state == "finished" else left - 1
        if now.alive:
            yield now
        if left:
            sleep(REDRAW_SECONDS)


def _watch(folder: RunFolder, store: str | None, *, play: bool) -> None:
    """Redraw on a terminal; one line a minute elsewhere."""
    from .live_text import watched_lines  # noqa: PLC0415
    from .streams import fold, go_back  # noqa: PLC0415

    drawn, said = 0, -QUIET_SECONDS
    terminal = sys.stdout.isatty()
    for now in _each_second(folder, store):
        lines = watched_lines(now, play=play)
        if terminal:
            width = shutil.get_terminal_size().columns
            text = fold("\n".join(lines), width - 1)
            go_back(drawn)
            click.echo(text)
            drawn = sum(1 + (len(line) - 1) // width if line else 1 for line in text.split("\n"))
        elif monotonic() - said >= QUIET_SECONDS:
            said = monotonic()
            click.echo(to_one_line("; ".join(line.strip() for line in lines[:3])))
        sys.stdout.flush()
    go_back(drawn)


@command("pause")
@click.argument("run", shell_complete=complete_run)
@options(COMMON_OPTIONS)
@click.pass_context
def pause(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Buy nothing more in a run that goes on elsewhere; what was bought is collected."""
    folder = _wish(ctx, run, pause=True)
    return _noted(ctx, "buying pauses", f"to go on: {format_command('resume', folder)}")


@command("resume")
@click.argument("run", shell_complete=complete_run)
@options(COMMON_OPTIONS)
@click.pass_context
def resume(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Go on with a run that was paused."""
    _wish(ctx, run, resume=True)
    return _noted(ctx, "buying goes on")


@command("stop")
@click.argument("run", shell_complete=complete_run)
@options(COMMON_OPTIONS)
@click.pass_context
def stop(ctx: click.Context, /, run: str, **_: Any) -> int:
    """End a run that goes on elsewhere, in order: answers on the way are written down, results written."""
    from ..commands.wishes import format_resume_command  # noqa: PLC0415 - `--help` needs none of it
    from ..run_folder import RunFolder  # noqa: PLC0415

    folder = _wish(ctx, run, stop=True)
    return _noted(ctx, "it ends", f"to go on with it later: {format_resume_command(RunFolder(folder))}")


@command("set")
@click.argument("run", shell_complete=complete_run)
@click.option("-j", "--concurrency", metavar="N|auto", callback=wished_concurrency, help="Jobs in flight from now on.")
@click.option("--max-cost", metavar="USD|none", callback=wished_cap, help="The run's cap from now on; none lifts it.")
@options(COMMON_OPTIONS)
@click.pass_context
def set_(ctx: click.Context, /, run: str, *, concurrency: int | None, max_cost: Any, **_: Any) -> int:
    """Another speed or another cap for a run that goes on elsewhere."""
    _wish(ctx, run, concurrency=concurrency, max_cost=max_cost)
    return _noted(ctx, "it is written down")


def _wish(ctx: click.Context, run: str, **wished: Any) -> Path:
    from ..commands.wishes import wish  # noqa: PLC0415 - `--help` needs none of it
    from ..run_folder import shorten_path  # noqa: PLC0415

    return shorten_path(wish(run, given(ctx).get("out"), **wished))


def _noted(ctx: click.Context, text: str, hint: str = "") -> int:
    if not ctx.params["quiet"]:
        lines = [f"{text}: the run heeds it within a second or two", *([f"  → {hint}"] if hint else [])]
        click.echo(as_lines(lines), err=True)
    return 0
