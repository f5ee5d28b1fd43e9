"""Starts a run as a process of its own: it outlives the terminal, the browser and the server that started it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from os import environ as environment
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

from ..core.errors import BatcheditError, OutputError, StoppedError
from ..disk import append_to
from . import CONFIRMED
from .confirmation_file import Confirmation, ConfirmationFolder, read_answer

LOG = "process.log"
START_SECONDS = 900.0
"""The longest wait for a start: a sheet of a million rows is taken in once more before the confirmation is compared."""
_WAIT_SECONDS = 0.02
_starting = Lock()
"""Held while ``_processes`` changes: two tabs may start a run at once, each in a thread, and one would be lost."""
_processes: list[subprocess.Popen[bytes]] = []
"""What this process started. Each is polled now and then, so that no ended process stays a zombie."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A run in a process of its own. ``started_at`` is epoch seconds; ``log`` holds its output.

    ``ended`` is the exit code where it is over already.
    """

    folder: Path
    pid: int
    host: str
    started_at: float
    log: Path
    ended: int | None = None


class RefusedError(BatcheditError):
    """The process did not start, for the reason and with the exit code that it gave. Nothing was bought."""

    def __init__(self, code: int, lines: list[str], hint: str) -> None:
        super().__init__(lines[0], hint=hint, details=lines[1:])
        self.code = code


def start_process(
    confirmation: Confirmation, environ: Mapping[str, str] = environment, *, patience: float = START_SECONDS
) -> Launch:
    """Start the process that does what was confirmed. Returns once it holds the run's lock and has checked that what it is to
    buy is what was confirmed, which takes as long as reading the sheet again. May be called from a thread.

    RefusedError says why it did not start: 64 where the sheet, the price, the cap or the run was changed since, or where this
    confirmation was used before; 75 where another process works on the run. StoppedError (75) without an answer for
    ``patience`` seconds.
    """
    path = ConfirmationFolder(environ).hand_in(confirmation)
    folder = Path(confirmation.folder)
    log = folder / LOG
    try:
        with append_to(log) as log_file:
            process = subprocess.Popen(
                # -P: no file of the current folder is imported in place of a module of the program
                [sys.executable, "-P", "-m", "batchedit", CONFIRMED, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                env=dict(environ),
                start_new_session=True,
                close_fds=True,
            )
    except (OSError, OutputError) as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"the run's process can't be started: {error.strerror or error}") from error
    with _starting:
        _processes[:] = [process, *(other for other in _processes if other.poll() is None)]
    return _wait_for_start(process, path, folder, log, patience)


def _wait_for_start(process: subprocess.Popen[bytes], path: Path, folder: Path, log: Path, patience: float) -> Launch:
    deadline = monotonic() + patience
    while (answer := read_answer(path)) is None:
        if process.poll() is not None:
            answer = read_answer(path) or {"refused": _describe_death(process, log)}
            break
        if monotonic() > deadline:
            raise StoppedError(f"the run's process has said nothing for {patience:g} s; what it says is in {log}")
        sleep(_WAIT_SECONDS)
    with suppress(OSError):
        path.with_suffix(".answer").unlink()
    if refusal := answer.get("refused"):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise RefusedError(int(refusal["code"]), list(refusal["lines"]), str(refusal["hint"]))
    return Launch(folder, answer["pid"], answer["host"], answer["started_at"], log, answer.get("ended"))


def _describe_death(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    lines = [f"the run's process ended before it began (exit {process.returncode}); what it said is in {log}"]
    return {"code": 70 if process.returncode < 0 else process.returncode or 70, "lines": lines, "hint": ""}
