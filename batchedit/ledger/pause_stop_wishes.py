"""Wishes of a person for a run of another process: written beside the checkpoint, read by the run each second."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import time

from ..core.budget import NO_CAP
from .review_file import ReviewFile
from .run_facts import parse_fact, parse_whole_number


class Wish(StrEnum):
    """The kinds of wishes. CONCURRENCY has a number of jobs as its value (0: auto), MAX_COST micro-dollars or ``none``."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    CONCURRENCY = "concurrency"
    MAX_COST = "max_cost"


@dataclass(frozen=True, slots=True)
class WishRecord:
    """A wish as it was written. ``seq`` counts up from 1, ``at`` is epoch seconds, ``who`` is its author."""

    seq: int
    at: float
    who: str
    wish: Wish
    value: str = ""

    @property
    def number(self) -> int | None:
        """The value as a number; None for ``none``."""
        return None if self.value == NO_CAP else int(self.value)


class Wishes:
    """The wishes for the run in ``folder``, in the order in which they were written. Append-only."""

    def __init__(self, folder: Path) -> None:
        self._file = ReviewFile(folder)

    def add(self, *wishes: tuple[Wish, str], who: str) -> int:
        """Write ``wishes``, all or none; durable when it returns. Returns the number of the last. CheckpointError if it
        fails.
        """
        with self._file.open_for_writing() as db:
            values = [(time(), who, wish.value, value) for wish, value in wishes]
            db.executemany("INSERT INTO wishes (at, who, name, value) VALUES (?, ?, ?, ?)", values)
            return int(db.execute("SELECT coalesce(max(seq), 0) FROM wishes").fetchone()[0])

    def last(self) -> int:
        """The number of the latest wish, 0 before the first: a process follows the wishes that come after its start."""
        with self._file.open_for_reading() as db:
            if db is None:
                return 0
            return int(db.execute("SELECT coalesce(max(seq), 0) FROM wishes").fetchone()[0])

    def since(self, seq: int) -> list[WishRecord]:
        """The wishes after number ``seq``."""
        with self._file.open_for_reading() as db:
            if db is None:
                return []
            rows = db.execute("SELECT seq, at, who, name, value FROM wishes WHERE seq > ? ORDER BY seq", (seq,))
            return [WishRecord(number, at, who, *_check_wish(name, value)) for number, at, who, name, value in rows]


def _check_wish(name: str, value: str) -> tuple[Wish, str]:
    """The wish and its value. CheckpointCorruptError for a value that no command writes."""
    if name == Wish.CONCURRENCY or (name == Wish.MAX_COST and value != NO_CAP):
        parse_fact(name, value, parse_whole_number)
    return Wish(name), value
