"""``--detach``: the question is asked here, and what was confirmed is done by a process of its own."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from time import time

from ..commands.carry import admit, carry_out, offer
from ..commands.confirmation import Command, Confirmation, read_confirmation, refusal_to_json, use_up, write_answer
from ..commands.launch import Launch, start_process
from ..commands.quote import Quote
from ..core.errors import BatcheditError
from ..core.typed import format_command
from ..ports import Snapshot
from ..results.report import Report
from ..run_folder import shorten_path
from . import log_lines
from .host import Terminal, attended
from .json_output import print_json
from .json_values import started_value
from .outcome import finish, notifying


def detach(command: Command, host: Terminal, *, quiet: bool, as_json: bool = False) -> int:
    """Ask, start the process, say where it is. Returns 0 once it goes on; what it ended with if it is over by then."""
    found = attended(host, lambda: offer(command, host))
    if isinstance(found, Report):
        return finish(found, quiet=quiet, as_json=as_json)
    # its log is what the person asked for here
    environ = {**host.environ, **({"BATCHEDIT_LOG_JSON": "1"} if log_lines.asked() else {})}
    launch = start_process(found.confirmation, environ)
    if as_json:
        print_json("started", started_value(launch))
    elif not quiet:
        for line in _told(launch):
            log_lines.tell(line, "detached")
    return launch.ended or 0


def _told(launch: Launch) -> list[str]:
    if launch.ended is not None:
        return [f"it is over already; what it said is in {launch.log}"]
    return [
        f"it goes on in a process of its own, pid {launch.pid}; this terminal may be closed",
        f"  → to see how it goes: {format_command('status', shorten_path(launch.folder))}",
    ]


def carry_confirmed(path: Path) -> int:
    """Do what the confirmation in the file ``path`` says; returns the exit code."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # no terminal is its own: closing one means nothing to it
    confirmation = read_confirmation(path)
    host = _OfItsOwn(path, confirmation)
    command = confirmation.command
    with notifying(host, command.name or command.target) as ended:
        try:
            report = attended(host, lambda: carry_out(command, host))
        except BatcheditError as error:
            if not host.began:
                host.said_no = True  # whoever waits for the start is told
                write_answer(path, refusal_to_json(error))
            raise
        if not host.began:
            write_answer(path, {**_who(), "ended": report.code})
        ended(report)
    return finish(report, quiet=log_lines.asked())  # the event of its end holds the numbers


def _who() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started_at": time()}


class _OfItsOwn(Terminal):
    """A terminal without anybody at it. What it says goes to the log; the yes was said before."""

    def __init__(self, path: Path, confirmation: Confirmation) -> None:
        super().__init__(
            yes=True, never_asks=False, quiet=False, log_json=log_lines.asked(), notify=confirmation.command.notify
        )
        self._path, self._confirmation = path, confirmation
        self.began = False

    async def confirm(self, quote: Quote) -> None:
        """The yes is for this very quote, or for none."""
        admit(self._confirmation, quote, answered=self.began)
        self._begin()
        self.begins(quote)

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:  # noqa: ARG002 - the port's signature
        """What was bought is collected, whether or not anything was to be bought."""
        if not self.began:
            self._begin()
        return None

    def _begin(self) -> None:
        """The run's lock is held, and what is to be done is what was confirmed: whoever waits for the start is told."""
        use_up(self._path)
        self.began = True
        write_answer(self._path, _who())
