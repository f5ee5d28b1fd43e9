"""``batchedit runs``: lists the runs, and takes a run over into a shared ledger."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import UsageError
from ..core.safe_text import as_lines, to_one_line
from ..core.shell_commands import format_command
from ..ledger.postgres.url import VARIABLE as STORE_VARIABLE
from . import log_lines
from .group import EPILOG, batchedit
from .json_output import print_json
from .json_values import runs_to_json
from .options import JSON_OPTION, store_address_option


@batchedit.command("runs", epilog=EPILOG)
@click.option(
    "--import", "folder", metavar="FOLDER", help="Take this run over into the shared ledger, once and for all."
)
@store_address_option("Those of this shared ledger: postgresql://…")
@JSON_OPTION
def list_runs(*, folder: str | None, url: str | None, as_json: bool) -> int:
    """Your runs, wherever they lie: how each stands, what it cost, and what to type next.

    With --store the runs of that shared ledger. --import takes a run out of its folder into it, with what it bought and a
    proof that nothing is missing; from then on it buys in the store alone.
    """
    import os  # noqa: PLC0415 - `--help` needs none of it

    from ..commands import runs as runs_command  # noqa: PLC0415
    from ..ledger.register import Register  # noqa: PLC0415
    from .printed_text import format_runs  # noqa: PLC0415

    if folder is not None:
        return _import_run(Path(folder), url)
    register = Register.from_environ(os.environ)
    runs = runs_command.list_runs(register) if url is None else runs_command.list_store_runs(url)
    if register.problem:
        log_lines.write_line(f"warning: {register.problem}", "warning")
    if as_json:
        print_json("runs", runs_to_json(runs))
    else:
        click.echo(format_runs(runs))
    return 0


def _import_run(folder: Path, url: str | None) -> int:
    from ..commands.audit_replay import format_audit  # noqa: PLC0415
    from ..commands.import_run import import_run  # noqa: PLC0415 - `--help` needs none of it

    if url is None:
        raise UsageError("into which store?", hint=f"give its address with --store URL, or as {STORE_VARIABLE}")
    imported = import_run(folder, url)
    for place, audit in (("the folder", imported.before), (f"the store {imported.where}", imported.after)):
        click.echo(to_one_line(f"{place}:"))
        click.echo(as_lines(f"  {line}" for line in format_audit(audit)))
    click.echo(to_one_line(f"{folder} buys nothing any more: its jobs are in the store, as the run {imported.name}"))
    click.echo(to_one_line(f"  → to go on: {format_command('run', imported.name, '--store', imported.where)}"))
    return 0
