"""The person at the terminal: what is said to them, what is asked, and what their Ctrl-C means."""

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
from ..commands.quote import Quote, find_objection
from ..commands.step_bar import StepBar, StepLines
from ..core.errors import BatcheditError, DiskError, InterruptedRunError, UsageError
from ..core.steps import ProgressCallback, no_steps
from ..core.visible import to_one_line
from ..core.words import pluralize
from ..ports import Observer, Snapshot, Stop
from ..review.notify import Notices
from . import log_lines
from .notices import canary_waits, pictures, started
from .show import question, quote_text
from .streams import bar_stream, columns_of, fold, whole_lines

T = TypeVar("T")

_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


class CommandLines(JsonLines):
    """The events of a command's run. The end waits for the command's own: what ends it in an error is told before."""

    def note(self, name: str, message: str, **details: object) -> None:
        """As ``JsonLines`` does it."""

        def write(code: int) -> None:
            JsonLines.note(self, name, message, **{**details, "exit_code": code})

        if name == "ended" and log_lines.run_ends(write):
            return
        if name == "started":
            log_lines.run_starts()
        super().note(name, message, **details)


class Terminal:
    """``runs.Host`` for the command line. What is for the eye goes to stderr; results go to stdout."""

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
        """``metrics`` is where ``--metrics`` wants them. UsageError where that can't be. ``notify``: who hears of it.

        ``grace``: seconds from the first signal to the end, whatever is on its way then.
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
        self.notices = Notices(notify, self._not_arrived)
        self._began = self.said_no = False
        self._shows_steps = not (quiet or log_json or as_json)
        self._step_bar: StepBar | None = None
        self._silent_since = monotonic()
        self._warned: set[str] = set()
        self._server = MetricsServer(metrics, self._metrics, self.say) if metrics and self._metrics else None

    def observers(self) -> Sequence[Observer]:
        """Notes for the person, or everything as JSON lines."""
        watching: list[Observer] = [self._metrics] if self._metrics else []
        if self._log_json:
            return [CommandLines(whole_lines(sys.stderr)), *watching]
        return [NoteObserver(self.say, self.insist), *([EventObserver(self.say)] if self._verbose else []), *watching]

    def say(self, text: str) -> None:
        """One line, above the bar if there is one."""
        self._show(to_one_line(text))

    def insist(self, text: str) -> None:
        """The same, also with ``--quiet``: what makes the run wait for long is something wrong."""
        self._show(to_one_line(text), always=True)

    def warn(self, text: str) -> None:
        """One line, also with ``--quiet``; with ``--log-json`` as one object. Each text once."""
        if text in self._warned:
            return
        self._warned.add(text)
        if self._log_json:
            JsonLines(whole_lines(sys.stderr)).note("warning", text)
        else:
            self._put(to_one_line(f"warning: {text}"))

    def _show(self, text: str, *, always: bool = False) -> None:
        if not self._log_json and (always or not self._quiet):
            self._put(text)

    def _put(self, text: str) -> None:
        folded = fold(text, columns_of(sys.stderr))
        if self._bar is not None:
            self._bar.say(folded)
        elif self._step_bar is None or not self._step_bar.say(folded):
            click.echo(text, err=True)

    def _not_arrived(self, why: str) -> None:
        log_lines.tell(f"batchedit: a message did not arrive: {why}", "warning")

    async def confirm(self, quote: Quote) -> None:
        """Show what is to be bought and ask; without a terminal ``--yes`` must have said it."""
        await self._agree(quote)
        self.begins(quote)

    def begins(self, quote: Quote) -> None:
        """A yes was said to ``quote``: who is to be notified hears of the first."""
        if not self._began:
            self._began = True
            self.notices.send(started(quote))

    async def _agree(self, quote: Quote) -> None:
        self.close()
        self._show(quote_text(quote))
        for warning in quote.plan.every_warning if self._quiet else ():
            self.warn(warning)
        if self._yes:
            if (error := find_objection(quote)) is not None:
                raise error
            return
        if self._log_json:  # the question would stand between the lines, and what it is about is not shown
            raise UsageError(
                f"buying {pluralize(quote.count, 'picture')} needs a yes, and with --log-json nothing is asked",
                hint="the same command with --yes",
            )
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                f"buying {pluralize(quote.count, 'picture')} needs a yes, and there is no terminal to ask on",
                hint="the same command with --yes",
            )
        if quote.canary is not None and self._began:
            self.notices.send(canary_waits(quote), pictures(quote.plan.folder))
        answer = await self._ask(question(quote))
        if answer is None:
            raise self.stop.reason or InterruptedRunError(signal.SIGINT)
        if not answer:
            self.said_no = True
            bought = "the canary was bought, the rest was not" if quote.canary else "nothing was bought"
            raise UsageError(f"not confirmed; {'the rest was not bought' if quote.rose else bought}")

    async def _ask(self, text: str) -> bool | None:
        """Yes or no; None if a signal came instead. No thread waits for the line, so none holds the process back."""
        answer: bool | None = None
        with anyio.CancelScope() as scope, _own_terminal() as terminal:
            self.stop.listen(lambda _: scope.cancel())
            try:
                while answer is None:
                    click.echo(f"{to_one_line(text)} [y/N]: ", nl=False, err=True)
                    answer = _ANSWERS.get(await _typed_line(terminal))
            finally:
                self.stop.listen(None)
        if answer is None:
            click.echo(err=True)
        return answer

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:
        """A bar on a terminal; a line a minute elsewhere. Whoever asks for the numbers is shown them too."""
        shown, metrics = self._watch(total, play=play), self._metrics
        if metrics is None:
            return shown
        metrics.play = play

        def both(now: Snapshot) -> None:
            metrics.refresh(now)
            if shown is not None:
                shown(now)

        return both

    def _watch(self, total: int, *, play: bool) -> Callable[[Snapshot], None] | None:
        if self._quiet or self._log_json:
            return None
        if not sys.stderr.isatty():
            return ProgressLines(total, self.say, play=play).refresh
        self._bar = Bar(total, bar_stream(), play=play)
        return self._bar.refresh

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        """A bar on a terminal, a line a minute elsewhere. The pool's bar is over by then."""
        if not self._shows_steps:
            return no_steps(what)
        self.close()
        if not sys.stderr.isatty():
            return StepLines(self.say).step(what)
        self._step_bar = self._step_bar or StepBar(bar_stream(), since=self._silent_since)
        return self._step_bar.step(what)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def hears(self) -> None:
        """From now on a signal ends the command in order."""
        if self._metrics is not None:
            self._metrics.handles_signals = True

    def leave(self) -> None:
        """The command is at its end, and with it the numbers of ``--metrics``."""
        self.close()
        if self._server is not None:
            self._server.close()
            self._server = None


