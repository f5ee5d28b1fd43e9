"""The question to a person before anything is bought, and what their yes is for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from ..core.errors import BatcheditError, PriceRoseError, StoppedError
from ..core.money import format_usd, label_play
from ..core.plurals_and_durations import pluralize
from ..planning.plan import Plan
from .canary import CanaryReport
from .purchase_order import Order


@dataclass(frozen=True)
class Quote:
    """One question: these purchases, at this price, under this cap. Money is micro-dollars.

    ``plan`` is the plan to show with the first question. ``order`` is what a yes buys, and ``times`` how often each of it
    at most: twice where a purchase whose answer is lost is made again. ``rest`` purchases are asked about afterwards.
    ``price_before`` is the price that an earlier question of the same command was answered with yes at, 0 for none;
    ``canary`` what was bought since. ``manifest`` is the fingerprint of the manifest that the jobs come from.
    """

    plan: Plan
    order: Order
    price: int
    cap: int | None
    manifest: str
    times: int = 1
    rest: int = 0
    price_before: int = 0
    canary: CanaryReport | None = field(default=None, compare=False)

    @property
    def count(self) -> int:
        """How many pictures a yes buys."""
        return len(self.order)

    @property
    def at_most(self) -> int:
        """How many purchases a yes allows."""
        return self.count * self.times

    @property
    def estimate(self) -> int:
        """Micro-dollars for ``count`` pictures; 0 if the price is unknown."""
        return self.count * self.price

    @property
    def rose(self) -> bool:
        """Is the price higher than the last approved one?"""
        return 0 < self.price_before < self.price

    @cached_property
    def digest(self) -> str:
        """What a yes is for: manifest, purchases, price and cap."""
        parts = (self.manifest, self.order.digest(), self.times, self.price, self.cap)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def find_objection(quote: Quote) -> BatcheditError | None:
    """Why a yes that was given beforehand (``--yes``, a program's call) does not cover ``quote``; None if it does."""
    if (problem := quote.plan.find_objection()) is not None:
        return problem
    canary = quote.canary
    if canary is not None and canary.done < canary.jobs:
        return StoppedError(
            f"{canary.jobs - canary.done} of {pluralize(canary.jobs, 'canary picture')} did not come out",
            hint="look at failed.csv; the rest was not bought",
        )
    if quote.rose:
        return make_price_rose_error(quote)
    return None


def make_price_rose_error(quote: Quote) -> PriceRoseError:
    """The error for a picture that costs more than the approved price."""
    new_price, approved_price = (
        format_usd(quote.price),
        f"{format_usd(quote.price_before)}{label_play(quote.plan.play)}",
    )
    return PriceRoseError(
        f"a picture costs {new_price}, and the yes was for {approved_price}; the other {quote.count:,} were not bought",
        hint=f"the same command goes on at {new_price} a picture; --price USD says how much one may cost",
    )
