"""The terminal: what is printed, what is asked, and how signals end a command."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from time import monotonic
from typing import NoReturn, TypeVar

import anyio
import click

from ..commands.bar import Bar, ProgressLines
from ..commands.metrics import MetricsServer, Watch
from ..commands.observers import EventObserver, JsonLines, NoteObserver
from ..commands.quote_to_confirm import Quote, find_objection
from ..commands.step_bar import StepBar, StepLines
from ..core.errors import BatcheditError, DiskError, InterruptedRunError, UsageError
from ..core.plurals_and_durations import pluralize
from ..core.safe_text import to_one_line
from ..core.steps import ProgressCallback, no_steps
from ..ports import Observer, Snapshot, Stop
from ..review.notify import Notices
from . import log_lines
from .notices import describe_start, describe_waiting_canary, make_picture_loader
from .printed_text import format_question, format_quote
from .streams import fold, get_bar_stream, get_terminal_columns, keep_lines_whole

T = TypeVar("T")

_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


class CommandLines(JsonLines):
    """The events of a command's run as JSON lines. The run's end is written last, after an error that ends the command."""

    def note(self, name: str, message: str, **details: object) -> None:
        """As ``JsonLines`` does it, except for the start and the end."""

        def write(code: int) -> None:
            JsonLines.note(self, name, message, **{**details, "exit_code": code})

        if name == "ended" and log_lines.defer_run_end(write):
            return
        if name == "started":
            log_lines.note_run_start()
        super().note(name, message, **details)


class Terminal:
    """``commands.host.Host`` for the command line. Messages and bars go to stderr, results to stdout."""

    def __init__(
        self,
        *,
        yes: bool,
        never_asks: bool,
        quiet: bool,
        log_json: bool,
        verbose: bool = False,
        as_json: bool = False,
        metrics: str | None = None,
        grace: float = math.inf,
        notify: Sequence[str] = (),
    ) -> None:
        """``metrics``: the address of ``--metrics``, UsageError where it can't be listened at. ``notify``: the addresses of
        ``--notify``. ``grace``: seconds from the first signal to the end, whatever is on its way then.
        """
        self.grace = grace
        self.ended = threading.Event()
        self.environ: Mapping[str, str] = os.environ
        self.stop = Stop()
        self._yes = yes or never_asks
        self._quiet = quiet
        self._log_json = log_json
        self._verbose = verbose
        self._bar: Bar | None = None
        self._metrics = Watch(self.stop) if metrics else None
        self.notices = Notices(notify, self._warn_undelivered)
        self._start_notified = self.confirmation_refused = False
        self._shows_steps = not (quiet or log_json or as_json)
        self._step_bar: StepBar | None = None
        self._silent_since = monotonic()
        self._warned: set[str] = set()
        self._server = MetricsServer(metrics, self._metrics, self.say) if metrics and self._metrics else None

    def observers(self) -> Sequence[Observer]:
        """Notes for the person, or everything as JSON lines."""
        metrics_observers: list[Observer] = [self._metrics] if self._metrics else []
        if self._log_json:
            return [CommandLines(keep_lines_whole(sys.stderr)), *metrics_observers]
        return [
            NoteObserver(self.say, self.say_always),
            *([EventObserver(self.say)] if self._verbose else []),
            *metrics_observers,
        ]

    def clear_metrics(self) -> None:
        """The process waits, for its next run or for a person: old numbers would say that it hangs."""
        if self._metrics:
            self._metrics.clear_snapshot()

    def say(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        self._print_unless_quiet(to_one_line(text))

    def say_always(self, text: str) -> None:
        """Print one line, also with ``--quiet``: for problems such as a long wait."""
        self._print_unless_quiet(to_one_line(text), always=True)

    def warn(self, text: str) -> None:
        """Print one line, also with ``--quiet``; with ``--log-json`` as one object. Each text once."""
        if text in self._warned:
            return
        self._warned.add(text)
        if self._log_json:
            JsonLines(keep_lines_whole(sys.stderr)).note("warning", text)
        else:
            self._print(to_one_line(f"warning: {text}"))

    def _print_unless_quiet(self, text: str, *, always: bool = False) -> None:
        if not self._log_json and (always or not self._quiet):
            self._print(text)

    def _print(self, text: str) -> None:
        folded = fold(text, get_terminal_columns(sys.stderr))
        if self._bar is not None:
            self._bar.say(folded)
        elif self._step_bar is None or not self._step_bar.say(folded):
            click.echo(text, err=True)

    def _warn_undelivered(self, why: str) -> None:
        log_lines.write_line(f"batchedit: a message did not arrive: {why}", "warning")

    async def confirm(self, quote: Quote) -> None:
        """Show what is to be bought and ask; without a terminal ``--yes`` is needed."""
        await self._ask_to_confirm(quote)
        self.notify_start(quote)

    def notify_start(self, quote: Quote) -> None:
        """Send ``--notify`` the start of the purchase ``quote``, which was confirmed: the first one only."""
        if not self._start_notified:
            self._start_notified = True
            self.notices.send(describe_start(quote))

    async def _ask_to_confirm(self, quote: Quote) -> None:
        self.close()
        self.clear_metrics()
        self._print_unless_quiet(format_quote(quote))
        for warning in quote.plan.every_warning if self._quiet else ():
            self.warn(warning)
        if self._yes:
            if (error := find_objection(quote)) is not None:
                raise error
            return
        if self._log_json:  # the question would stand between the JSON lines, and the quote is not shown
            raise UsageError(
                f"buying {pluralize(quote.count, 'picture')} needs a yes, and with --log-json nothing is asked",
                hint="the same command with --yes",
            )
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                f"buying {pluralize(quote.count, 'picture')} needs a yes, and there is no terminal to ask on",
                hint="the same command with --yes",
            )
        if quote.canary is not None and self._start_notified:
            self.notices.send(describe_waiting_canary(quote), make_picture_loader(quote.plan.folder))
        answer = await self._ask(format_question(quote))
        if answer is None:
            raise self.stop.reason or InterruptedRunError(signal.SIGINT)
        if not answer:
            self.confirmation_refused = True
            outcome = "the canary was bought, the rest was not" if quote.canary else "nothing was bought"
            raise UsageError(f"not confirmed; {'the rest was not bought' if quote.rose else outcome}")

    async def _ask(self, text: str) -> bool | None:
        """Ask yes or no; None if a signal came instead. No thread waits for the line: it would keep the process alive."""
        answer: bool | None = None
        with anyio.CancelScope() as scope, _open_terminal() as terminal:
            self.stop.listen(lambda _: scope.cancel())
            try:
                while answer is None:
                    click.echo(f"{to_one_line(text)} [y/N]: ", nl=False, err=True)
                    answer = _ANSWERS.get(await _read_line(terminal))
            finally:
                self.stop.listen(None)
        if answer is None:
            click.echo(err=True)
        return answer

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:
        """A bar on a terminal; a line a minute elsewhere. ``--metrics`` gets the same numbers."""
        refresh_bar, metrics = self._make_bar(total, play=play), self._metrics
        if metrics is None:
            return refresh_bar
        metrics.play = play

        def refresh(snapshot: Snapshot) -> None:
            metrics.refresh(snapshot)
            if refresh_bar is not None:
                refresh_bar(snapshot)

        return refresh

    def _make_bar(self, total: int, *, play: bool) -> Callable[[Snapshot], None] | None:
        if self._quiet or self._log_json:
            return None
        if not sys.stderr.isatty():
            return ProgressLines(total, self.say, play=play).refresh
        self._bar = Bar(total, get_bar_stream(), play=play)
        return self._bar.refresh

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        """A bar on a terminal, a line a minute elsewhere. The pool's bar is over by then."""
        if not self._shows_steps:
            return no_steps(what)
        self.close()
        if not sys.stderr.isatty():
            return StepLines(self.say).step(what)
        self._step_bar = self._step_bar or StepBar(get_bar_stream(), since=self._silent_since)
        return self._step_bar.step(what)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def report_signals_handled(self) -> None:
        """Tell ``--metrics`` that from now on a signal ends the command in order."""
        if self._metrics is not None:
            self._metrics.handles_signals = True

    def shut_down(self) -> None:
        """Close the bar and the server of ``--metrics`` at the end of the command."""
        self.close()
        if self._server is not None:
            self._server.close()
            self._server = None


