"""The commands that settle what was bought: cancel, doubt, audit."""

from __future__ import annotations

from typing import Any

import click

from ..core.safe_text import as_lines, to_one_line
from ..core.shell_commands import format_command
from ..core.steps import no_steps
from .commands import make_host, make_steps
from .completion import complete_run
from .group import command
from .json_output import print_json
from .json_values import audit_to_json, doubt_report_to_json
from .options import (
    COMMON_OPTIONS,
    JSON_OPTION,
    LIMIT_OPTIONS,
    MINE_OPTION,
    SERVICE_OPTIONS,
    STORE_OPTION,
    STUCK_OPTION,
    YES_OPTION,
    options,
    read_given_options,
)
from .outcome import finish


@command("cancel")
@click.argument("run", shell_complete=complete_run)
@options(MINE_OPTION, SERVICE_OPTIONS, COMMON_OPTIONS)
@click.pass_context
def cancel(ctx: click.Context, /, run: str, **_: Any) -> int:
    """Cancel what is still queued at the service; what runs already is paid for and stays to be fetched."""
    from ..commands.cancel import cancel as cancel_queued  # noqa: PLC0415 - `--help` needs none of it
    from .terminal import run_attended  # noqa: PLC0415

    host = make_host(ctx)
    folder, cancelled_count, running_count = run_attended(
        host, lambda: cancel_queued(run, read_given_options(ctx), host)
    )
    counts_text = [f"{cancelled_count:,} cancelled"] if cancelled_count else []
    counts_text += [f"{running_count:,} too late: they run or have run, and are paid for"] if running_count else []
    click.echo("; ".join(counts_text) or "nothing is queued at the service")
    if running_count:
        click.echo(to_one_line(f"  → collect them: {format_command('fetch', folder)}"))
    return 0


@command("doubt")
@click.argument("run", shell_complete=complete_run)
@click.argument("more", nargs=-1, metavar="[ROW]...")
@click.option("--request-id", "pasted", multiple=True, metavar="ROW=ID", help="It was bought: this is its request id.")
@click.option(
    "--buy-again",
    multiple=True,
    metavar="ROW...|all",
    help="Buy it again, asked about like any purchase; what it may have cost is spent.",
)
@click.option("--write-off", multiple=True, metavar="ROW...|all", help="Give it up; what it may have cost is spent.")
@options(LIMIT_OPTIONS, STUCK_OPTION, YES_OPTION, MINE_OPTION, SERVICE_OPTIONS, JSON_OPTION, COMMON_OPTIONS)
@click.pass_context
def doubt(
    ctx: click.Context,
    /,
    run: str,
    more: tuple[str, ...],
    pasted: tuple[str, ...],
    buy_again: tuple[str, ...],
    write_off: tuple[str, ...],
    as_json: bool,
    **_: Any,
) -> int:
    """List the jobs in doubt or uncollected, and decide about them. Exit code 76 while any is in doubt, 75 while any is
    uncollected.
    """
    from ..commands.doubt import doubt as decide  # noqa: PLC0415 - `--help` needs none of it
    from .option_values import parse_pairs  # noqa: PLC0415
    from .printed_text import format_doubt_report  # noqa: PLC0415
    from .terminal import run_attended  # noqa: PLC0415

    if more and bool(buy_again) == bool(write_off):
        raise click.UsageError(f"what about row {more[0]}? Put rows behind --buy-again or --write-off")
    host = make_host(ctx)
    report = run_attended(
        host,
        lambda: decide(
            run,
            read_given_options(ctx),
            host,
            pasted=parse_pairs(pasted),
            buy_again=_split_rows(buy_again, more if buy_again else ()),
            write_off=_split_rows(write_off, more if write_off else ()),
        ),
    )
    if as_json:
        print_json("doubt", doubt_report_to_json(report))
        return report.code
    if report.bought is not None:
        return finish(report.bought, quiet=ctx.params["quiet"])
    click.echo(format_doubt_report(report))
    return report.code


def _split_rows(values: tuple[str, ...], more_values: tuple[str, ...]) -> list[str]:
    return [row.strip() for text in (*values, *more_values) for row in text.split(",") if row.strip()]


@command("audit")
@click.argument("run", shell_complete=complete_run)
@options(STORE_OPTION, JSON_OPTION, COMMON_OPTIONS)
@click.pass_context
def audit(ctx: click.Context, /, run: str, *, as_json: bool, **_: Any) -> int:
    """Prove that intentions, purchases, files and money add up."""
    from ..commands.audit import audit as prove  # noqa: PLC0415 - `--help` needs none of it
    from ..commands.audit_replay import format_audit  # noqa: PLC0415

    folder, audit_result = prove(run, read_given_options(ctx), no_steps if as_json else make_steps(ctx))
    if as_json:
        print_json("audit", audit_to_json(str(folder.path.absolute()), audit_result))
    else:
        click.echo(as_lines([folder.path, *format_audit(audit_result)]))
    return 0 if audit_result.clean else 1
