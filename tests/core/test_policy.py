"""Decisions about money and second tries, row by row: values in, a decision out."""

from __future__ import annotations

from random import Random

import pytest

from batchedit.commands.wiring import stop_rule
from batchedit.core.errors import UsageError
from batchedit.core.lifecycle import Declined, Refused
from batchedit.core.model import Kind, Money, Problem, State
from batchedit.core.policy import COUNTED, RetryLimits, admits, after_decline, backoff
from batchedit.ledger.money_totals import purse
from batchedit.pool.governor import StopRule
from tests.support.factories import make_record

PRICE = 40_000
CAP = 400_000

ADMITS = {
    "no cap": (Money(spent=10**12), True),
    "nothing yet": (Money(cap=CAP), True),
    "a cap below one price": (Money(cap=PRICE - 1), False),
    "exactly one price": (Money(cap=PRICE), True),
    "the last that fits": (Money(cap=CAP, spent=CAP - PRICE, settled=True), True),
    "one too many": (Money(cap=CAP, spent=CAP - PRICE + 1, settled=True), False),
    "in flight counts": (Money(cap=CAP, held=9 * PRICE, in_flight=9, settled=True), True),
    "in flight counts to the last": (Money(cap=CAP, held=10 * PRICE, in_flight=10, settled=True), False),
    "in doubt counts": (Money(cap=CAP, held=10 * PRICE, in_doubt=10 * PRICE, doubts=10, settled=True), False),
    "what is in flight counts at the dearest price seen": (
        Money(cap=CAP, held=4 * PRICE, in_flight=4, settled=True, top_price=2 * PRICE),
        True,
    ),
    "and no more fit than that": (
        Money(cap=CAP, held=5 * PRICE, in_flight=5, settled=True, top_price=2 * PRICE),
        False,
    ),
    "so does what we stopped looking at": (
        Money(cap=CAP, held=5 * PRICE, uncollected=5, settled=True, top_price=2 * PRICE),
        False,
    ),
    "a guess counts at the dearest price seen": (
        Money(cap=CAP, spent=5 * PRICE, guesses=5, guessed=5 * PRICE, settled=True, top_price=2 * PRICE),
        False,
    ),
    "unproven: a second one, if ten times both fit": (Money(cap=20 * PRICE, held=PRICE, in_flight=1), True),
    "unproven: not if they don't": (Money(cap=20 * PRICE - 1, held=PRICE, in_flight=1), False),
    "unproven and nothing on its way": (Money(cap=2 * PRICE, held=PRICE, in_doubt=PRICE, doubts=1), True),
    "finished, and its cost not told yet": (Money(cap=CAP, spent=PRICE, guesses=1, guessed=PRICE), False),
    "finished, and it is never told": (Money(cap=CAP, spent=PRICE, guesses=1, guessed=PRICE, settled=True), True),
}


@pytest.mark.parametrize("case", ADMITS)
def test_the_budget(case: str) -> None:
    money, admitted = ADMITS[case]
    assert admits(money, PRICE) is admitted


@pytest.mark.parametrize("state", [State.FETCHED, State.DONE])
def test_a_price_is_proved_by_a_cost_that_was_told(state: State) -> None:
    """Not by a job that is over: its cost may come later, and be another (charged $2.25 of --max-cost 1)."""
    told, guessed = (1, PRICE, 0, 0, 0), (1, PRICE, 0, 1, PRICE)
    assert purse({state: told}, CAP, 0).settled
    assert not purse({state: guessed}, CAP, 0).settled
    assert purse({state: guessed}, CAP, 0, believes_estimate=True).settled
    assert not purse({State.FAILED: told, State.UNCOLLECTED: told}, CAP, 0).settled


@pytest.mark.parametrize("kind", Kind)
def test_only_the_services_own_error_uses_up_an_attempt(kind: Kind) -> None:
    event = Declined(100.0, Problem(kind, "no"), due_at=130.0, counts=True)
    decided = after_decline(make_record(State.SUBMITTING), event, RetryLimits(), Random(1), 100.0)
    assert isinstance(decided, Declined)
    assert decided.counts is (kind in COUNTED)
    assert decided.due_at >= 130.0
    last = make_record(State.SUBMITTING, attempts=10**6)
    assert isinstance(after_decline(last, event, RetryLimits(), Random(1), 100.0), Refused) is (kind in COUNTED)


def test_the_last_attempt_says_how_many_there_were_and_that_nothing_was_bought() -> None:
    event = Declined(100.0, Problem(Kind.SERVICE, "busy", 500, 500001), counts=True)
    limits = RetryLimits(attempts=3)
    for attempts in (0, 1):
        record = make_record(State.SUBMITTING, attempts=attempts)
        assert isinstance(after_decline(record, event, limits, Random(1), 100.0), Declined)
    refused = after_decline(make_record(State.SUBMITTING, attempts=2), event, limits, Random(1), 100.0)
    told = "declined 3 times, not bought; the last time: busy"
    assert refused == Refused(100.0, Problem(Kind.SERVICE, told, 500, 500001))


def test_pauses_grow_to_a_cap_with_full_jitter() -> None:
    drawn = [[backoff(attempt, Random(seed), base=1.0, cap=60.0) for seed in range(300)] for attempt in range(12)]
    for attempt, pauses in enumerate(drawn):
        window = min(60.0, 2.0**attempt)
        assert 0.0 <= min(pauses) < 0.1 * window
        assert 0.9 * window < max(pauses) <= window


@pytest.mark.parametrize(
    ("text", "finished", "failed", "stops"),
    [
        (None, 19, 19, False),
        (None, 20, 20, True),
        (None, 20, 19, False),
        (None, 21, 21, False),  # asked after each job, so it was true at the twentieth
        ("3", 3, 3, True),
        ("3", 1000, 3, True),
        ("3", 1000, 2, False),
        ("50%", 19, 19, False),
        ("50%", 20, 10, True),
        ("50%", 20, 9, False),
        ("12.5%", 80, 10, True),
    ],
)
def test_stop_after_failures(text: str | None, finished: int, failed: int, stops: bool) -> None:
    assert stop_rule(text).reached(finished, failed) is stops


@pytest.mark.parametrize("text", ["many", "3.5", "%", "x%"])
def test_a_stop_rule_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="stop-after-failures"):
        stop_rule(text)


def test_the_default_is_a_rule_of_its_own() -> None:
    assert stop_rule(None) == StopRule(first=20)
