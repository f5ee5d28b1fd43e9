"""The progress of one step of a command. The step reports it; the caller chooses how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

T = TypeVar("T")

ProgressCallback = Callable[[int, int], None]
"""Called with ``(done, total)`` of the items of a step; a total of 0 if it is not known."""
Steps = Callable[[str], AbstractContextManager[ProgressCallback]]
"""Begins a step, named by what it does (``checking rows``); it ends with the block."""
ITEMS_PER_REPORT = 500
"""Items between two reports, for items that take microseconds each."""


def no_progress(_done: int, _all: int) -> None:
    """A callback that does nothing."""


def no_steps(_description: str) -> AbstractContextManager[ProgressCallback]:
    """Steps that are not shown."""
    return nullcontext(no_progress)


def report_progress(
    items: Iterable[T], on_progress: ProgressCallback, total: int = 0, *, every: int = ITEMS_PER_REPORT
) -> Iterator[T]:
    """Yield ``items``; ``on_progress`` is called after each ``every`` of them. ``total`` are expected."""
    for done, item in enumerate(items, 1):
        yield item
        if done % every == 0:
            on_progress(done, total)
