"""Whose money is play money: the label behind each sum, and nothing else.

It is play money where the sandbox stands in for the service (``--sandbox``), and where the service is a sandbox that this
person started (``batchedit sandbox``), which ``ledger.own_sandbox`` finds out without asking it. Whether anything is bought,
asked or sent does not depend on it.

A command that reads a run has no service at hand, so each purchase notes down in the run whether it was made there. One that
was not takes the label off for good: who reads it must never believe that nothing was paid. The workers of a store are on
other machines, where the same address is another service, and begin at the same moment. So each notes it for itself before
its first purchase, and what takes the label off is a fact of its own, which is never taken back there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import BatcheditError
from ..core.model import Money
from ..ledger.book import Book
from ..ledger.facts import PLAY, REAL, HasFacts
from ..ledger.opening import reading
from ..ledger.own_sandbox import HOSTS, is_listening
from ..ledger.register import CHECKPOINT, is_run
from ..runcomfy.urls import origin
from ..settings.model import SANDBOX, Settings

if TYPE_CHECKING:
    from ..ledger.postgres.ledger import PostgresLedger

_YES = "yes"


def at_own_sandbox(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Does the base URL lead to a sandbox of this person's that listens now?"""
    place = None if settings.sandbox else _place_here(settings.base_url)
    return place is not None and is_listening(place[1], environ, place[0])


def is_play(found: HasFacts) -> bool:
    """Is the money of this run play money, as far as it went?"""
    service = found.get("service") or ""
    if service == SANDBOX:
        return True
    return found.get(PLAY) == _YES and not found.get(REAL) and _place_here(service) is not None


def run_is_play(folder: Path) -> bool:
    """The same of the run in ``folder``; False where it can't be read."""
    try:
        with reading(folder / CHECKPOINT) as checkpoint:
            return is_play(checkpoint)
    except BatcheditError:
        return False


def would_be_play(checkpoint: Book, settings: Settings, environ: Mapping[str, str]) -> bool:
    """Is it play money if the run buys now?"""
    return settings.sandbox or (at_own_sandbox(settings, environ) and _may_be(checkpoint))


def plan_is_at_own_sandbox(folder: Path, settings: Settings, environ: Mapping[str, str]) -> bool:
    """Would the run in ``folder``, if there is one, buy with play money at a sandbox of this person's?"""
    if not at_own_sandbox(settings, environ):
        return False
    if not is_run(folder):
        return True
    with reading(folder / CHECKPOINT) as checkpoint:
        return is_play(checkpoint) or _may_be(checkpoint)


def note_play(checkpoint: Book, settings: Settings, environ: Mapping[str, str]) -> None:
    """The run buys nothing now, for all its pictures were bought before: its sums are play money as a purchase's."""
    if not settings.sandbox and would_be_play(checkpoint, settings, environ):
        note_purchase(checkpoint, settings, environ)


def note_purchase(checkpoint: Book, settings: Settings, environ: Mapping[str, str]) -> None:
    """The run buys from here on, or takes in what was bought elsewhere."""
    if settings.sandbox:
        return
    play = would_be_play(checkpoint, settings, environ)
    if play and checkpoint.get(REAL):
        checkpoint.put(REAL, "")
    told = PLAY if play else REAL
    if checkpoint.get(told) != _YES:
        checkpoint.put(told, _YES)


def note_worker(ledger: PostgresLedger, settings: Settings, environ: Mapping[str, str]) -> bool:
    """The same of a worker that is about to buy what was said yes to elsewhere. Is its money play money, by what is known
    now?
    """
    if not at_own_sandbox(settings, environ):
        ledger.note_real()
        return False
    return ledger.get(PLAY) == _YES and not ledger.get(REAL)


def _may_be(checkpoint: Book) -> bool:
    """Is nothing in the run that was bought elsewhere? In a store another worker may be about to."""
    real, nothing = bool(checkpoint.get(REAL)), _nothing_bought(checkpoint.money())
    if checkpoint.get("store"):
        return not real and (checkpoint.get(PLAY) == _YES or nothing)
    return nothing or (checkpoint.get(PLAY) == _YES and not real)


def _nothing_bought(money: Money) -> bool:
    return not (money.spent or money.held or money.in_flight or money.doubts or money.uncollected or money.guesses)


def _place_here(base_url: str) -> tuple[str, int] | None:
    """The host and port of this machine that it leads to, as a sandbox may be known; None for any other address."""
    place = origin(base_url.strip().rstrip("/"))
    return place[1:] if place is not None and place[0] == "http" and place[1] in HOSTS else None
