"""The outcome of a command: sent to ``--notify``, printed, and its exit code. The same for a detached process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from . import log_lines
from .json_output import print_json
from .json_values import report_to_json


@contextmanager
def notify_outcome(host: Any, name: str, store: str | None = None) -> Iterator[Callable[[Any], None]]:
    """Send the outcome of the command ``name``: the report that the yielded function is called with, or the error that ends
    the block. For a run in a ``store`` nothing is sent that another worker has sent.
    """
    from . import notices  # noqa: PLC0415 - `--help` needs none of it

    if store is not None:
        host.notices.is_news = notices.make_news_check(store)
    try:
        yield lambda report: host.notices.send(
            notices.describe_end(report, others_remain=notices.is_end_of_this_worker_only(store, report.code)),
            notices.make_picture_loader(report.folder),
        )
    except BaseException as error:
        if not host.confirmation_refused:
            host.notices.send(
                notices.describe_failure(
                    name, error, others_remain=notices.is_end_of_this_worker_only(store, getattr(error, "code", 70))
                )
            )
        raise
    finally:
        host.notices.close()


def finish(report: Any, *, quiet: bool, as_json: bool = False) -> int:
    """Print the summary or one object, and return the exit code."""
    from .printed_text import format_report  # noqa: PLC0415 - `--help` needs none of it

    text = format_report(report)
    if as_json:
        print_json("report", report_to_json(report))
    elif not (quiet and report.code == 0):
        click.echo(text)
    else:
        for warning in report.warnings:
            log_lines.write_line(f"warning: {warning}", "warning")
    return int(report.code)
