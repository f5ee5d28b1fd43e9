"""What the workers of an account exchange about how fast the service takes POSTs."""

from __future__ import annotations

from typing import NamedTuple


class PaceReport(NamedTuple):
    """What a worker publishes. ``rate``: POSTs a second of all workers together, as it has learned them, None where it knows
    of no limit; ``accepted`` and ``refused``: its POSTs that were accepted, and refused with 429, in all; ``held``: seconds
    that the service asked it to wait; ``in_flight``: its jobs that are accepted or being sent, and not over; ``waits``: it
    has POSTs that wait for their turn.
    """

    sends: bool
    rate: float | None
    accepted: int
    refused: int
    held: float
    in_flight: int
    waits: bool


class AccountPace(NamedTuple):
    """What a worker reads. ``leads``: its own rate applies to all workers. ``workers`` send now, this one included; ``rate``
    as in ``PaceReport``, published ``age`` seconds ago (None: never); ``accepted``, ``refused``, ``held`` and ``in_flight``
    are those of the other workers, of which ``waiting`` have POSTs that wait.
    """

    leads: bool
    workers: int
    rate: float | None = None
    age: float | None = None
    accepted: int = 0
    refused: int = 0
    held: float = 0.0
    in_flight: int = 0
    waiting: int = 0
