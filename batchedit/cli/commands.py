"""The commands that buy. Each reads its options, calls ``commands`` and prints the result."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..commands import CONFIRMED
from ..core.errors import UsageError
from ..core.safe_text import to_one_line
from ..core.shell_commands import format_command
from ..core.steps import Steps
from . import log_lines
from .completion import complete_run
from .group import batchedit, command
from .json_output import print_json
from .json_values import plan_to_json
from .options import (
    BUYING_OPTIONS,
    CANARY_OPTION,
    COMMON_OPTIONS,
    FORMAT_OPTION,
    FORMATS,
    FRESH_OPTION,
    JSON_OPTION,
    MANIFEST_OPTIONS,
    METRICS_OPTION,
    MINE_OPTION,
    NOTIFY_OPTION,
    OWN_PROCESS_OPTIONS,
    SANDBOX_OPTION,
    SERVICE_OPTIONS,
    STORE_OPTION,
    STUCK_OPTION,
    YES_OPTION,
    find_origins,
    options,
    read_given_options,
)
from .outcome import finish, notify_outcome


def make_host(ctx: click.Context) -> Any:
    """The terminal as a ``Host``, set up by this command's options."""
    from .terminal import Terminal  # noqa: PLC0415 - `--help` needs none of it

    params = ctx.params
    _check_notify_addresses(ctx)
    warning = _keep_service_options(ctx)
    host = Terminal(
        yes=params.get("yes", False),
        never_asks=params.get("sandbox", False),
        quiet=params["quiet"],
        log_json=params["log_json"],
        verbose=params["verbose"],
        metrics=params.get("metrics"),
        as_json=params.get("as_json", False),
        grace=params.get("grace", math.inf),
        notify=() if params.get("detach") else params.get("notify") or (),
    )
    if warning:
        host.warn(warning.removeprefix("warning: "))
    return host


def make_steps(ctx: click.Context) -> Steps:
    """The progress display of a command that asks nothing: on stderr, silent with --quiet or --log-json."""
    from .terminal import Terminal  # noqa: PLC0415 - `--help` needs none of it

    quiet, log_json = ctx.params["quiet"], ctx.params["log_json"]
    return Terminal(yes=False, never_asks=False, quiet=quiet, log_json=log_json).step


def make_default_steps() -> Steps:
    """The progress display of a command that has none of the common options."""
    from .terminal import Terminal  # noqa: PLC0415 - `--help` needs none of it

    return Terminal(yes=False, never_asks=False, quiet=False, log_json=False).step


def _keep_service_options(ctx: click.Context) -> str:
    """Keep ``--base-url`` and ``--allow-host`` for later commands. A settings file that was not named can't set them.

    Returns a warning where they can't be kept, else "".
    """
    options_given = read_given_options(ctx)
    if "base_url" in options_given or "allow_hosts" in options_given:
        from ..commands.trust import keep_typed  # noqa: PLC0415

        return keep_typed(os.environ, options_given.get("base_url"), options_given.get("allow_hosts", ()))
    return ""


@command("run")
@click.argument("manifest", metavar="MANIFEST|RUN", shell_complete=complete_run)
@options(
    MANIFEST_OPTIONS,
    FORMAT_OPTION,
    CANARY_OPTION,
    BUYING_OPTIONS,
    FRESH_OPTION,
    STUCK_OPTION,
    SANDBOX_OPTION,
    NOTIFY_OPTION,
    METRICS_OPTION,
    OWN_PROCESS_OPTIONS,
    YES_OPTION,
    MINE_OPTION,
    SERVICE_OPTIONS,
    JSON_OPTION,
    COMMON_OPTIONS,
)
@click.pass_context
def run(ctx: click.Context, /, manifest: str, **_: Any) -> int:
    """Buy what is missing, collect it, write the results; the same command again resumes."""
    from ..commands.run import find_named_run  # noqa: PLC0415 - `--help` needs none of it
    from ..planning.intake import InvalidRowsError  # noqa: PLC0415
    from ..settings.model import Settings  # noqa: PLC0415
    from .stdin import resolve_source  # noqa: PLC0415

    if (folder := find_named_run(manifest, read_given_options(ctx))) is not None:
        return _carry_out(ctx, "resume", manifest, _read_resume_options(ctx, folder))
    source, name, settings = resolve_source(manifest, Settings(**read_given_options(ctx), origins=find_origins(ctx)))
    settings_given = {**read_given_options(ctx), "origins": find_origins(ctx), "image_root": settings.image_root}
    try:
        return _carry_out(ctx, "run", str(source), settings_given, name=name)
    except InvalidRowsError as error:
        if not ctx.params["as_json"]:
            _print_plan(error.plan)
        raise


