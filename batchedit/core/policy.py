"""When to try again and whether the budget admits it. Pure: money, counts and times in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from .lifecycle import Declined, Refused
from .model import Kind, Money, Problem, Record

CALM_SECONDS = 10.0
"""So long after an error or a lost answer nothing is made to go faster."""
UNPROVEN = 10
"""While no cost has been told, the price is a claim: all that may have been bought must fit the cap at ten times that."""


def admits(money: Money, price: int) -> bool:
    """May one more job of ``price`` micro-dollars be reserved without ever passing the cap?

    What is in flight, and what is over without a cost named, counts at the dearest price seen, not at our estimate: the
    wire may have turned out dearer than the price list. Before the cost of any has been told they go one at a time, or
    so few together that even ten times the price would fit; a finished one whose cost is not told yet is waited for.
    What nobody has told nobody can keep: a cap that the first true price passes is passed by that one job.
    """
    if money.cap is None:
        return True
    dearest = max(price, money.top_price)
    under_way = money.in_flight + money.doubts + money.uncollected
    exposed = (
        money.spent
        + max(money.held, under_way * money.top_price)
        + max(0, money.guesses * money.top_price - money.guessed)
    )
    if exposed + dearest > money.cap:
        return False
    unproven = under_way + money.guesses
    waits = money.in_flight or money.guesses
    return money.settled or not waits or (unproven + 1) * dearest * UNPROVEN <= money.cap


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """For a submit that was surely not taken: ``attempts`` in all, within ``seconds`` since the first."""

    attempts: int = 8
    base: float = 1.0
    cap: float = 120.0


def backoff(attempt: int, rng: Random, *, base: float = 1.0, cap: float = 60.0) -> float:
    """Seconds before try ``attempt + 1``: full jitter over an exponential window (AWS Architecture Blog, 2015)."""
    window = min(cap, base * 2.0 ** min(attempt, 30))
    return rng.uniform(0.0, window)


COUNTED = frozenset({Kind.SERVICE})
"""Declined for a reason of its own uses up one of a job's attempts. A 429, a dead network, a refused token or an empty
balance belong to the run: they hold everybody back and use up nobody's attempts."""


def after_decline(record: Record, event: Declined, limits: RetryLimits, rng: Random, now: float) -> Declined | Refused:
    """When a declined job is due again; ``Refused`` once its attempts are used up (nothing was bought)."""
    if event.problem.kind not in COUNTED:
        return replace(event, counts=False)
    if record.attempts + 1 >= limits.attempts:
        told = Problem(
            event.problem.kind,
            f"declined {limits.attempts} times, not bought; the last time: {event.problem.message}",
            event.problem.http,
            event.problem.code,
        )
        return Refused(event.at, told)
    pause = backoff(record.attempts, rng, base=limits.base, cap=limits.cap)
    return replace(event, counts=True, due_at=max(event.due_at, now + pause))
