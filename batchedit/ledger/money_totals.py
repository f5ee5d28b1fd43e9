"""Computes money from sums of jobs: the same arithmetic for every store."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.events import CancelConfirmed, Completed, Errored, Event, Priced
from ..core.lifecycle import REMOTE
from ..core.model import Money, State

StateSums = tuple[int, int, int, int, int]
"""Of the jobs in one state: their number, money spent, money reserved, the number with a guessed cost, and the guessed
sum.
"""


def sum_money(
    by_state: Mapping[str, StateSums], cap: int | None, top_price: int, believes_estimate: bool = False, reused: int = 0
) -> Money:
    """Money from the sums of each state. ``reused`` jobs are done at no cost: they say nothing about the price."""
    nothing: StateSums = (0, 0, 0, 0, 0)
    uncollected = by_state.get(State.UNCOLLECTED, nothing)
    known_costs = sum(
        by_state.get(state, nothing)[0] - by_state.get(state, nothing)[3] for state in (State.FETCHED, State.DONE)
    )
    return Money(
        spent=sum(sums[1] for sums in by_state.values()),
        reserved=sum(sums[2] for sums in by_state.values()),
        guesses=sum(sums[3] for sums in by_state.values()),
        guessed=sum(sums[4] for sums in by_state.values()),
        in_doubt=by_state.get(State.IN_DOUBT, nothing)[2],
        cancellable=by_state.get(State.WAITING, nothing)[2],
        in_flight=sum(by_state.get(state, nothing)[0] for state in REMOTE - {State.IN_DOUBT}),
        doubts=by_state.get(State.IN_DOUBT, nothing)[0],
        uncollected=uncollected[0] if uncollected[2] else 0,
        settled=believes_estimate or known_costs > reused,
        cap=cap,
        top_price=top_price,
    )


def read_charged_cost(event: Event) -> int:
    """Micro-dollars: the cost of a job that the service named; 0 where it named none."""
    if isinstance(event, Completed | Errored | Priced | CancelConfirmed):
        return event.cost or 0
    return 0
