"""Whether the budget allows one more purchase, and what the cap is. Pure: money and counts in, a decision out."""

from __future__ import annotations

from typing import Final, Literal

from .model import Money
from .money import format_usd

UNPROVEN_FACTOR = 10
"""Until a cost is reported, the price is a claim: a job in doubt may have cost this many times as much."""

NO_CAP: Final = "none"
"""``--max-cost none``: the one way to lift a cap."""
GivenCap = int | Literal["none"] | None
"""``--max-cost`` as it was given: micro-dollars, NO_CAP, or None where it was not given."""


def choose_cap(given: GivenCap, before: int | None) -> int | None:
    """The cap of a run that had ``before``: it stays until a cap is given."""
    if given is None:
        return before
    return None if given == NO_CAP else given


def may_reserve(money: Money, price: int) -> bool:
    """May one more job of ``price`` micro-dollars be reserved without ever passing the cap?

    Jobs in flight, and finished jobs without a reported cost, count at the highest price seen, not at our estimate: the
    service may charge more than its price list says. Before any cost is reported only one job is under way, and a finished
    one whose cost is not reported yet is waited for. Jobs that wait for a person (in doubt, uncollected), or whose cost can
    no longer be reported (written off), don't hold the run up, as long as UNPROVEN_FACTOR times the price of each fits.

    The first true price can't be known beforehand, nor can a rise: the cap is passed by what the first job costs beyond the
    estimate, or by what was in flight when a price rose, and by nothing else.
    """
    if money.cap is None:
        return True
    if not money.settled and (money.in_flight or money.awaits_cost):
        return False
    return compute_least_cap(1, money, price) <= money.cap


def compute_least_cap(jobs: int, money: Money, price: int) -> int:
    """The least cap, in micro-dollars, under which ``may_reserve`` allows ``jobs`` more of ``price`` one by one.

    Until a cost is reported, what waits for a person counts UNPROVEN_FACTOR times.
    """
    dearest = max(price, money.top_price)
    under_way = money.in_flight + money.doubts + money.uncollected
    exposed = (
        money.spent
        + max(money.reserved, under_way * money.top_price)
        + max(0, money.guesses * money.top_price - money.guessed)
    )
    least = exposed + jobs * dearest
    unsettled = under_way + money.guesses
    if unsettled and not money.settled:
        return max(least, (unsettled + 1) * dearest * UNPROVEN_FACTOR)
    return least


def format_spent_and_reserved(money: Money) -> str:
    """``$0.16 spent and $0.04 reserved``; the reserved sum only where it is not zero."""
    reserved = f" and {format_usd(money.reserved)} reserved" if money.reserved else ""
    return f"{format_usd(money.spent)} spent{reserved}"


def explain_budget_refusal(money: Money) -> str:
    """Why ``may_reserve`` refused a reservation, for the person."""
    message = f"the budget is used up: {format_spent_and_reserved(money)}"
    if money.cap is not None:
        message += f" of --max-cost {format_usd(money.cap)}"
    unproven = money.doubts + money.uncollected + money.guesses
    if unproven and not money.settled:
        message += (
            f"; the service has not told yet what a picture costs, so each of the {unproven} that are in doubt, uncollected "
            f"or written off counts {UNPROVEN_FACTOR} times"
        )
    return message
