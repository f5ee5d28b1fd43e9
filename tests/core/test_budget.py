"""Decisions about money, and when to stop for failures, row by row: values in, a decision out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchedit.commands.wiring import parse_stop_rule
from batchedit.core.budget import GivenCap, choose_cap, compute_least_cap, explain_budget_refusal, may_reserve
from batchedit.core.errors import UsageError
from batchedit.core.model import Money, State
from batchedit.ledger.money_totals import sum_money
from batchedit.pool.stop_rule import StopRule

PRICE = 40_000
CAP = 400_000

ADMITS = {
    "no cap": (Money(spent=10**12), True),
    "nothing yet": (Money(cap=CAP), True),
    "a cap below one price": (Money(cap=PRICE - 1), False),
    "exactly one price": (Money(cap=PRICE), True),
    "the last that fits": (Money(cap=CAP, spent=CAP - PRICE, settled=True), True),
    "one too many": (Money(cap=CAP, spent=CAP - PRICE + 1, settled=True), False),
    "in flight counts": (Money(cap=CAP, reserved=9 * PRICE, in_flight=9, settled=True), True),
    "in flight counts to the last": (Money(cap=CAP, reserved=10 * PRICE, in_flight=10, settled=True), False),
    "in doubt counts": (Money(cap=CAP, reserved=10 * PRICE, in_doubt=10 * PRICE, doubts=10, settled=True), False),
    "what is in flight counts at the dearest price seen": (
        Money(cap=CAP, reserved=4 * PRICE, in_flight=4, settled=True, top_price=2 * PRICE),
        True,
    ),
    "and no more fit than that": (
        Money(cap=CAP, reserved=5 * PRICE, in_flight=5, settled=True, top_price=2 * PRICE),
        False,
    ),
    "so does what we stopped looking at": (
        Money(cap=CAP, reserved=5 * PRICE, uncollected=5, settled=True, top_price=2 * PRICE),
        False,
    ),
    "a guess counts at the dearest price seen": (
        Money(cap=CAP, spent=5 * PRICE, guesses=5, guessed=5 * PRICE, settled=True, top_price=2 * PRICE),
        False,
    ),
    "a guess that fits at the dearest price seen": (
        Money(cap=CAP, spent=4 * PRICE, guesses=4, guessed=4 * PRICE, settled=True, top_price=2 * PRICE),
        True,
    ),
    "a guess counts no less than what was put aside for it": (
        Money(cap=6 * PRICE - 1, spent=5 * PRICE, guesses=5, guessed=5 * PRICE, settled=True, top_price=PRICE // 2),
        False,
    ),
    "unproven: beside a doubt and one written off, if ten times all three fit": (
        Money(cap=30 * PRICE, reserved=PRICE, doubts=1, spent=PRICE, guesses=1, guessed=PRICE),
        True,
    ),
    "unproven: beside a doubt and one written off, not if they don't": (
        Money(cap=30 * PRICE - 1, reserved=PRICE, doubts=1, spent=PRICE, guesses=1, guessed=PRICE),
        False,
    ),
    "unproven: beside a doubt, when more than ten times both is spent": (
        Money(cap=52 * PRICE, spent=50 * PRICE, reserved=PRICE, doubts=1),
        True,
    ),
    "unproven: beside a doubt, when more is spent than leaves room for one": (
        Money(cap=52 * PRICE - 1, spent=50 * PRICE, reserved=PRICE, doubts=1),
        False,
    ),
    "unproven: one is under way, however much would fit": (Money(cap=9999 * PRICE, reserved=PRICE, in_flight=1), False),
    "unproven: beside a doubt, if ten times both fit": (Money(cap=20 * PRICE, reserved=PRICE, doubts=1), True),
    "unproven: beside a doubt, not if they don't": (Money(cap=20 * PRICE - 1, reserved=PRICE, doubts=1), False),
    "unproven: beside one that was given up": (Money(cap=20 * PRICE, reserved=PRICE, uncollected=1), True),
    "unproven: beside one written off, whose cost nobody tells": (
        Money(cap=20 * PRICE, spent=PRICE, guesses=1, guessed=PRICE),
        True,
    ),
    "finished, and its cost not told yet": (
        Money(cap=9999 * PRICE, spent=PRICE, guesses=1, guessed=PRICE, awaits_cost=True),
        False,
    ),
    "finished, and it is never told": (Money(cap=CAP, spent=PRICE, guesses=1, guessed=PRICE, settled=True), True),
}


@pytest.mark.parametrize("case", ADMITS)
def test_the_budget(case: str) -> None:
    money, admitted = ADMITS[case]
    assert may_reserve(money, PRICE) is admitted


WAITS_FOR_NOTHING = [
    money for money, _ in ADMITS.values() if money.settled or not (money.in_flight or money.awaits_cost)
]


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("money", WAITS_FOR_NOTHING)
def test_the_cap_that_is_named_suffices_and_a_lower_one_does_not(money: Money, jobs: int) -> None:
    least = compute_least_cap(jobs, money, PRICE)

    def all_bought(cap: int) -> bool:
        dearest = max(PRICE, money.top_price)
        return all(may_reserve(replace(money, cap=cap, spent=money.spent + n * dearest), PRICE) for n in range(jobs))

    assert all_bought(least)
    assert not all_bought(least - 1)


@pytest.mark.parametrize("state", [State.FETCHED, State.DONE])
def test_a_price_is_proved_by_a_cost_that_was_told(state: State) -> None:
    """Not by a job that is over: its cost may come later, and be another (charged $2.25 of --max-cost 1)."""
    reported, guessed = (1, PRICE, 0, 0, 0), (1, PRICE, 0, 1, PRICE)
    assert sum_money({state: reported}, CAP, 0).settled
    assert not sum_money({state: guessed}, CAP, 0).settled
    assert sum_money({state: guessed}, CAP, 0, believes_estimate=True).settled
    assert not sum_money({State.FAILED: reported, State.UNCOLLECTED: reported}, CAP, 0).settled


def test_a_picture_of_another_run_proves_no_price() -> None:
    """It is done at a cost of nothing, so a run that had reused one put as many in flight as it liked."""
    done = (2, PRICE, 0, 0, 0)
    assert sum_money({State.DONE: done}, CAP, 0, reused=1).settled
    assert not sum_money({State.DONE: done}, CAP, 0, reused=2).settled


@pytest.mark.parametrize(("given", "cap"), [(None, CAP), ("none", None), (7, 7), (0, 0)])
def test_a_cap_stays_until_another_one_is_given(given: GivenCap, cap: int | None) -> None:
    assert choose_cap(given, CAP) == cap
    assert choose_cap(given, None) == (None if given is None else cap)


@pytest.mark.parametrize(
    ("money", "message"),
    [
        (Money(spent=PRICE), "the budget is used up: $0.04 spent"),
        (
            Money(cap=CAP, spent=PRICE, reserved=2 * PRICE, doubts=1, settled=True),
            "the budget is used up: $0.04 spent and $0.08 reserved of --max-cost $0.40",
        ),
        (Money(cap=PRICE, spent=PRICE), "the budget is used up: $0.04 spent of --max-cost $0.04"),
        (Money(cap=PRICE), "the budget is used up: $0.00 spent of --max-cost $0.04"),
        (
            Money(cap=CAP, reserved=5 * PRICE, doubts=2, uncollected=3, spent=PRICE, guesses=1),
            (
                "the budget is used up: $0.04 spent and $0.20 reserved of --max-cost $0.40; the service has not told "
                "yet what a picture costs, so each of the 6 that are in doubt, uncollected or written off counts 10 times"
            ),
        ),
    ],
    ids=["no cap", "settled", "nothing reserved", "nothing spent", "unproven"],
)
def test_a_refusal_says_what_the_money_went_to(money: Money, message: str) -> None:
    assert explain_budget_refusal(money) == message


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
    assert parse_stop_rule(text).is_reached(finished, failed) is stops


@pytest.mark.parametrize("text", ["many", "3.5", "%", "x%"])
def test_a_stop_rule_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="stop-after-failures"):
        parse_stop_rule(text)


def test_the_default_is_a_rule_of_its_own() -> None:
    assert parse_stop_rule(None) == StopRule(first=20)
