"""Converts changes to the parameters of the store's functions, and their verdicts to errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from secrets import randbits
from typing import Any

import orjson

from ...core.budget import explain_budget_refusal, format_spent_and_reserved
from ...core.errors import (
    BatcheditError,
    BudgetReachedError,
    CheckpointError,
    KnownRequestError,
    PlacesTakenError,
    StaleRecordError,
    UsageError,
)
from ...core.events import Event, Reserved, Reused
from ...core.model import Counts, Money, Record, State
from ...core.money import format_usd
from ...core.plurals_and_durations import pluralize_text
from ..codec import STATE_COLUMNS, list_state_values
from ..group_commit import Change
from ..money_totals import StateSums, read_charged_cost, sum_money
from .errors import HaltedError, LeaseOverError

_STATE_NAMES = tuple(name.strip() for name in STATE_COLUMNS.split(","))


def encode_change(change: Change) -> dict[str, Any]:
    """A change as ``save`` and ``reserve`` take it: the columns of ``job``, the event, and their other parameters."""
    record, event = change.record, change.event
    values = {name: to_storable(value) for name, value in zip(_STATE_NAMES, list_state_values(record), strict=True)}
    values |= {
        "cost_known": record.cost_known,
        "id": record.id,
        "serial": record.serial,
        "name": type(event).__name__,
        "at": event.at,
        "data": orjson.dumps(event).decode(),
        "mark": randbits(62),
        "told": read_charged_cost(event),
    }
    if isinstance(event, Reserved):
        values |= {"price": event.price, "bought": change.bought}
    if isinstance(event, Reused):
        values["folder"] = event.run
    return values


def to_storable(value: Any) -> Any:
    """``value`` without NUL: PostgreSQL's text can't hold it, and a service's message may."""
    return value.replace("\0", "\\0") if isinstance(value, str) else value


def settle_change(change: Change, verdict: str, money: Money) -> None:
    """Set the outcome in ``change``: its record as it is in the store now, or the error."""
    word, _, details = verdict.partition(" ")
    record = change.record
    match word:
        case "written" | "again":
            change.record = record._replace(serial=record.serial + 1)
        case "late":
            change.record = record._replace(serial=int(details))
        case _:
            change.error = _build_refusal(word, details, record, change.event, money)


def _build_refusal(word: str, details: str, record: Record, event: Event, money: Money) -> BatcheditError:
    job = f"job {record.id} ({record.job.name})"
    refusals: Mapping[str, BatcheditError] = {
        "stale": StaleRecordError(f"{job} was changed by somebody else since it was read"),
        "budget": BudgetReachedError(explain_budget_refusal(money)),
        "places": PlacesTakenError(
            f"the account has {pluralize_text(details, 'job')} under way, which is as many as it may have"
        ),
        "lease": LeaseOverError("this worker was not heard of for longer than its lease; nothing more is bought by it"),
        "halted": HaltedError(f"nothing is bought in this run any more: {details}"),
        "unasked": CheckpointError(f"{job} was never said yes to; nothing was sent"),
        "quarantine": UsageError(
            f"the POST of {job} may still be on its way: its worker was not heard of any more",
            hint=f"it can be bought again in {details} s",
        ),
        "orphan": CheckpointError(
            f"{job} was bought as {getattr(getattr(event, 'handle', None), 'request_id', '?')}, and is {details} by now: "
            "the id is kept in the store as an orphan, and is in no sum"
        ),
        "past": HaltedError(
            f"the store holds less of {job} than it has confirmed: it went back in time, and no worker buys any more"
        ),
    }
    if word == "account":
        return _build_account_refusal(details, money)
    if word == "known":
        return KnownRequestError(getattr(event, "handle").request_id, details)  # noqa: B009 - Accepted alone is refused so
    return refusals.get(word) or CheckpointError(f"the store answered {word!r} for {job}")


def _build_account_refusal(cap_and_others: str, money: Money) -> BudgetReachedError:
    cap, others = map(int, cap_and_others.split())
    others_have = f"others have {format_usd(others)}, and " if others else ""
    return BudgetReachedError(
        f"the budget of the account is used up: of {format_usd(cap)} for all, {others_have}this run has "
        f"{format_spent_and_reserved(money)}",
        hint="the owner of the store sets it, with store limits --max-cost; the same command then buys on",
    )


def to_money(standing: Mapping[str, Any], *, believes: bool, earlier: int) -> Money:
    """Money from the result of the function ``standing``. ``believes`` and ``earlier`` (micro-dollars) are this
    process's own.
    """
    by_state: dict[str, StateSums] = {}
    for state, _, *sums in standing["sums"]:
        state_sums = by_state.get(state, (0, 0, 0, 0, 0))
        jobs, spent, reserved, guesses, guessed = (old + new for old, new in zip(state_sums, sums, strict=True))
        by_state[state] = (jobs, spent, reserved, guesses, guessed)
    top = max(standing["top_price"], earlier)
    money = sum_money(by_state, standing["max_cost"], top, believes or earlier > 0, standing["reused"])
    return replace(money, awaits_cost=bool(money.guesses and not money.settled and standing["awaits_cost"]))


def to_counts(standing: Mapping[str, Any]) -> Counts:
    """Wanted jobs by state, from the result of the function ``standing``."""
    return Counts({State(state): jobs for state, wanted, jobs, *_ in standing["sums"] if wanted})
