"""``--log-json``: what is said on stderr besides a run's events is a JSON line too, so that nothing stands between them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

from ..core.errors import BatcheditError
from ..core.visible import as_lines, one_line
from .streams import whole_lines

_state = {"asked": False}
TOLD_BY_THE_RUN = frozenset({"run", "retry", "redo", "fetch", "cancel"})
"""Commands whose start and end the run itself tells, with its id and what it came to."""
_FALSE = frozenset({"", "0", "false", "no", "off", "n", "f"})


def begin(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """A command line begins: does it, or the environment, ask for JSON lines? Its words may be wrong, and are not parsed."""
    end = words.index("--") if "--" in words else len(words)
    told = environ.get("BATCHEDIT_LOG_JSON", "").strip().lower()
    _state["asked"] = "--log-json" in words[:end] or told not in _FALSE


def ask() -> None:
    """A settings file asks for them."""
    _state["asked"] = True


def asked() -> bool:
    """Are they asked for?"""
    return _state["asked"]


def note(name: str, message: str, **details: object) -> None:
    """One JSON line on stderr."""
    from ..commands.observers import JsonLines  # noqa: PLC0415 - `--help` needs none of it

    JsonLines(whole_lines(sys.stderr)).note(name, message, **details)


@contextmanager
def tell_command(command: str) -> Iterator[dict[str, object]]:
    """The start and the end of ``command`` as events. The caller puts its ``exit_code`` into what it is given."""
    if not asked() or command in TOLD_BY_THE_RUN:
        yield {}
        return
    note("started", f"{command} starts", command=command)
    ended: dict[str, object] = {"exit_code": None}
    try:
        yield ended
    except BatcheditError as error:
        ended = {"exit_code": error.code, "stopped": str(error)}
        raise
    except click.exceptions.Exit as leave:
        ended = {"exit_code": leave.exit_code}
        raise
    finally:
        note("ended", f"{command} ends", command=command, **ended)


def tell(text: str, name: str = "note") -> None:
    """A line for the person on stderr, or the same as a JSON line."""
    if asked():
        note(name, text)
    else:
        click.echo(one_line(text), err=True)


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
