"""How far one step of a command is: what does the step tells it, and who shows it is the caller's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

T = TypeVar("T")

ProgressCallback = Callable[[int, int], None]
"""Called with ``(done, in all)`` of what a step goes through; 0 in all where nobody knows."""
Steps = Callable[[str], AbstractContextManager[ProgressCallback]]
"""Begins a step, by what it does (``checking rows``); it is over at the end of the block."""
EVERY = 500
"""Of things that take microseconds each only every so manieth is told."""


def no_progress(_done: int, _all: int) -> None:
    """Nobody wants to know how far it is."""


def no_steps(_what: str) -> AbstractContextManager[ProgressCallback]:
    """Steps that nobody watches."""
    return nullcontext(no_progress)


def report_progress(items: Iterable[T], told: ProgressCallback, total: int = 0, *, every: int = EVERY) -> Iterator[T]:
    """Pass ``items`` on; ``told`` hears how many went by, ``total`` are expected."""
    for done, item in enumerate(items, 1):
        yield item
        if done % every == 0:
            told(done, total)
