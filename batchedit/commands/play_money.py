"""Which runs have play money. It decides the label on each sum, and nothing else.

It is play money where the sandbox stands in for the service (``--sandbox``), and where the service is a sandbox that this
person started (``batchedit sandbox``), which ``ledger.own_sandbox`` detects without asking it. Whether anything is bought,
asked or sent does not depend on it.

A command that reads a run has no service at hand, so each purchase writes into the run whether it was made there. A purchase
elsewhere removes the label for good: a reader must never believe that nothing was paid. In a store the workers are on other
machines, where the same address is another service. So the one who begins a store's run decides it for the whole run, and a
worker that does not find its own sandbox at that address may not buy (``ledger.postgres.bought_from``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.errors import BatcheditError, ServiceUnavailableError, UsageError
from ..core.events import Accepted, Lost
from ..ledger.book import Book
from ..ledger.opening import open_for_reading
from ..ledger.own_sandbox import is_listening, parse_local_address
from ..ledger.postgres.bought_from import BoughtFrom
from ..ledger.register import CHECKPOINT, is_run
from ..ledger.run_facts import NO, PLAY, STORE_PLAY, YES, FactReader
from ..settings.model import SANDBOX, Settings

_ENDED = "the sandbox that you started does not listen at {} any more"
_BEGAN = "what listens at {} now is a sandbox that you started, and it was another service before"
_MAY_HAVE_BOUGHT = frozenset({Accepted.__name__, Lost.__name__})


def is_at_own_sandbox(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Does the base URL lead to this person's sandbox, and does it listen now?"""
    address = None if settings.sandbox else parse_local_address(settings.base_url)
    return address is not None and is_listening(address[1], environ, address[0])


def was_made_at_own_sandbox(checkpoint: Book, environ: Mapping[str, str]) -> bool:
    """Is a run that has bought nothing yet to be bought from a sandbox of this person's, which listens now?"""
    address = parse_local_address(checkpoint.get("service") or "")
    return address is not None and is_listening(address[1], environ, address[0]) and _may_be_play(checkpoint)


def watch_place(settings: Settings, environ: Mapping[str, str]) -> Callable[[], str]:
    """A function that returns why the service of ``settings`` is another one than now; "" while it is the same.

    Another service at the port of a sandbox may cost money, while the person approved play money; and the other way round.
    """
    if settings.sandbox or parse_local_address(settings.base_url) is None:
        return str
    was_own_sandbox = is_at_own_sandbox(settings, environ)

    def explain_other_service() -> str:
        if is_at_own_sandbox(settings, environ) == was_own_sandbox:
            return ""
        return (_ENDED if was_own_sandbox else _BEGAN).format(settings.base_url)

    return explain_other_service


def identify_seller(settings: Settings, environ: Mapping[str, str]) -> BoughtFrom:
    """Where a store's run would be bought by this process, at this moment."""
    return BoughtFrom(settings.service, own_sandbox=is_at_own_sandbox(settings, environ))


def explain_store_refusal(
    facts: FactReader, run: str, settings: Settings, environ: Mapping[str, str]
) -> UsageError | None:
    """Why this process can't buy in the run of a store at this moment; None if it can."""
    if settings.sandbox or not facts.get("store"):
        return None
    return BoughtFrom(settings.service, own_sandbox=is_play(facts)).explain_refusal(
        run, identify_seller(settings, environ)
    )


def is_play(facts: FactReader) -> bool:
    """Is the money that this run has spent and reserved play money?"""
    service = facts.get("service") or ""
    if service == SANDBOX:
        return True
    return facts.get(STORE_PLAY if facts.get("store") else PLAY) == YES and parse_local_address(service) is not None


def is_play_run(folder: Path) -> bool:
    """The same of the run in ``folder``; False where it can't be read."""
    try:
        with open_for_reading(folder / CHECKPOINT) as checkpoint:
            return is_play(checkpoint)
    except BatcheditError:
        return False


def would_be_play(checkpoint: Book, settings: Settings, environ: Mapping[str, str]) -> bool:
    """Is it play money if the run buys now?"""
    return settings.sandbox or (is_at_own_sandbox(settings, environ) and _may_be_play(checkpoint))


def plan_is_at_own_sandbox(folder: Path, settings: Settings, environ: Mapping[str, str]) -> bool:
    """Would the run in ``folder``, if there is one, buy with play money at this person's sandbox?"""
    if not is_at_own_sandbox(settings, environ):
        return False
    if not is_run(folder):
        return True
    with open_for_reading(folder / CHECKPOINT) as checkpoint:
        return is_play(checkpoint) or _may_be_play(checkpoint)


def note_play(checkpoint: Book, settings: Settings, environ: Mapping[str, str]) -> None:
    """Label a run that buys nothing because all its pictures were bought before: its sums are labelled like a purchase's."""
    if not settings.sandbox and would_be_play(checkpoint, settings, environ):
        note_purchase(checkpoint, settings, environ, str)


def note_purchase(
    checkpoint: Book, settings: Settings, environ: Mapping[str, str], explain_other_service: Callable[[], str]
) -> None:
    """Write into the run that it buys from now on, or takes in what was bought elsewhere.

    ServiceUnavailableError (69) where the service is another one than when the command began, which ``explain_other_service``
    returns, or than the one that a store's run is bought from.
    """
    if settings.sandbox:
        return
    reason = explain_other_service()
    if checkpoint.get("store"):
        is_own_sandbox = is_at_own_sandbox(settings, environ)
        reason = reason or (
            ""
            if is_play(checkpoint) == is_own_sandbox
            else (_BEGAN if is_own_sandbox else _ENDED).format(settings.base_url)
        )
    if reason:
        start = "" if is_at_own_sandbox(settings, environ) else "start it, then "
        raise ServiceUnavailableError(f"{reason}; nothing was sent", hint=f"{start}type the same command again")
    if checkpoint.get("store"):
        return
    value = YES if would_be_play(checkpoint, settings, environ) else NO
    if checkpoint.get(PLAY) != value:
        checkpoint.put(PLAY, value)


def _may_be_play(checkpoint: Book) -> bool:
    """Was nothing in the run bought elsewhere?"""
    if checkpoint.get("store"):
        return is_play(checkpoint)
    return checkpoint.get(PLAY) == YES or _has_bought_nothing(checkpoint)


def _has_bought_nothing(checkpoint: Book) -> bool:
    """Was surely nothing bought? A purchase at an unknown price holds no money, and one that was given up no longer does."""
    money = checkpoint.money()
    if money.spent or money.reserved or money.in_flight or money.doubts or money.uncollected or money.guesses:
        return False
    return not any(event.name in _MAY_HAVE_BOUGHT for event in checkpoint.read_log())
