"""``batchedit login``: keeps a token, so that it is not typed in each terminal."""

from __future__ import annotations

import sys

import click

from ..core.safe_text import to_one_line
from . import log_lines
from .group import EPILOG, batchedit


@batchedit.command("login", epilog=EPILOG)
@click.option("--file", "in_file", is_flag=True, help="In the vendor's file, also where this machine has a keyring.")
def login(*, in_file: bool) -> int:
    """Keep the API token of your RunComfy profile: in this machine's keyring, else in a file that only you can read.

    It is asked for and not shown; standard input works too. The keyring needs the extra: pip install 'batchedit[keyring]'.
    A token in the environment (RUNCOMFY_API_TOKEN) goes before the one that is kept.
    """
    import os  # noqa: PLC0415 - `--help` needs none of it

    from ..commands.token import keep_token  # noqa: PLC0415

    is_terminal = sys.stdin.isatty()
    text = click.prompt("API token", hide_input=True, err=True) if is_terminal else sys.stdin.readline()
    kept_token = keep_token(text, os.environ, in_file=in_file)
    click.echo(to_one_line(f"the token is kept in {kept_token.where}"))
    if kept_token.hint:
        click.echo(
            to_one_line(f"  to keep it in this machine's keyring: {kept_token.hint}, then type this again"), err=True
        )
    if kept_token.hidden_by:
        log_lines.write_line(
            f"warning: {kept_token.hidden_by} is set and goes before it: unset {kept_token.hidden_by}", "warning"
        )
    return 0
