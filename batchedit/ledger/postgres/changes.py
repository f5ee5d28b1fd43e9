"""Changes as the store's functions take them, and what the functions said of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from secrets import randbits
from typing import Any

import orjson

from ...core.errors import (
    BatcheditError,
    BudgetReachedError,
    CheckpointError,
    KnownRequestError,
    PlacesTakenError,
    StaleRecordError,
    UsageError,
)
from ...core.events import CancelConfirmed, Completed, Errored, Event, Priced, Reserved, Reused
from ...core.model import Counts, Money, Record, State
from ...core.money import format_usd
from ...core.policy import format_spent_and_reserved, explain_budget_refusal
from ...core.words import pluralize_text
from ..codec import STATE_COLUMNS, state_values
from ..group_commit import Change
from ..money_totals import Sums, purse
from .errors import HaltedError, LeaseOverError

_NAMES = tuple(name.strip() for name in STATE_COLUMNS.split(","))


def encoded(change: Change) -> dict[str, Any]:
    """A change for ``save`` and ``reserve``: the columns of ``job``, the event, and what else the functions ask for."""
    record, event = change.record, change.event
    values = {name: storable(value) for name, value in zip(_NAMES, state_values(record), strict=True)}
    values |= {
        "cost_known": record.cost_known,
        "id": record.id,
        "serial": record.serial,
        "name": type(event).__name__,
        "at": event.at,
        "data": orjson.dumps(event).decode(),
        "mark": randbits(62),
        "told": told_price(event),
    }
    if isinstance(event, Reserved):
        values |= {"price": event.price, "bought": change.bought}
    if isinstance(event, Reused):
        values["folder"] = event.run
    return values


def told_price(event: Event) -> int:
    """Micro-dollars: what the service said that a job cost; 0 where it said nothing."""
    if isinstance(event, Completed | Errored | Priced | CancelConfirmed):
        return event.cost or 0
    return 0


def storable(value: Any) -> Any:
    """PostgreSQL's text holds no NUL, and a service's message may."""
    return value.replace("\0", "\\0") if isinstance(value, str) else value


def settle(change: Change, verdict: str, money: Money) -> None:
    """Note in ``change`` what became of it: its record as it is in the store now, or the error."""
    word, _, rest = verdict.partition(" ")
    record = change.record
    match word:
        case "written" | "again":
            change.record = record._replace(serial=record.serial + 1)
        case "late":
            change.record = record._replace(serial=int(rest))
        case _:
            change.error = _refusal(word, rest, record, change.event, money)


def _refusal(word: str, rest: str, record: Record, event: Event, money: Money) -> BatcheditError:
    job = f"job {record.id} ({record.job.name})"
    refusals: Mapping[str, BatcheditError] = {
        "stale": StaleRecordError(f"{job} was changed by somebody else since it was read"),
        "budget": BudgetReachedError(explain_budget_refusal(money)),
        "places": PlacesTakenError(f"the account has {pluralize_text(rest, 'job')} under way, which is as many as it may have"),
        "lease": LeaseOverError("this worker was not heard of for longer than its lease; nothing more is bought by it"),
        "halted": HaltedError(f"nothing is bought in this run any more: {rest}"),
        "unasked": CheckpointError(f"{job} was never said yes to; nothing was sent"),
        "quarantine": UsageError(
            f"the POST of {job} may still be on its way: its worker was not heard of any more",
            hint=f"it can be bought again in {rest} s",
        ),
        "orphan": CheckpointError(
            f"{job} was bought as {getattr(getattr(event, 'handle', None), 'request_id', '?')}, and is {rest} by now: "
            "the id is kept in the store as an orphan, and is in no sum"
        ),
        "past": HaltedError(
            f"the store holds less of {job} than it has confirmed: it went back in time, and no worker buys any more"
        ),
    }
    if word == "account":
        return _account_used_up(rest, money)
    if word == "known":
        return KnownRequestError(getattr(event, "handle").request_id, rest)  # noqa: B009 - Accepted alone is refused so
    return refusals.get(word) or CheckpointError(f"the store answered {word!r} for {job}")


def _account_used_up(told: str, money: Money) -> BudgetReachedError:
    cap, others = map(int, told.split())
    theirs = f"others have {format_usd(others)}, and " if others else ""
    return BudgetReachedError(
        f"the budget of the account is used up: of {format_usd(cap)} for all, {theirs}this run has "
        f"{format_spent_and_reserved(money)}",
        hint="the owner of the store sets it, with store limits --max-cost; the same command then buys on",
    )


def money_of(told: Mapping[str, Any], *, believes: bool, earlier: int) -> Money:
    """Money from what ``standing`` said. ``believes`` and ``earlier`` (micro-dollars) are this process's own."""
    by_state: dict[str, Sums] = {}
    for state, _, *sums in told["sums"]:
        before = by_state.get(state, (0, 0, 0, 0, 0))
        jobs, spent, held, guesses, guessed = (one + other for one, other in zip(before, sums, strict=True))
        by_state[state] = (jobs, spent, held, guesses, guessed)
    top = max(told["top_price"], earlier)
    money = purse(by_state, told["max_cost"], top, believes or earlier > 0, told["reused"])
    return replace(money, awaits_cost=bool(money.guesses and not money.settled and told["awaits_cost"]))


def counts_of(told: Mapping[str, Any]) -> Counts:
    """Wanted jobs by state, from what ``standing`` said."""
    return Counts({State(state): jobs for state, wanted, jobs, *_ in told["sums"] if wanted})
