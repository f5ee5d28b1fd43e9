"""The group of all commands, and its help: grouped by purpose, in whole sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from . import log_lines
from .config_file import Command

EPILOG = (
    "Exit codes: 0 done, 1 some rows failed, 64 usage, 65 manifest, 66 no such file, 69 service, 73/74 disk, "
    "75 stopped early: the same command goes on, 76 in doubt, 77 token, 129/130/143 interrupted."
)
SECTIONS: Mapping[str, Sequence[str]] = {
    "In the browser": ("ui",),
    "Before the first purchase": ("login",),
    "Make a sheet": ("template", "init"),
    "Buy": ("plan", "run", "retry", "redo"),
    "Look and hand on": ("review", "gallery", "deliver", "verify", "results"),
    "See how it stands": ("runs", "status", "audit", "config", "models"),
    "Steer a run that goes on elsewhere": ("pause", "resume", "set", "stop"),
    "Settle what was bought": ("fetch", "doubt", "cancel"),
    "Many machines": ("store", "work", "workers"),
    "Try it": ("sandbox",),
}
"""The help's headings, each with its commands in their order. Commands that are not listed here are shown under Other."""


class Group(click.Group):
    """Lists its commands under headings. No sentence is cut off."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, and give the log the name of the command."""
        resolved = super().resolve_command(ctx, args)
        log_lines.set_command(resolved[0] or "")
        return resolved

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, under the headings of ``SECTIONS``."""
        commands = {
            name: subcommand
            for name in self.list_commands(ctx)
            if (subcommand := self.get_command(ctx, name)) and not subcommand.hidden
        }
        sectioned_names = {name for names in SECTIONS.values() for name in names}
        other_names = [name for name in commands if name not in sectioned_names]
        for heading, names in (*SECTIONS.items(), ("Other", other_names)):
            rows = [(name, _take_first_sentence(commands[name])) for name in names if name in commands]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def _take_first_sentence(command: click.Command) -> str:
    text = " ".join((command.help or "").split("\n\n")[0].split())
    first_sentence, separator, _ = text.partition(". ")
    return f"{first_sentence}." if separator else text


@click.group(
    cls=Group,
    epilog=EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(None, "-V", "--version", package_name="batchedit")
@click.pass_context
def batchedit(ctx: click.Context) -> Any:
    """A spreadsheet in, thousands of finished ad creatives out, without ever paying twice.

    Alone it lists your runs. Start with:  batchedit template --examples
    """
    if ctx.invoked_subcommand is None:
        return ctx.invoke(batchedit.commands["runs"])
    return None


def command(name: str) -> Callable[[Any], Any]:
    """Register a command with the group, with settings from flags, environment and file."""
    return batchedit.command(name, cls=Command, epilog=EPILOG)
