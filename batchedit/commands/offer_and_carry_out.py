"""Carries out a command that is given as a value: up to its question, or with a yes that was given before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os import environ as environment
from pathlib import Path

from ..core.errors import RestWaitsError, UsageError
from ..core.shell_commands import format_command
from ..core.steps import ProgressCallback, no_steps
from ..ledger.register import Register
from ..ports import Observer, Snapshot, Stop
from ..results.report import Report
from ..run_folder import RunFolder, find_run, find_run_folder, shorten_path
from ..settings.model import Settings
from .confirmation_file import Command, Confirmation
from .doubt import doubt
from .fetch import fetch
from .host import Host
from .quote_to_confirm import Quote, make_price_rose_error
from .redo import redo
from .retry import retry
from .run import resume, run

REST_WAITS = "the first were bought, and the other {rest:,} wait for your yes"


async def carry_out(command: Command, host: Host) -> Report:
    """Do what ``command`` says. ``host`` is asked before anything is bought."""
    target, given = command.target, command.given
    match command.verb:
        case "run":
            return await run(Path(target), Settings(**given), host, name=command.name)
        case "resume":
            return await resume(target, given, host)
        case "retry":
            return await retry(target, given, host, command.wish)
        case "redo":
            return await redo(target, given, host, prompt_add=command.prompt_add, use_notes=command.use_notes)
        case "doubt":
            return await _buy_again(command, host)
        case "fetch":
            return await fetch(target, given, host)
    raise UsageError(f"there is no command {command.verb}")


async def _buy_again(command: Command, host: Host) -> Report:
    doubt_report = await doubt(command.target, command.given, host, pasted={}, buy_again=command.rows, write_off=())
    if doubt_report.bought is None:
        raise UsageError("no row is named that is to be bought again")
    return doubt_report.bought


def find_command_folder(command: Command, environ: Mapping[str, str]) -> RunFolder:
    """The run that ``command`` works on; for ``run`` it may not exist yet."""
    given = command.given
    if command.verb == "run":
        source = Path(command.name or command.target)
        return find_run_folder(source, Settings(**given), Register.from_environ(environ))
    return find_run(command.target, given.get("out"), environ)


# --- up to the question ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """What a command would buy. ``quote`` is what to show and to ask about; None where there is only something to collect.
    ``confirmation`` is the yes to it, for ``launch.start_process``; it can be used once.
    """

    folder: Path
    quote: Quote | None
    confirmation: Confirmation


class _QuestionReachedError(Exception):
    """The question is known; nothing was bought."""


class _QuestionHost:
    """A host that ends the command at its question, or just before it collects."""

    def __init__(self, host: Host) -> None:
        self.environ, self.stop, self._host = host.environ, host.stop, host
        self.quote: Quote | None = None
        self.reached = False

    def observers(self) -> Sequence[Observer]:
        return self._host.observers()

    def say(self, text: str) -> None:
        self._host.say(text)

    def warn(self, text: str) -> None:
        self._host.warn(text)

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        return self._host.step(what)

    async def confirm(self, quote: Quote) -> None:
        await self._host.confirm(quote)
        self.quote, self.reached = quote, True
        raise _QuestionReachedError

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:  # noqa: ARG002 - the port's signature
        self.reached = True
        raise _QuestionReachedError


async def offer(command: Command, host: Host) -> Offer | Report:
    """Carry ``command`` out up to its question: the sheet is taken in, what other runs have is reused, nothing is bought.

    ``host.confirm`` is called with the quote, so that a terminal can ask at once; a page, which asks later, lets it return.
    Returns the report where there is nothing to buy or to collect. Raises as the command does.
    """
    question_host = _QuestionHost(host)
    try:
        return await carry_out(command, question_host)
    except Exception:
        if not question_host.reached:
            raise
    folder = find_command_folder(command, host.environ).path
    return Offer(folder, question_host.quote, Confirmation.of(command, folder, question_host.quote))


class Unattended:
    """A host that asks no question and shows no progress: for a page that shows the quote itself, or for its own process.

    ``messages`` keeps the lines for the person, ``warnings`` those that a person must see before a yes.
    """

    def __init__(self, environ: Mapping[str, str] = environment) -> None:
        self.environ = environ
        self.stop = Stop()
        self.messages: list[str] = []
        self.warnings: list[str] = []

    def observers(self) -> Sequence[Observer]:
        """None besides the run's own log."""
        return ()

    def say(self, text: str) -> None:
        """Keep ``text``."""
        self.messages.append(text)

    def warn(self, text: str) -> None:
        """Keep ``text``, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        """Shows nothing."""
        return no_steps(what)

    async def confirm(self, quote: Quote) -> None:
        """For ``offer`` alone, which lets nothing be bought."""

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:  # noqa: ARG002 - the port's signature
        """Shows nothing."""
        return None


# --- with the yes ---------------------------------------------------------------------------------


def admit(confirmation: Confirmation, quote: Quote, *, answered: bool) -> None:
    """Let the purchase go on if ``quote`` is what the person said yes to. UsageError (64) if it is not.

    ``answered``: the confirmation was used for an earlier question of this process. It is a yes to one question alone. Any
    later question (the rest after a canary, a price that rose) ends the run in order with a StoppedError (75) and needs a
    yes of its own.
    """
    if not answered:
        confirmation.check(quote)
        return
    if quote.rose:
        raise make_price_rose_error(quote)
    raise RestWaitsError(
        REST_WAITS.format(rest=quote.count),
        hint=f"look at them, then buy the rest: {format_command('run', shorten_path(Path(confirmation.folder)))}",
    )
