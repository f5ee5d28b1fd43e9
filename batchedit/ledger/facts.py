"""Facts about a run as a whole, read as what they must be: the checkpoint may be damaged, or somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import orjson

from ..core.errors import CheckpointCorruptError

T = TypeVar("T")
M = TypeVar("M")
COMMITTED = "committed_id"
"""The fact that tells the highest id of a job that belongs to the run: what stands behind it, a dead intake left."""
PLAY = "play_money"
"""The fact of a run: ``YES`` if all its purchases were made at this person's own sandbox, ``NO`` if one was not."""
STORE_PLAY = "store_play_money"
"""The same of the copy of a store's run, as the store has it."""
YES, NO = "yes", "no"
_SENSELESS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What reading a text raises that is not what it should be."""
_LARGEST = 2**63 - 1
"""SQLite's integers, and micro-dollars among them, end there."""
_SHOWN = 40


class HasFacts(Protocol):
    """What facts are read from: ``book.Facts``, and SQLite's file before it is one."""

    def get(self, name: str, /) -> str | None:
        """See ``book.Facts``."""
        ...


def read_fact(found: HasFacts, name: str, read: Callable[[str], T], missing: M) -> T | M:
    """What ``read`` makes of the fact ``name``; ``missing`` where nobody put it or it is empty.

    CheckpointCorruptError (74), one sentence, where ``read`` refuses it: it raises ValueError, TypeError, LookupError,
    AttributeError, OverflowError or RecursionError for a text that no run can have written.
    """
    text = found.get(name)
    return missing if not text else parse_fact(name, text, read)


def parse_fact(name: str, text: str, read: Callable[[str], T]) -> T:
    """``read_fact`` for a text that is at hand."""
    try:
        return read(text)
    except _SENSELESS as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise build_damaged_error(f"its {name} is {shown!r}") from error


def build_damaged_error(why: str) -> CheckpointCorruptError:
    """Something in it contradicts itself, or can't have been written by a run: ``why``, without an end."""
    return CheckpointCorruptError(
        f"the checkpoint is damaged: {why}, which no run of batchedit writes; nothing was changed",
        hint="restore it from a backup: it knows what was bought. Do not delete it",
    )


def parse_whole_number(text: str) -> int:
    """A number of jobs, an id, or micro-dollars. ValueError for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST)) and int(text) <= _LARGEST):
        raise ValueError(text)
    return int(text)


def parse_whole_numbers(text: str) -> tuple[int, ...]:
    """A JSON array of such numbers. ValueError for anything else."""
    found = orjson.loads(text)
    if not isinstance(found, list) or not all(type(one) is int and 0 <= one <= _LARGEST for one in found):
        raise ValueError(text)
    return tuple(found)