@contextmanager
def _open_terminal() -> Iterator[int]:
    """The terminal of stdin, opened again: it is read without blocking, and that must not change the stdin that the shell
    shares. stdin itself where its terminal can't be opened.
    """
    stdin = sys.stdin.fileno()
    try:
        terminal = os.open(os.ttyname(stdin), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        yield stdin
        return
    try:
        yield terminal
    finally:
        os.close(terminal)


async def _read_line(terminal: int) -> str:
    """The next line that is typed. A terminal that is gone means no.

    A Ctrl-C makes the terminal discard a line that it had reported as readable. A blocking read would then wait for the next
    line, and no signal would be handled.
    """
    while True:
        await anyio.wait_readable(terminal)
        try:
            return os.read(terminal, 1024).decode(errors="replace").strip().lower()
        except BlockingIOError:
            continue
        except OSError:
            return ""


def run_attended(host: Terminal, work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` and handle signals: the first one ends it in order, the second one at once."""

    async def run_with_signals() -> T | BatcheditError:
        """Run the work beside the signal receiver, until one of them ends it."""
        outcomes: list[T | BatcheditError] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_receive_signals, host, tasks.cancel_scope)
            try:
                outcomes.append(await work())
            except BatcheditError as error:
                outcomes.append(error)
            except OSError as error:  # a traceback does not say what to do about a disk
                outcomes.append(DiskError(error))
            tasks.cancel_scope.cancel()
        return outcomes[0] if outcomes else host.stop.reason or InterruptedRunError(signal.SIGINT)

    try:
        result = anyio.run(run_with_signals)
    finally:
        host.ended.set()
        host.shut_down()
    if isinstance(result, BatcheditError):
        raise result
    return result


def _list_ending_signals() -> list[signal.Signals]:
    """The signals that end a run in order. A closed terminal (SIGHUP) is one of them: closing it is a usual way to leave, and
    a POST that is cut off is in doubt. Where SIGHUP was ignored from the start (``nohup``), it stays ignored.
    """
    ending_signals = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ending_signals.append(signal.SIGHUP)
    return ending_signals


async def _receive_signals(host: Terminal, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*_list_ending_signals()) as signals:
        host.report_signals_handled()
        async for signal_number in signals:
            if host.stop.reason is not None:
                _exit_now(signal_number, "left at once")
            threading.Thread(target=_exit_after_grace, args=(host, signal_number), daemon=True).start()
            host.say("stopping: nothing more is sent; answers on the way are written down (again to leave at once)")
            if not host.stop.throw(InterruptedRunError(signal_number)):
                scope.cancel()


def _exit_now(signal_number: int, reason: str) -> NoReturn:
    """End the process at once. What it was sending is in doubt, and the next process says so."""
    with suppress(OSError):  # the terminal may be gone
        if not log_lines.is_enabled():
            sys.stderr.write("\n")
        log_lines.write_line(f"batchedit: {reason}; the same command goes on where it was", "left")
        log_lines.write_end(128 + signal_number)
        sys.stderr.flush()
    os._exit(128 + signal_number)


def _exit_after_grace(host: Terminal, signal_number: int) -> None:
    """End the process after the grace period. Runs in a thread, because it may be the event loop that hangs."""
    if host.grace <= threading.TIMEOUT_MAX and not host.ended.wait(host.grace):
        _exit_now(signal_number, f"left after {host.grace:g} s of grace, with answers still on their way")
