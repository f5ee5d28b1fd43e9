"""``--log-json``: what is said on stderr besides a run's events is a JSON line too, so that nothing stands between them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

from ..commands import CONFIRMED
from ..core.errors import BatcheditError
from ..core.visible import as_lines, to_one_line
from .streams import whole_lines


@dataclass
class _Log:
    """What one command line has said so far. ``ended`` writes the run's own end, with its numbers and the exit code."""

    asked: bool = False
    command: str = ""
    started: bool = False
    stopped: str = ""
    ended: Callable[[int], None] | None = None


_log = _Log()
TOLD_BY_THE_RUN = frozenset({"run", "retry", "redo", "fetch", "cancel", CONFIRMED})
"""Commands whose start the run itself tells, with its id, once there is one."""
_FALSE = frozenset({"", "0", "false", "no", "off", "n", "f"})


def begin(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """A command line begins: does it, or the environment, ask for JSON lines? Its words may be wrong, and are not parsed."""
    global _log  # noqa: PLW0603 - the process' one log; tests have several command lines in a process
    end = words.index("--") if "--" in words else len(words)
    told = environ.get("BATCHEDIT_LOG_JSON", "").strip().lower()
    _log = _Log(asked="--log-json" in words[:end] or told not in _FALSE)


def ask() -> None:
    """A settings file asks for them."""
    _log.asked = True
    _start()


def asked() -> bool:
    """Are they asked for?"""
    return _log.asked


def command(name: str) -> None:
    """The command line is for the command ``name``."""
    _log.command = name
    _start()


def _start() -> None:
    if _log.asked and _log.command and _log.command not in TOLD_BY_THE_RUN:
        _tell_start()


def _tell_start() -> None:
    if not _log.started:
        _log.started = True
        name = _log.command or "batchedit"
        note("started", f"{name} starts", command=name)


def stops(why: str) -> None:
    """``why`` ends the command, and is told next. One that failed before it came to its run has told no start by now."""
    _log.stopped = why
    if _log.asked:
        _tell_start()


def end(code: int) -> None:
    """The command line is over, with the exit code ``code``: its last line."""
    if not _log.asked:
        return
    _tell_start()
    if _log.ended is not None:
        _log.ended(code)
        return
    name = _log.command or "batchedit"
    stopped = {"stopped": _log.stopped} if _log.stopped else {}
    note("ended", f"{name} ends", command=name, exit_code=code, **stopped)


def run_starts() -> None:
    """The run has told its start: it is the command's, if that has told none."""
    _log.started = True


def run_ends(write: Callable[[int], None]) -> bool:
    """Keep the run's end, which ``write`` writes with an exit code, until ``end``. False where the command tells its own."""
    if _log.command not in TOLD_BY_THE_RUN:
        return False
    _log.ended = write
    return True


def note(name: str, message: str, **details: object) -> None:
    """One JSON line on stderr."""
    from ..commands.observers import JsonLines  # noqa: PLC0415 - `--help` needs none of it

    JsonLines(whole_lines(sys.stderr)).note(name, message, **details)


def tell(text: str, name: str = "note") -> None:
    """A line for the person on stderr, or the same as a JSON line."""
    if asked():
        note(name, text)
    else:
        click.echo(to_one_line(text), err=True)


def complain(error: BatcheditError) -> None:
    """What ended the command: in lines, or as one JSON line."""
    complain_of(error.code, type(error).__name__, error.lines, error.hint)


def complain_of(code: int, kind: str, lines: Sequence[str], hint: str = "") -> None:
    """The same for what is no exception of ours."""
    message, *details = lines
    if asked():
        note("error", message, code=code, kind=kind, hint=hint or None, details=details)
        return
    text = as_lines([f"batchedit: {message}", *details, *([f"  → {hint}"] if hint else [])])
    sys.stderr.write(f"{text}\n")