def _carry_out(ctx: click.Context, verb: Any, target: str, settings_given: dict[str, Any], **more_fields: Any) -> int:
    """Carry the command out in this process; with ``--detach`` ask here and carry it out in a process of its own."""
    from ..commands.confirmation_file import Command  # noqa: PLC0415
    from ..commands.offer_and_carry_out import carry_out  # noqa: PLC0415 - `--help` needs none of it
    from .detached import detach  # noqa: PLC0415
    from .terminal import run_attended  # noqa: PLC0415

    if ctx.params["detach"] and ctx.params.get("metrics"):
        raise UsageError("--detach takes no --metrics", hint="start it without --detach")
    if ctx.params["detach"] and settings_given.get("store"):
        raise UsageError("--detach takes no --store", hint="start it without --detach, and further workers with work")
    host = make_host(ctx)
    command_to_run = Command(
        verb=verb, target=target, given=settings_given, notify=ctx.params.get("notify") or (), **more_fields
    )
    quiet, as_json = ctx.params["quiet"], ctx.params["as_json"]
    if ctx.params["detach"]:
        return detach(command_to_run, host, quiet=quiet, as_json=as_json)
    with notify_outcome(host, command_to_run.name or target, settings_given.get("store")) as send_report:
        report = run_attended(host, lambda: carry_out(command_to_run, host))
        send_report(report)
    return finish(report, quiet=quiet, as_json=as_json)


def _read_resume_options(ctx: click.Context, run: Path) -> dict[str, Any]:
    """The options given for an existing run, without those that make jobs: its jobs are made. UsageError if one was typed."""
    from ..settings.model import MANIFEST_SETTINGS  # noqa: PLC0415 - `--help` needs none of it
    from ..settings.toml import to_option_name  # noqa: PLC0415

    origins = find_origins(ctx)
    if forbidden := [f"--{to_option_name(name)}" for name in MANIFEST_SETTINGS if origins.get(name) == "flag"]:
        raise UsageError(
            f"{run} is a run: it goes on with what it was made with, and {', '.join(forbidden)} would make other pictures",
            hint=f"to go on with it as it is: {format_command('run', run)}",
        )
    return {name: value for name, value in read_given_options(ctx).items() if name not in MANIFEST_SETTINGS}


@command("plan")
@click.argument("manifest", shell_complete=complete_run)
@options(MANIFEST_OPTIONS, FRESH_OPTION, SANDBOX_OPTION, SERVICE_OPTIONS, JSON_OPTION, COMMON_OPTIONS)
@click.pass_context
def plan(ctx: click.Context, /, manifest: str, *, as_json: bool, **_: Any) -> int:
    """Check every row, count, price; sends nothing."""
    from ..commands.plan import plan as make_plan  # noqa: PLC0415 - `--help` needs none of it
    from ..settings.model import Settings  # noqa: PLC0415
    from .stdin import resolve_source  # noqa: PLC0415
    from .terminal import run_attended  # noqa: PLC0415

    source, name, settings = resolve_source(manifest, Settings(**read_given_options(ctx), origins=find_origins(ctx)))
    host = make_host(ctx)
    full_plan = run_attended(host, lambda: make_plan(source, settings, host, name=name))
    has_refused_rows = bool(full_plan.invalid_rows) and not settings.skip_invalid
    if as_json:
        print_json("plan", {**plan_to_json(full_plan), "exit_code": 65 if has_refused_rows else 0})
        return 65 if has_refused_rows else 0
    _print_plan(full_plan)
    if has_refused_rows:
        click.echo("\nCorrect these rows and plan again, or go on without them: --skip-invalid")
        return 65
    return 0


@command("results")
@click.argument("run", shell_complete=complete_run)
@click.option("--format", "kind", type=click.Choice(FORMATS), help="[default: the manifest's]")
@click.option("--to", metavar="FILE", help="Where to.  [default: results.… in the run's folder]")
@options(STORE_OPTION, COMMON_OPTIONS)
@click.pass_context
def results(ctx: click.Context, /, run: str, kind: str | None, to: str | None, **_: Any) -> int:
    """Write the enriched manifest again; also while a run is going on."""
    from ..commands.results import results as write_results  # noqa: PLC0415 - `--help` needs none of it

    def warn(text: str) -> None:
        log_lines.write_line(f"warning: {text}", "warning")

    path, steps = Path(to) if to else None, make_steps(ctx)
    click.echo(to_one_line(write_results(run, read_given_options(ctx), kind=kind, to=path, warn=warn, steps=steps)))
    return 0


