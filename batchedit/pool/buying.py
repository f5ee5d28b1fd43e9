"""The one way to spend money: intention on disk, then the POST, then its answer on disk.

``buy`` keeps that order, and nobody can cut in between. Everything that decides *whether* a job may be bought stands
elsewhere: the lifecycle's table, the approval of a person, the ledger's cap.
"""

from __future__ import annotations

import math
from dataclasses import replace

import anyio

from ..core.errors import BudgetReachedError, KnownRequestError, PlacesTakenError, PriceRoseError
from ..core.events import Declined, Lost, Reserved
from ..core.model import Kind, Problem, Record, State
from ..core.money import format_usd
from .pool import OTHERS_SECONDS, Pool, apply_event, unforeseen
from .prices import wait_for_first_cost
from .slots import Slot

UNSENT = "not sent: "
"""What our own word about a reserved job begins with, where it was not sent: the service has said nothing."""


async def buy(pool: Pool, record: Record, slot: Slot) -> Record | None:
    """Reserve, submit, and note the answer: the only way to spend money. None if buying has stopped, or if nobody has said
    yes to this job. A price above the one that was said yes to stops the buying.

    Everything that may take time — a place, a connection, a turn — is waited for before the intention is written. From
    there to the answer nothing can cancel it from inside; what a crash cuts off there is in doubt.
    """
    governor, in_vain = pool.governor, False
    with governor.switch.buying():
        while not governor.switch.stopped() and pool.approval.may_buy_job(record.id):
            await governor.slots.take(slot)
            async with pool.api.post_permit():
                if pool.prepare is not None:
                    await pool.prepare(record)
                await governor.post_turn()
                with anyio.CancelScope(shield=True):
                    if _why_unsent(pool):
                        governor.posts.turn_unused()
                        return None
                    try:
                        record = await apply_event(pool, record, Reserved(pool.clock(), _price(pool)))
                    except BudgetReachedError as reached:
                        governor.posts.turn_unused()
                        budget = reached
                    else:
                        why = _why_unsent(pool)
                        return await (_unsent(pool, record, why) if why else _submit(pool, record, slot))
            slot.free(quietly=True)
            change = governor.slots.settled.next  # taken before the sums: what ends while they are asked for counts too
            money = (await pool.checkpoint.totals()).money
            if money.in_flight:
                with anyio.move_on_after(OTHERS_SECONDS if pool.checkpoint.shared else math.inf):
                    await governor.slots.money_to_come_free(change)
            elif money.awaits_cost:
                await wait_for_first_cost(pool)
            elif isinstance(budget, PlacesTakenError):
                await anyio.sleep(OTHERS_SECONDS)  # other runs of the account have the places
            elif in_vain:
                governor.switch.halt(budget)
            in_vain = not money.in_flight  # once more: the last one in flight may have ended since the refusal
    return None


async def _unsent(pool: Pool, record: Record, why: str) -> Record:
    """PLANNED again: what came while the intention was written down keeps it from being sent."""
    pool.governor.posts.turn_unused()
    return await apply_event(pool, record, Declined(pool.clock(), Problem(Kind.UNREACHABLE, f"{UNSENT}{why}")))


async def _submit(pool: Pool, record: Record, slot: Slot) -> Record:
    pool.approval.take(record.id)
    try:
        event = await pool.api.submit(record)
    except Exception as error:  # noqa: BLE001 - whatever it is, the POST may have gone out, and the others go on
        event = Lost(pool.clock(), replace(unforeseen(error), kind=Kind.LOST))
    pool.governor.posts.heard(event, record.submitted_at, slot)
    if isinstance(event, Declined):
        pool.approval.give_back(record.id)
    try:
        record = await apply_event(pool, record, event)
    except KnownRequestError as known:  # bought, or not: nobody can tell from an id that is another purchase's
        told = Problem(Kind.LOST, f"the service answered with a request id that it gave before: {known}")
        record = await apply_event(pool, record, Lost(event.at, told))
    if record.state is State.WAITING:
        now = pool.clock()
        return record._replace(due_at=now + pool.governor.gets.first_look_in(slot, now))
    return record


def _why_unsent(pool: Pool) -> str:
    """Why nothing is sent now; "" if it is. A picture that is dearer than the person was told stops buying, until they have
    seen the new price.
    """
    if pool.governor.switch.stopped():
        return "buying stopped meanwhile"
    price = _price(pool)
    if pool.approval.may_cost(price):
        return ""
    told, now = format_usd(pool.approval.price), format_usd(price)
    pool.governor.switch.halt(
        PriceRoseError(f"a picture was charged {now}, and the price that was said yes to is {told}")
    )
    return "a picture turned out dearer than the price that was said yes to"


def _price(pool: Pool) -> int:
    """What to put aside: the estimate, or more once the service has charged more."""
    return max(pool.price, pool.checkpoint.top_price)
