"""``--log-json``: every line on stderr is a JSON line, those of a run's events and all others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from ..commands import CONFIRMED
from ..core.errors import BatcheditError
from ..core.safe_text import as_lines, to_one_line
from .streams import keep_lines_whole


@dataclass
class _Log:
    """The log of one command line. ``write_run_end`` writes the end of the run, with its numbers and the exit code."""

    enabled: bool = False
    command: str = ""
    started: bool = False
    stopped: str = ""
    write_run_end: Callable[[int], None] | None = None


_log = _Log()
LOGGED_BY_THE_RUN = frozenset({"run", "retry", "redo", "fetch", "cancel", CONFIRMED})
"""Commands whose start is logged by their run, with the run's id."""
_FALSE = frozenset({"", "0", "false", "no", "off", "n", "f"})


def begin_log(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Begin the log of a command line: of JSON lines where an argument or the environment asks for them. The arguments may be
    wrong, and are not parsed.
    """
    global _log  # noqa: PLW0603 - the process' one log; tests have several command lines in a process
    end_of_options = arguments.index("--") if "--" in arguments else len(arguments)
    from_environment = environ.get("BATCHEDIT_LOG_JSON", "").strip().lower()
    _log = _Log(enabled="--log-json" in arguments[:end_of_options] or from_environment not in _FALSE)


def enable() -> None:
    """Write JSON lines from now on: a settings file asks for them."""
    _log.enabled = True
    _write_start_unless_run_does()


def is_enabled() -> bool:
    """Are JSON lines asked for?"""
    return _log.enabled


def set_command(name: str) -> None:
    """Set the name of the command that the log is about."""
    _log.command = name
    _write_start_unless_run_does()


def _write_start_unless_run_does() -> None:
    if _log.enabled and _log.command and _log.command not in LOGGED_BY_THE_RUN:
        _write_start()


def _write_start() -> None:
    if not _log.started:
        _log.started = True
        name = _log.command or "batchedit"
        note("started", f"{name} starts", command=name)


def record_stop(why: str) -> None:
    """Note that ``why`` ends the command. A command that failed before its run began has logged no start by then."""
    _log.stopped = why
    if _log.enabled:
        _write_start()


def write_end(code: int) -> None:
    """Write the last line of the log: the command has ended with the exit code ``code``."""
    if not _log.enabled:
        return
    _write_start()
    if _log.write_run_end is not None:
        _log.write_run_end(code)
        return
    name = _log.command or "batchedit"
    stopped = {"stopped": _log.stopped} if _log.stopped else {}
    note("ended", f"{name} ends", command=name, exit_code=code, **stopped)


def note_run_start() -> None:
    """Note that the run has logged its start, which is the command's start too."""
    _log.started = True


def defer_run_end(write: Callable[[int], None]) -> bool:
    """Keep ``write``, which writes the run's end with an exit code, until ``write_end``. False for a command that logs its
    end itself.
    """
    if _log.command not in LOGGED_BY_THE_RUN:
        return False
    _log.write_run_end = write
    return True


def note(name: str, message: str, **details: object) -> None:
    """Write one JSON line on stderr."""
    from ..commands.observers import JsonLines  # noqa: PLC0415 - `--help` needs none of it

    JsonLines(keep_lines_whole(sys.stderr)).note(name, message, **details)


def write_line(text: str, name: str = "note") -> None:
    """Write a line on stderr: as text, or as a JSON line."""
    if is_enabled():
        note(name, text)
    else:
        click.echo(to_one_line(text), err=True)


def write_error(error: BatcheditError) -> None:
    """Write the error that ended the command: as text, or as one JSON line."""
    write_problem(error.code, type(error).__name__, error.lines, error.hint)


def write_problem(code: int, kind: str, lines: Sequence[str], hint: str = "") -> None:
    """Write an error that is no BatcheditError: as text, or as one JSON line."""
    message, *details = lines
    if is_enabled():
        note("error", message, code=code, kind=kind, hint=hint or None, details=details)
        return
    text = as_lines([f"batchedit: {message}", *details, *([f"  → {hint}"] if hint else [])])
    sys.stderr.write(f"{text}\n")
