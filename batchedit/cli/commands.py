"""The commands. Each reads its options, calls ``runs`` and prints what came back."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from .group import batchedit, command
from .options import (
    BUYING_OPTIONS,
    CANARY_OPTION,
    COMMON_OPTIONS,
    FORMAT_OPTION,
    FORMATS,
    MANIFEST_OPTIONS,
    NOTIFY_OPTION,
    SANDBOX_OPTION,
    SERVICE_OPTIONS,
    STUCK_OPTION,
    YES_OPTION,
    given,
    options,
    origins,
)


def _host(ctx: click.Context) -> Any:
    from .host import Terminal  # noqa: PLC0415 - `--help` needs none of it

    params = ctx.params
    _check_hook(ctx)
    return Terminal(
        yes=params.get("yes", False),
        never_asks=params.get("sandbox", False),
        quiet=params["quiet"],
        log_json=params["log_json"],
        verbose=params["verbose"],
    )


@command("run")
@click.argument("manifest")
@options(
    MANIFEST_OPTIONS,
    FORMAT_OPTION,
    CANARY_OPTION,
    BUYING_OPTIONS,
    STUCK_OPTION,
    SANDBOX_OPTION,
    NOTIFY_OPTION,
    YES_OPTION,
    SERVICE_OPTIONS,
    COMMON_OPTIONS,
)
@click.pass_context
def run(ctx: click.Context, /, manifest: str, **_: Any) -> int:
    """Buy what is missing, collect it, write the results; the same command again resumes."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from ..run_folder import folder_for  # noqa: PLC0415
    from ..settings.model import Settings  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415
    from .stdin import source_of  # noqa: PLC0415

    source, name, settings = source_of(manifest, Settings(**given(ctx), origins=origins(ctx)))
    host = _host(ctx)
    try:
        report = attended(host, lambda: runs.run(source, settings, host, name=name))
    except runs.InvalidRowsError as error:
        _print_plan(error.plan)
        raise
    return _finish(ctx, report, folder_for(Path(manifest), settings.out).path)


