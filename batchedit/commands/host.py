"""What a command needs of its caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ..core.steps import ProgressCallback
from ..ports import Observer, Snapshot, Stop
from .quote_to_confirm import Quote


class Host(Protocol):
    """The caller of a command: the command line, the web server, or a program that uses the library."""

    environ: Mapping[str, str]
    stop: Stop

    def observers(self) -> Sequence[Observer]:
        """Who gets events and notes, besides ``run.jsonl``."""
        ...

    def say(self, text: str) -> None:
        """One line for the person."""
        ...

    def warn(self, text: str) -> None:
        """What the person must know before anything is sent or bought. Shown once, also with ``--quiet``."""
        ...

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        """Begin a step that may take more than two seconds; ``what`` reads like ``checking rows``. Gives the callback to call
        with its progress, from any thread. The step ends with the block.
        """
        ...

    async def confirm(self, quote: Quote) -> None:
        """Show what is to be bought and ask: the one question before money is spent.

        Raises UsageError (64) where the person says no or ``--yes`` is missing; ``quote.find_objection`` where the yes was
        given before the quote was seen and does not hold for it; InterruptedRunError if the person leaves.
        """
        ...

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:
        """The pool starts on ``total`` jobs: gives the callback to call with each snapshot, None where no progress is shown.
        ``play``: the money is play money.
        """
        ...
