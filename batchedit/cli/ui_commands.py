"""``batchedit ui``: everything in a browser."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import click

from ..core.safe_text import to_one_line
from .browser import open_browser
from .group import command


@command("ui")
@click.option("--no-open", is_flag=True, help="Don't open a browser; only show the address.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="[default: the one of last time, or any free one]"
)
@click.option("--new-link", is_flag=True, help="Another address; the old one is refused from now on.")
def ui(*, no_open: bool, port: int, new_link: bool, **_: Any) -> int:
    """Everything in a browser: drop a sheet, see its prompts and problems, the price, buy, look.

    It serves this machine alone. Ctrl-C ends the page; a run that was started goes on.
    """
    import os  # noqa: PLC0415 - `--help` needs none of it

    from ..web.server import serve  # noqa: PLC0415

    def show_address(url: str) -> None:
        click.echo(url)
        sys.stdout.flush()
        click.echo(
            to_one_line("  the address is yours alone and holds for a week; Ctrl-C ends the page, not a run"), err=True
        )
        if not no_open:
            browser_stack.enter_context(open_browser(url))

    with ExitStack() as browser_stack:
        serve(os.environ, show_address, port=port, new_link=new_link)
    return 0
