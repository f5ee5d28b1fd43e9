"""The group that all commands hang on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .options import Command

EPILOG = (
    "Exit codes: 0 done, 1 some rows failed, 64 usage, 65 manifest, 66 no such file, 69 service, 73/74 disk, "
    "75 stopped early: the same command goes on, 76 in doubt, 77 token, 129/130/143 interrupted."
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="batchedit")
def batchedit() -> None:
    """A spreadsheet in, thousands of finished ad creatives out, without ever paying twice.

    Start with:  batchedit run manifests/demo.csv --sandbox
    """


def command(name: str) -> Callable[[Any], Any]:
    """A command of the group, with settings from flags, environment and file."""
    return batchedit.command(name, cls=Command, epilog=EPILOG)
