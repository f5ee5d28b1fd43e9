"""``--detach``: the question is asked here, and what was confirmed is done by a process of its own."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from time import time

from ..commands.confirmation_file import Command, Confirmation, read_confirmation, refusal_to_json, use_up, write_answer
from ..commands.launch import Launch, start_process
from ..commands.offer_and_carry_out import admit, carry_out, offer
from ..commands.quote_to_confirm import Quote
from ..core.errors import BatcheditError
from ..core.shell_commands import format_command
from ..ports import Snapshot
from ..results.report import Report
from ..run_folder import shorten_path
from . import log_lines
from .json_output import print_json
from .json_values import launch_to_json
from .outcome import finish, notify_outcome
from .terminal import Terminal, run_attended


def detach(command: Command, host: Terminal, *, quiet: bool, as_json: bool = False) -> int:
    """Ask, start the process and print where it is. Returns 0 while it runs, its exit code if it has ended by then."""
    offered = run_attended(host, lambda: offer(command, host))
    if isinstance(offered, Report):
        return finish(offered, quiet=quiet, as_json=as_json)
    # the log of the process has the form that was asked for here
    environ = {**host.environ, **({"BATCHEDIT_LOG_JSON": "1"} if log_lines.is_enabled() else {})}
    launch = start_process(offered.confirmation, environ)
    if as_json:
        print_json("started", launch_to_json(launch))
    elif not quiet:
        for line in _describe_launch(launch):
            log_lines.write_line(line, "detached")
    return launch.ended or 0


def _describe_launch(launch: Launch) -> list[str]:
    if launch.ended is not None:
        return [f"it is over already; what it said is in {launch.log}"]
    return [
        f"it goes on in a process of its own, pid {launch.pid}; this terminal may be closed",
        f"  → to see how it goes: {format_command('status', shorten_path(launch.folder))}",
    ]


def carry_confirmed(path: Path) -> int:
    """Do what the confirmation in the file ``path`` says; returns the exit code."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it has no terminal of its own: closing one must not end it
    confirmation = read_confirmation(path)
    host = _DetachedHost(path, confirmation)
    command = confirmation.command
    with notify_outcome(host, command.name or command.target) as send_report:
        try:
            report = run_attended(host, lambda: carry_out(command, host))
        except BatcheditError as error:
            if not host.has_started:
                host.confirmation_refused = True  # the process that waits for the start gets the error
                write_answer(path, refusal_to_json(error))
            raise
        if not host.has_started:
            write_answer(path, {**_identify_process(), "ended": report.code})
        send_report(report)
    return finish(report, quiet=log_lines.is_enabled())  # the event of its end holds the numbers


def _identify_process() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started_at": time()}


class _DetachedHost(Terminal):
    """The host of a detached process. Its messages go to the log; the purchase was confirmed before."""

    def __init__(self, path: Path, confirmation: Confirmation) -> None:
        super().__init__(
            yes=True, never_asks=False, quiet=False, log_json=log_lines.is_enabled(), notify=confirmation.command.notify
        )
        self._path, self._confirmation = path, confirmation
        self.has_started = False

    async def confirm(self, quote: Quote) -> None:
        """Check that this very quote was confirmed."""
        admit(self._confirmation, quote, answered=self.has_started)
        self._mark_started()
        self.notify_start(quote)

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:  # noqa: ARG002 - the port's signature
        """Mark the start also where nothing is to be bought and only collecting is left."""
        if not self.has_started:
            self._mark_started()
        return None

    def _mark_started(self) -> None:
        """Tell the process that waits for the start: the run's lock is held, and what is to be done is what was confirmed."""
        use_up(self._path)
        self.has_started = True
        write_answer(self._path, _identify_process())
