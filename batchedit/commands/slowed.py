"""Keeps a run's slowdown in its ledger, so that ``status`` can show it for a run that goes on elsewhere or has stopped."""

from __future__ import annotations

import orjson

from ..core.events import Event
from ..core.model import Record
from ..core.slowdown import Slowdown
from ..ledger.book import Book

_KEY = "slowed"


def keep_slowdown(checkpoint: Book, slowdown: Slowdown | None) -> None:
    """Write the current slowdown; None for no slowdown."""
    text = "" if slowdown is None else orjson.dumps(slowdown.as_json()).decode()
    if (checkpoint.get(_KEY) or "") != text:
        checkpoint.put(_KEY, text)


def read_slowdown(checkpoint: Book) -> Slowdown | None:
    """The slowdown of the process that works on the run, or of the last one; None where none is known."""
    try:
        return Slowdown.read(orjson.loads(checkpoint.get(_KEY) or "null"))
    except (ValueError, TypeError, KeyError):
        return None


class KeepSlowdown:
    """An observer that keeps the slowdown from the notes."""

    def __init__(self, checkpoint: Book) -> None:
        self._checkpoint = checkpoint

    def saw(self, record: Record, event: Event) -> None:
        """Events of single jobs do not matter here."""

    def note(self, name: str, message: str, **details: object) -> None:  # noqa: ARG002 - the port's signature
        """Keep the numbers of ``slowed``; ``slowed_over`` ends it."""
        if name == "slowed":
            keep_slowdown(self._checkpoint, Slowdown.read(details))
        elif name == "slowed_over":
            keep_slowdown(self._checkpoint, None)
