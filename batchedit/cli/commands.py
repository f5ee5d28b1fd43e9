"""The commands. Each reads its options, calls ``runs`` and prints what came back."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..commands import CONFIRMED
from ..core.errors import UsageError
from ..core.steps import Steps
from ..core.typed import format_command
from ..core.visible import to_one_line
from . import log_lines
from .completion import complete_run
from .group import batchedit, command
from .json_output import print_json
from .json_values import plan_value
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
    given,
    options,
    origins,
)
from .outcome import finish, notifying


def host_of(ctx: click.Context) -> Any:
    """The terminal as a ``Host``, with what this command's options say about it."""
    from .host import Terminal  # noqa: PLC0415 - `--help` needs none of it

    params = ctx.params
    _check_hook(ctx)
    warning = _keep_typed(ctx)
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


def steps_of(ctx: click.Context) -> Steps:
    """How far its steps are, for a command that asks nothing: on stderr, and with neither --quiet nor --log-json."""
    from .host import Terminal  # noqa: PLC0415 - `--help` needs none of it

    quiet, log_json = ctx.params["quiet"], ctx.params["log_json"]
    return Terminal(yes=False, never_asks=False, quiet=quiet, log_json=log_json).step


def bare_steps() -> Steps:
    """The same for a command that has none of the common options."""
    from .host import Terminal  # noqa: PLC0415 - `--help` needs none of it

    return Terminal(yes=False, never_asks=False, quiet=False, log_json=False).step


def _keep_typed(ctx: click.Context) -> str:
    """What the person said about the service holds for later commands too. No file that nobody named says any of it.

    Returns a warning where it can't be kept, else "".
    """
    typed = given(ctx)
    if "base_url" in typed or "allow_hosts" in typed:
        import os  # noqa: PLC0415 - `--help` needs none of it

        from ..commands.trust import keep_typed  # noqa: PLC0415

        return keep_typed(os.environ, typed.get("base_url"), typed.get("allow_hosts", ()))
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
    from .stdin import source_of  # noqa: PLC0415

    if (folder := find_named_run(manifest, given(ctx))) is not None:
        return _carry_out(ctx, "resume", manifest, _steering(ctx, folder))
    source, name, settings = source_of(manifest, Settings(**given(ctx), origins=origins(ctx)))
    told = {**given(ctx), "origins": origins(ctx), "image_root": settings.image_root}
    try:
        return _carry_out(ctx, "run", str(source), told, name=name)
    except InvalidRowsError as error:
        if not ctx.params["as_json"]:
            _print_plan(error.plan)
        raise


def _carry_out(ctx: click.Context, verb: Any, target: str, told: dict[str, Any], **more: Any) -> int:
    """Do it here, or with ``--detach`` ask here and do it in a process of its own."""
    from ..commands.carry import carry_out  # noqa: PLC0415 - `--help` needs none of it
    from ..commands.confirmation import Command  # noqa: PLC0415
    from .detached import detach  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415

    if ctx.params["detach"] and ctx.params.get("metrics"):
        raise UsageError("--detach takes no --metrics", hint="start it without --detach")
    if ctx.params["detach"] and told.get("store"):
        raise UsageError("--detach takes no --store", hint="start it without --detach, and further workers with work")
    host = host_of(ctx)
    doing = Command(verb=verb, target=target, given=told, notify=ctx.params.get("notify") or (), **more)
    quiet, as_json = ctx.params["quiet"], ctx.params["as_json"]
    if ctx.params["detach"]:
        return detach(doing, host, quiet=quiet, as_json=as_json)
    with notifying(host, doing.name or target, told.get("store")) as ended:
        report = attended(host, lambda: carry_out(doing, host))
        ended(report)
    return finish(report, quiet=quiet, as_json=as_json)


def _steering(ctx: click.Context, run: Path) -> dict[str, Any]:
    """What was given for a run that is there: nothing that makes jobs, for those are made. UsageError if it was typed."""
    from ..settings.model import MANIFEST_SETTINGS  # noqa: PLC0415 - `--help` needs none of it
    from ..settings.toml import to_option_name  # noqa: PLC0415

    named = origins(ctx)
    if typed := [f"--{to_option_name(name)}" for name in MANIFEST_SETTINGS if named.get(name) == "flag"]:
        raise UsageError(
            f"{run} is a run: it goes on with what it was made with, and {', '.join(typed)} would make other pictures",
            hint=f"to go on with it as it is: {format_command('run', run)}",
        )
    return {name: value for name, value in given(ctx).items() if name not in MANIFEST_SETTINGS}


@command("plan")
@click.argument("manifest", shell_complete=complete_run)
@options(MANIFEST_OPTIONS, FRESH_OPTION, SANDBOX_OPTION, SERVICE_OPTIONS, JSON_OPTION, COMMON_OPTIONS)
@click.pass_context
def plan(ctx: click.Context, /, manifest: str, *, as_json: bool, **_: Any) -> int:
    """Check every row, count, price; sends nothing."""
    from ..commands.plan import plan as make_plan  # noqa: PLC0415 - `--help` needs none of it
    from ..settings.model import Settings  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415
    from .stdin import source_of  # noqa: PLC0415

    source, name, settings = source_of(manifest, Settings(**given(ctx), origins=origins(ctx)))
    host = host_of(ctx)
    what = attended(host, lambda: make_plan(source, settings, host, name=name))
    refused = bool(what.invalid_rows) and not settings.skip_invalid
    if as_json:
        print_json("plan", {**plan_value(what), "exit_code": 65 if refused else 0})
        return 65 if refused else 0
    _print_plan(what)
    if refused:
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
    from ..commands.results import results as write_again  # noqa: PLC0415 - `--help` needs none of it

    def warn(text: str) -> None:
        log_lines.tell(f"warning: {text}", "warning")

    where, steps = Path(to) if to else None, steps_of(ctx)
    click.echo(to_one_line(write_again(run, given(ctx), kind=kind, to=where, warn=warn, steps=steps)))
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
    return _carry_out(ctx, "retry", run, given(ctx), wish=wish)


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
    return _carry_out(ctx, "redo", run, given(ctx), prompt_add=prompt_add, use_notes=use_notes)


@command("fetch")
@click.argument("run", shell_complete=complete_run)
@options(STUCK_OPTION, NOTIFY_OPTION, OWN_PROCESS_OPTIONS, MINE_OPTION, SERVICE_OPTIONS, JSON_OPTION, COMMON_OPTIONS)
@click.pass_context
def fetch(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Collect and download what was bought; never a POST that buys."""
    return _carry_out(ctx, "fetch", run, given(ctx))


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


def _print_plan(what: Any) -> None:
    from .show import plan_text  # noqa: PLC0415 - `--help` needs none of it

    click.echo(plan_text(what))


def _check_hook(ctx: click.Context) -> None:
    """Before anything is bought: an address that can't work is a usage error, not a surprise in the morning."""
    for hook in ctx.params.get("notify") or ():
        from ..review.notify import check_hook  # noqa: PLC0415 - brings httpx with it

        check_hook(hook)