@contextmanager
def _own_terminal() -> Iterator[int]:
    """The terminal of stdin, opened anew: it is read without waiting, and that changes nothing for who shares stdin, such as
    the shell. stdin itself where its terminal can't be opened.
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


async def _typed_line(terminal: int) -> str:
    """The next line that is typed. A terminal that is gone has said no.

    A Ctrl-C makes the terminal throw away a line that it said was there. Who waited for that line to be read would hear of no
    signal any more.
    """
    while True:
        await anyio.wait_readable(terminal)
        try:
            return os.read(terminal, 1024).decode(errors="replace").strip().lower()
        except BlockingIOError:
            continue
        except OSError:
            return ""


def attended(host: Terminal, work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` with signals heard: the first one ends it in order, the second one at once."""

    async def both() -> T | BatcheditError:
        """The work and the ear for signals, until one of them ends it."""
        results: list[T | BatcheditError] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_hear, host, tasks.cancel_scope)
            try:
                results.append(await work())
            except BatcheditError as error:
                results.append(error)
            except OSError as error:  # a traceback tells nobody what to do about a disk
                results.append(DiskError(error))
            tasks.cancel_scope.cancel()
        return results[0] if results else host.stop.reason or InterruptedRunError(signal.SIGINT)

    try:
        result = anyio.run(both)
    finally:
        host.ended.set()
        host.leave()
    if isinstance(result, BatcheditError):
        raise result
    return result


def _ending_signals() -> list[signal.Signals]:
    """The signals that end a run in order. A closed terminal (SIGHUP) is one of them: evenings end like that, and a POST
    that is cut off is in doubt. Where it was ignored from the start (``nohup``), it stays ignored.
    """
    heard = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    return heard


async def _hear(host: Terminal, everything: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*_ending_signals()) as signals:
        host.hears()
        async for number in signals:
            if host.stop.reason is not None:
                _leave(number, "left at once")
            threading.Thread(target=_leave_later, args=(host, number), daemon=True).start()
            host.say("stopping: nothing more is sent; answers on the way are written down (again to leave at once)")
            if not host.stop.throw(InterruptedRunError(number)):
                everything.cancel()


def _leave(number: int, how: str) -> NoReturn:
    """End the process here. What it was sending is in doubt, and the next one says so."""
    with suppress(OSError):  # the terminal may be gone
        if not log_lines.asked():
            sys.stderr.write("\n")
        log_lines.tell(f"batchedit: {how}; the same command goes on where it was", "left")
        log_lines.end(128 + number)
        sys.stderr.flush()
    os._exit(128 + number)


def _leave_later(host: Terminal, number: int) -> None:
    """In a thread, for what holds the process back may be its event loop."""
    if host.grace <= threading.TIMEOUT_MAX and not host.ended.wait(host.grace):
        _leave(number, f"left after {host.grace:g} s of grace, with answers still on their way")