@command("retry")
@click.argument("run", shell_complete=complete_run)
@click.option("--failed", is_flag=True, help="Only failed jobs.")
@click.option("--cancelled", is_flag=True, help="Only cancelled jobs.")
@click.option("--moderated", is_flag=True, help="Jobs that the service refused for their content; never without this.")
@click.option("--match", metavar="TEXT", help="Only jobs whose error holds TEXT.")
@click.option(
    "--row", "rows", type=int, multiple=True, metavar="N", help="Only the jobs of row N, also one that was written off."
)
@options(
    CANARY_OPTION,
    BUYING_OPTIONS,
    FRESH_OPTION,
    STUCK_OPTION,
    NOTIFY_OPTION,
    OWN_PROCESS_OPTIONS,
    YES_OPTION,
    MINE_OPTION,
    SERVICE_OPTIONS,
    JSON_OPTION,
    COMMON_OPTIONS,
)
@click.pass_context
def retry(
    ctx: click.Context,
    /,
    run: str,
    failed: bool,
    cancelled: bool,
    moderated: bool,
    match: str | None,
    rows: tuple[int, ...],
    **_: Any,
) -> int:
    """Buy failed and cancelled jobs anew: a new purchase, priced and confirmed as one."""
    from ..commands.retry import RetryRequest  # noqa: PLC0415 - `--help` needs none of it

    wish = RetryRequest(failed=failed, cancelled=cancelled, moderated=moderated, match=match, rows=rows)
    return _carry_out(ctx, "retry", run, read_given_options(ctx), wish=wish)


@command("redo")
@click.argument("run", shell_complete=complete_run)
@click.option("--prompt-add", metavar="TEXT", default="", help="Add this to each prompt, e.g. 'brighter, no text'.")
@click.option("--use-notes", is_flag=True, help="Add each picture's own review note to its prompt.")
@options(
    CANARY_OPTION,
    BUYING_OPTIONS,
    FRESH_OPTION,
    STUCK_OPTION,
    NOTIFY_OPTION,
    OWN_PROCESS_OPTIONS,
    YES_OPTION,
    MINE_OPTION,
    SERVICE_OPTIONS,
    JSON_OPTION,
    COMMON_OPTIONS,
)
@click.pass_context
def redo(ctx: click.Context, /, run: str, prompt_add: str, use_notes: bool, **_: Any) -> int:
    """Buy another version of the pictures that were rejected in review; the old files stay."""
    return _carry_out(ctx, "redo", run, read_given_options(ctx), prompt_add=prompt_add, use_notes=use_notes)


@command("fetch")
@click.argument("run", shell_complete=complete_run)
@options(STUCK_OPTION, NOTIFY_OPTION, OWN_PROCESS_OPTIONS, MINE_OPTION, SERVICE_OPTIONS, JSON_OPTION, COMMON_OPTIONS)
@click.pass_context
def fetch(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Collect and download what was bought; never a POST that buys."""
    return _carry_out(ctx, "fetch", run, read_given_options(ctx))


@batchedit.command(CONFIRMED, hidden=True)
@click.argument("path", type=click.Path(path_type=Path))
def confirmed(path: Path) -> int:
    """Do what the confirmation in the file PATH says. Started by the program itself."""
    from .detached import carry_confirmed  # noqa: PLC0415 - `--help` needs none of it

    return carry_confirmed(path)


@batchedit.command("sandbox", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> int:
    """The local server that speaks the Model API (see: batchedit sandbox --help)."""
    from ..ledger.own_sandbox import hold_sandbox_lock  # noqa: PLC0415 - `--help` needs none of it
    from ..sandbox import main  # noqa: PLC0415 - brings a whole web server with it

    try:
        return main(list(arguments), announce=partial(hold_sandbox_lock, environ=os.environ))
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0


def _print_plan(plan: Any) -> None:
    from .printed_text import format_plan  # noqa: PLC0415 - `--help` needs none of it

    click.echo(format_plan(plan))


def _check_notify_addresses(ctx: click.Context) -> None:
    """UsageError for a ``--notify`` address that can't work, before anything is bought."""
    for address in ctx.params.get("notify") or ():
        from ..review.notify import check_hook  # noqa: PLC0415 - brings httpx with it

        check_hook(address)
