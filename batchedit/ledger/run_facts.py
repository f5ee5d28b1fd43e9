"""Facts about a run as a whole, parsed and checked: the checkpoint may be damaged, or another person's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import orjson

from ..core.errors import CheckpointCorruptError

T = TypeVar("T")
M = TypeVar("M")
COMMITTED = "committed_id"
"""The fact with the highest id of a job that belongs to the run: jobs after it were left by an intake that died."""
PLAY = "play_money"
"""The fact of a run: ``YES`` if all its purchases were made at this person's own sandbox, ``NO`` if one was not."""
STORE_PLAY = "store_play_money"
"""The same fact, in the copy of a store's run: the value that the store has."""
YES, NO = "yes", "no"
_READ_ERRORS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""The errors that parsing a malformed text raises."""
_LARGEST = 2**63 - 1
"""SQLite's integers, and micro-dollars among them, end there."""
_LONGEST_QUOTE = 40


class FactReader(Protocol):
    """The part of ``book.Facts`` that reads one fact; ``SqliteFile`` has it before it is a book."""

    def get(self, name: str, /) -> str | None:
        """See ``book.Facts``."""
        ...


def read_fact(facts: FactReader, name: str, read: Callable[[str], T], missing: M) -> T | M:
    """The fact ``name``, parsed by ``read``; ``missing`` where it is absent or empty.

    CheckpointCorruptError (74), one sentence, where ``read`` refuses it: it raises ValueError, TypeError, LookupError,
    AttributeError, OverflowError or RecursionError for a text that no run can have written.
    """
    text = facts.get(name)
    return missing if not text else parse_fact(name, text, read)


def parse_fact(name: str, text: str, read: Callable[[str], T]) -> T:
    """``read_fact`` for a text that was read before."""
    try:
        return read(text)
    except _READ_ERRORS as error:
        quoted = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
        raise build_damaged_error(f"its {name} is {quoted!r}") from error


def build_damaged_error(reason: str) -> CheckpointCorruptError:
    """The error for a checkpoint that contradicts itself, or that no run can have written. ``reason`` is a clause,
    unpunctuated.
    """
    return CheckpointCorruptError(
        f"the checkpoint is damaged: {reason}, which no run of batchedit writes; nothing was changed",
        hint="restore it from a backup: it knows what was bought. Do not delete it",
    )


def parse_whole_number(text: str) -> int:
    """A number of jobs, an id, or micro-dollars. Raises ValueError for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST)) and int(text) <= _LARGEST):
        raise ValueError(text)
    return int(text)


def parse_whole_numbers(text: str) -> tuple[int, ...]:
    """A JSON array of such numbers. ValueError for anything else."""
    numbers = orjson.loads(text)
    if not isinstance(numbers, list) or not all(type(number) is int and 0 <= number <= _LARGEST for number in numbers):
        raise ValueError(text)
    return tuple(numbers)
