"""The person at the terminal: what is said to them, what is asked, and what their Ctrl-C means."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import anyio
import click
from anyio import to_thread

from ..commands.observers import Bar, JsonLines, Snapshot, Tell, TellEvents
from ..commands.purchase import CanaryReport
from ..core.errors import BatcheditError, InterruptedRunError, StoppedError, UsageError
from ..planning.intake import Plan
from ..planning.survey import Stop
from ..ports import Observer
from .show import canary_text, plan_text

T = TypeVar("T")


class Terminal:
    """``runs.Host`` for the command line. What is for the eye goes to stderr; results go to stdout."""

    def __init__(self, *, yes: bool, never_asks: bool, quiet: bool, log_json: bool, verbose: bool = False) -> None:
        self.environ: Mapping[str, str] = os.environ
        self.stop = Stop()
        self._yes = yes or never_asks
        self._quiet = quiet
        self._log_json = log_json
        self._verbose = verbose
        self._bar: Bar | None = None

    def observers(self) -> Sequence[Observer]:
        """Notes for the person, or everything as JSON lines."""
        if self._log_json:
            return [JsonLines(sys.stderr)]
        return [Tell(self.say), *([TellEvents(self.say)] if self._verbose else [])]

    def say(self, text: str) -> None:
        """One line, above the bar if there is one."""
        if self._quiet or self._log_json:
            return
        if self._bar is not None:
            self._bar.say(text)
        else:
            click.echo(text, err=True)

    async def confirm(self, what: Plan) -> None:
        """Show the plan and ask; without a terminal ``--yes`` must have said it."""
        self.say(plan_text(what))
        if self._yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                f"buying {what.to_buy:,} pictures needs a yes, and there is no terminal to ask on",
                hint="the same command with --yes; or with --sandbox to try it without buying",
            )
        price = f" for about ${what.estimate / 1e6:,.2f}" if what.price else ""
        if not await self._ask(f"Buy {what.to_buy:,} picture{'s' if what.to_buy != 1 else ''}{price}?"):
            raise UsageError("not confirmed; nothing was bought")

    async def confirm_rest(self, canary: CanaryReport) -> None:
        """Show the canary and ask for the rest; with ``--yes`` go on only if none of it failed."""
        self.close()
        self.say(canary_text(canary))
        if self._yes:
            if canary.done < canary.jobs:
                raise StoppedError(
                    f"{canary.jobs - canary.done} of the {canary.jobs} canary pictures did not come out",
                    hint="look at failed.csv; the rest was not bought",
                )
            return
        if not await self._ask(f"Buy the other {canary.remaining:,}?"):
            raise UsageError("not confirmed; the canary was bought, the rest was not")

    async def _ask(self, question: str) -> bool:
        """In a thread, so that Ctrl-C is heard while the question stands."""
        with anyio.CancelScope() as scope:
            self.stop.listen(lambda _: scope.cancel())
            try:
                return await to_thread.run_sync(
                    lambda: click.confirm(question, default=False, err=True), abandon_on_cancel=True
                )
            finally:
                self.stop.listen(None)
        sys.stderr.write("\nbatchedit: interrupted; nothing was bought\n")
        sys.stderr.flush()
        os._exit(130)  # the thread still waits for a line, and would keep the process

    def watch(self, total: int) -> Callable[[Snapshot], None] | None:
        """A bar on a terminal; nothing when piped."""
        if self._quiet or self._log_json or not sys.stderr.isatty():
            return None
        self._bar = Bar(total, sys.stderr)
        return self._bar.refresh

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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
            tasks.cancel_scope.cancel()
        return results[0] if results else host.stop.reason or InterruptedRunError(signal.SIGINT)

    # What was loaded until here stays to the end, and hardly anything of a job is a cycle: the collector may come a tenth
    # as often. It took 2 to 4 % of the CPU of 500 jobs (``benchmarks/LOG.md``).
    gc.freeze()
    gc.set_threshold(7_000)
    try:
        result = anyio.run(both)
    finally:
        host.close()
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
        async for number in signals:
            if host.stop.reason is not None:
                with suppress(OSError):  # the terminal may be gone
                    sys.stderr.write("\nbatchedit: left at once; the same command goes on where it was\n")
                    sys.stderr.flush()
                os._exit(128 + number)
            host.say("stopping: nothing more is sent; answers on the way are written down (again to leave at once)")
            if not host.stop.throw(InterruptedRunError(number)):
                everything.cancel()
