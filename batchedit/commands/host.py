"""What a command needs of whoever started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ..core.steps import ProgressCallback
from ..ports import Observer, Snapshot, Stop
from .quote import Quote


class Host(Protocol):
    """Whoever started the command: the command line, or a program that uses the library."""

    environ: Mapping[str, str]
    stop: Stop

    def observers(self) -> Sequence[Observer]:
        """Those who want to see events and notes, besides ``run.jsonl``."""
        ...

    def say(self, text: str) -> None:
        """One line for the person."""
        ...

    def warn(self, text: str) -> None:
        """What the person must know before anything is sent or bought: told however quiet the command is to be, once."""
        ...

    def step(self, what: str) -> AbstractContextManager[ProgressCallback]:
        """Something that may take more than two seconds begins, said as ``checking rows``: what to call with how far it is,
        from any thread. It is over at the end of the block.
        """
        ...

    async def confirm(self, quote: Quote) -> None:
        """Show what is to be bought and ask: the one question that lets money out.

        Raises UsageError (64) if the person, or the lack of ``--yes``, says no; what ``quote.find_objection`` says where the
        yes was said beforehand; InterruptedRunError if the person leaves.
        """
        ...

    def watch(self, total: int, *, play: bool = False) -> Callable[[Snapshot], None] | None:
        """The pool starts on ``total`` jobs: what to call with each snapshot, None where nobody watches. ``play``: the money
        is play money.
        """
        ...