@command("plan")
@click.argument("manifest")
@options(MANIFEST_OPTIONS, SANDBOX_OPTION, SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def plan(ctx: click.Context, /, manifest: str, **_: Any) -> int:
    """Check every row, count, price; sends nothing."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from ..settings.model import Settings  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415
    from .stdin import source_of  # noqa: PLC0415

    source, name, settings = source_of(manifest, Settings(**given(ctx), origins=origins(ctx)))
    host = _host(ctx)
    what = attended(host, lambda: runs.plan(source, settings, host, name=name))
    _print_plan(what)
    if what.invalid_rows and not settings.skip_invalid:
        click.echo("\nCorrect these rows and plan again, or go on without them: --skip-invalid")
        return 65
    return 0


@command("status")
@click.argument("run")
@options(COMMON_OPTIONS)
@click.pass_context
def status(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Counts by state, money spent / reserved / in doubt, the commonest errors."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from .show import report_text  # noqa: PLC0415

    folder, report = runs.status(run, given(ctx))
    click.echo(report_text(report, folder.path, f"batchedit run {shlex.quote(run)}"))
    return 0


@command("results")
@click.argument("run")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="[default: the manifest's]")
@click.option("--to", metavar="FILE", help="Where to.  [default: results.… in the run's folder]")
@options(COMMON_OPTIONS)
@click.pass_context
def results(ctx: click.Context, /, run: str, kind: str | None, to: str | None, **_: Any) -> int:
    """Write the enriched manifest again; also while a run is going on."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it

    click.echo(runs.results(run, given(ctx), kind=kind, to=Path(to) if to else None))
    return 0


@command("retry")
@click.argument("run")
@click.option("--failed", is_flag=True, help="Only failed jobs.")
@click.option("--cancelled", is_flag=True, help="Only cancelled jobs.")
@click.option("--match", metavar="TEXT", help="Only jobs whose error holds TEXT.")
@click.option("--row", "rows", type=int, multiple=True, metavar="N", help="Only the jobs of row N.")
@options(BUYING_OPTIONS, STUCK_OPTION, NOTIFY_OPTION, YES_OPTION, SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def retry(
    ctx: click.Context, /, run: str, failed: bool, cancelled: bool, match: str | None, rows: tuple[int, ...], **_: Any
) -> int:
    """Buy failed and cancelled jobs anew: a new purchase, priced and confirmed as one."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from ..core.model import Record, State  # noqa: PLC0415
    from ..run_folder import find_run  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415

    states = {State.FAILED} if failed and not cancelled else {State.CANCELLED} if cancelled and not failed else None

    def chosen(record: Record, its_rows: list[int]) -> bool:
        text = f"{record.problem.kind} {record.problem.message}" if record.problem else ""
        return (
            (states is None or record.state in states)
            and (match is None or match.lower() in text.lower())
            and (not rows or bool(set(rows) & set(its_rows)))
        )

    host = _host(ctx)
    return _finish(ctx, attended(host, lambda: runs.retry(run, given(ctx), host, chosen)), find_run(run).path)


@command("redo")
@click.argument("run")
@click.option("--rejected", is_flag=True, default=True, help="The pictures that were rejected in review (the default).")
@click.option("--prompt-add", metavar="TEXT", default="", help="Add this to each prompt, e.g. 'brighter, no text'.")
@click.option("--use-notes", is_flag=True, help="Add each picture's own review note to its prompt.")
@options(CANARY_OPTION, BUYING_OPTIONS, STUCK_OPTION, NOTIFY_OPTION, YES_OPTION, SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def redo(ctx: click.Context, /, run: str, prompt_add: str, use_notes: bool, **_: Any) -> int:
    """Buy another version of the rejected pictures; the old files stay."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from ..run_folder import find_run  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415

    host = _host(ctx)
    report = attended(host, lambda: runs.redo(run, given(ctx), host, prompt_add=prompt_add, use_notes=use_notes))
    return _finish(ctx, report, find_run(run).path)


@command("fetch")
@click.argument("run")
@options(STUCK_OPTION, NOTIFY_OPTION, SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def fetch(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Collect and download what was bought; never a POST that buys."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from ..run_folder import find_run  # noqa: PLC0415
    from .host import attended  # noqa: PLC0415

    host = _host(ctx)
    return _finish(ctx, attended(host, lambda: runs.fetch(run, given(ctx), host)), find_run(run).path)


@command("cancel")
@click.argument("run")
@options(YES_OPTION, SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def cancel(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Cancel what is still queued at the service; what runs already is paid for and stays to be fetched."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from .host import attended  # noqa: PLC0415

    host = _host(ctx)
    gone, running = attended(host, lambda: runs.cancel(run, given(ctx), host))
    click.echo(f"{gone:,} cancelled; {running:,} too late: they run or have run, and are paid for")
    if running:
        click.echo(f"  → collect them: batchedit fetch {shlex.quote(run)}")
    return 0


@command("doubt")
@click.argument("run")
@click.argument("more", nargs=-1, metavar="[ROW]...")
@click.option("--request-id", "pasted", multiple=True, metavar="ROW=ID", help="It was bought: this is its request id.")
@click.option("--buy-again", multiple=True, metavar="ROW...|all", help="Buy it again; what it may have cost is spent.")
@click.option("--write-off", multiple=True, metavar="ROW...|all", help="Give it up; what it may have cost is spent.")
@options(SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def doubt(
    ctx: click.Context,
    /,
    run: str,
    more: tuple[str, ...],
    pasted: tuple[str, ...],
    buy_again: tuple[str, ...],
    write_off: tuple[str, ...],
    **_: Any,
) -> int:
    """List the jobs that may have been bought, and decide about them. Exit code 76 while any is left."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from .host import attended  # noqa: PLC0415
    from .options import pairs  # noqa: PLC0415
    from .show import doubt_text  # noqa: PLC0415

    if more and bool(buy_again) == bool(write_off):
        raise click.UsageError(f"what about row {more[0]}? Put rows behind --buy-again or --write-off")
    host = _host(ctx)
    report = attended(
        host,
        lambda: runs.doubt(
            run,
            given(ctx),
            host,
            pasted=pairs(pasted),
            buy_again=_rows(buy_again, more if buy_again else ()),
            write_off=_rows(write_off, more if write_off else ()),
        ),
    )
    click.echo(doubt_text(report, run))
    return 76 if report.open else 0


def _rows(values: tuple[str, ...], more: tuple[str, ...]) -> list[str]:
    return [name.strip() for value in (*values, *more) for name in value.split(",") if name.strip()]


@command("audit")
@click.argument("run")
@options(COMMON_OPTIONS)
@click.pass_context
def audit(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Prove that intentions, purchases, files and money add up."""
    from ..commands import run as runs  # noqa: PLC0415 - `--help` needs none of it
    from ..commands.proof import lines  # noqa: PLC0415

    folder, found = runs.audit(run, given(ctx))
    click.echo(f"{folder.path}\n" + "\n".join(lines(found)))
    return 0 if found.clean else 1


@batchedit.command("sandbox", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> int:
    """The local server that speaks the Model API (see: batchedit sandbox --help)."""
    from ..sandbox import main  # noqa: PLC0415 - brings a whole web server with it

    try:
        return main(list(arguments))
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0


def _print_plan(what: Any) -> None:
    from .show import plan_text  # noqa: PLC0415 - `--help` needs none of it

    click.echo(plan_text(what))


def _finish(ctx: click.Context, report: Any, folder: Path) -> int:
    """Print the summary, post it where ``--notify`` says, and return the exit code."""
    from .show import report_text  # noqa: PLC0415 - `--help` needs none of it

    text = report_text(report, folder, f"batchedit {shlex.join(sys.argv[1:])}")
    if not (ctx.params["quiet"] and report.code == 0):
        click.echo(text)
    if hook := ctx.params.get("notify"):
        from ..review.notify import notify, summary  # noqa: PLC0415 - brings httpx with it

        if failed := notify(hook, summary(folder.name, report.as_json(), text)):
            click.echo(f"batchedit: the summary did not arrive: {failed}", err=True)
    return int(report.code)


def _check_hook(ctx: click.Context) -> None:
    """Before anything is bought: an address that can't work is a usage error, not a surprise in the morning."""
    if hook := ctx.params.get("notify"):
        from ..review.notify import check_hook  # noqa: PLC0415 - brings httpx with it

        check_hook(hook)
