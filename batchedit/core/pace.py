"""How the workers of an account tell each other how fast the service takes POSTs."""

from __future__ import annotations

from typing import NamedTuple


class PaceReport(NamedTuple):
    """What a worker tells the others. ``rate``: POSTs a second of all workers together, as it has learned them, None where it
    knows of no limit; ``refused``: its POSTs that were refused with 429, in all; ``held``: seconds that it was asked to wait.
    """

    sends: bool
    rate: float | None
    refused: int
    held: float


class AccountPace(NamedTuple):
    """What a worker hears. ``leads``: its own rate is everybody's. ``workers`` send now, this one with them; ``rate`` as in
    ``PaceReport``, published ``age`` seconds ago (None: never); ``refused`` and ``held`` are those of the others.
    """

    leads: bool
    workers: int
    rate: float | None = None
    age: float | None = None
    refused: int = 0
    held: float = 0.0
