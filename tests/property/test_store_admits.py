"""The store decides about money as ``core/budget`` does: two texts of one rule, held together here."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchedit.core.budget import compute_least_cap, may_reserve
from batchedit.core.model import Money
from tests.support.postgres import shared_store

SMALL = st.integers(0, 12)
CENTS = st.integers(0, 60).map(lambda cents: cents * 10_000)
PURSES = st.builds(
    Money,
    spent=CENTS, reserved=CENTS, in_flight=SMALL, doubts=SMALL, uncollected=SMALL, guesses=SMALL, guessed=CENTS,
    settled=st.booleans(), awaits_cost=st.booleans(), cap=st.none() | CENTS.map(lambda cap: cap * 8), top_price=CENTS,
)  # fmt: skip


@st.composite
def questions(draw: st.DrawFn) -> tuple[Money, int]:
    """A purse and a price; half of the caps lie at the very limit."""
    money, price = draw(PURSES), draw(CENTS)
    limit = draw(st.sampled_from(("none", "proven", "unproven")))
    if limit != "none":
        settled = money.settled or limit == "proven"
        money = replace(
            money, cap=compute_least_cap(1, replace(money, settled=settled), price) + draw(st.integers(-1, 1))
        )
    return money, price


ASK = """
    SELECT batchedit.admits(cap, price, spent, held, in_flight, doubts, uncollected, guesses, guessed, top, settled, awaits)
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
                %s::bigint[], %s::bigint[], %s::bigint[], %s::bool[], %s::bool[])
    WITH ORDINALITY AS asked (cap, price, spent, held, in_flight, doubts, uncollected, guesses, guessed, top, settled,
                              awaits, n) ORDER BY n
"""


@pytest.mark.process
@settings(max_examples=60, deadline=None)
@given(st.lists(questions(), min_size=1, max_size=60))
def test_the_store_admits_what_policy_admits(asked: list[tuple[Money, int]]) -> None:
    columns = zip(
        *(
            (m.cap, price, m.spent, m.reserved, m.in_flight, m.doubts, m.uncollected, m.guesses, m.guessed, m.top_price,
             m.settled, m.awaits_cost)
            for m, price in asked
        ),
        strict=True,
    )  # fmt: skip
    with psycopg.connect(shared_store(), autocommit=True) as connection:
        verdicts = [admitted for (admitted,) in connection.execute(ASK, [list(column) for column in columns])]
    assert verdicts == [may_reserve(money, price) for money, price in asked]
