"""What a command came to: sent to ``--notify``, printed, and its exit code. The same here and in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from . import log_lines
from .json_output import print_json
from .json_values import report_value


@contextmanager
def notifying(host: Any, name: str, store: str | None = None) -> Iterator[Callable[[Any], None]]:
    """Send what becomes of the command ``name``: its report, to be handed in, or whatever ends the block instead. Of a run in
    a ``store`` nothing is sent that another worker has sent.
    """
    from . import notices  # noqa: PLC0415 - `--help` needs none of it

    if store is not None:
        host.notices.is_news = notices.first_to_tell(store)
    try:
        yield lambda report: host.notices.send(
            notices.ended(report, others=notices.others_go_on(store, report.code)), notices.pictures(report.folder)
        )
    except BaseException as error:
        if not host.said_no:
            host.notices.send(
                notices.broken(name, error, others=notices.others_go_on(store, getattr(error, "code", 70)))
            )
        raise
    finally:
        host.notices.close()


def finish(report: Any, *, quiet: bool, as_json: bool = False) -> int:
    """Print the summary or one object, and return the exit code."""
    from .show import report_text  # noqa: PLC0415 - `--help` needs none of it

    text = report_text(report)
    if as_json:
        print_json("report", report_value(report))
    elif not (quiet and report.code == 0):
        click.echo(text)
    else:
        for warning in report.warnings:
            log_lines.tell(f"warning: {warning}", "warning")
    return int(report.code)
