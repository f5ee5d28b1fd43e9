"""A run as a process of its own: it outlives the terminal, the browser and the server it was started from."""

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
from .confirmation import Confirmation, ConfirmationFolder, read_answer

LOG = "process.log"
START_SECONDS = 900.0
"""So long a start is waited for: a sheet of a million rows is taken in once more before the confirmation is compared."""
_LOOK_SECONDS = 0.02
_starting = Lock()
"""Held while ``_started`` changes: two tabs may start a run at once, each in a thread, and one would be left out."""
_started: list[subprocess.Popen[bytes]] = []
"""What this process started: each is asked now and then whether it is over, so that the system forgets it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that goes on in a process of its own. ``started_at`` is epoch seconds; ``log`` holds what it says.

    ``ended`` is the exit code where it had so little to do that it is over by now.
    """

    folder: Path
    pid: int
    host: str
    started_at: float
    log: Path
    ended: int | None = None


class RefusedError(BatcheditError):
    """The process did not start, for the reason and with the exit code that it told itself. Nothing was bought."""

    def __init__(self, code: int, lines: list[str], hint: str) -> None:
        super().__init__(lines[0], hint=hint, details=lines[1:])
        self.code = code


def start(
    confirmation: Confirmation, environ: Mapping[str, str] = environment, *, patience: float = START_SECONDS
) -> Launch:
    """Start the process that does what was confirmed, and return once it holds the run's lock and has found that what it is
    to buy is what was confirmed. May be called from a thread; takes as long as the sheet takes to be read again.

    RefusedError tells why it did not start: 64 where the sheet, the price, the cap or the run was changed since, or where
    this confirmation was used before; 75 where another process works on the run. StoppedError (75) where it says nothing
    for ``patience`` seconds.
    """
    path = ConfirmationFolder(environ).hand_in(confirmation)
    folder = Path(confirmation.folder)
    log = folder / LOG
    try:
        with append_to(log) as out:
            process = subprocess.Popen(
                # -P: nothing in the folder that one stands in takes the place of a part of the program
                [sys.executable, "-P", "-m", "batchedit", CONFIRMED, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
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
        _started[:] = [process, *(other for other in _started if other.poll() is None)]
    return _launched(process, path, folder, log, patience)


def _launched(process: subprocess.Popen[bytes], path: Path, folder: Path, log: Path, patience: float) -> Launch:
    deadline = monotonic() + patience
    while (told := read_answer(path)) is None:
        if process.poll() is not None:
            told = read_answer(path) or {"refused": _died(process, log)}
            break
        if monotonic() > deadline:
            raise StoppedError(f"the run's process has said nothing for {patience:g} s; what it says is in {log}")
        sleep(_LOOK_SECONDS)
    with suppress(OSError):
        path.with_suffix(".answer").unlink()
    if refused := told.get("refused"):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise RefusedError(int(refused["code"]), list(refused["lines"]), str(refused["hint"]))
    return Launch(folder, told["pid"], told["host"], told["started_at"], log, told.get("ended"))


def _died(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    lines = [f"the run's process ended before it began (exit {process.returncode}); what it said is in {log}"]
    return {"code": 70 if process.returncode < 0 else process.returncode or 70, "lines": lines, "hint": ""}
