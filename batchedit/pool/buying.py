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


async def buy(pool: Pool, record: Record, slot: Slot) -> Record | None:
    """Reserve, submit, and note the answer: the only way to spend money. None if buying has stopped, or if nobody has said
    yes to this job. A price above the one that was said yes to stops the buying.

    Everything that may take time — a place, a connection, a turn — is waited for before the intention is written. From
    there to the answer nothing can cancel it from inside; what a crash cuts off there is in doubt.
    """
    governor, in_vain = pool.governor, False
    with governor.switch.buying():
        while not governor.switch.stopped() and pool.approval.admits(record.id):
            await governor.slots.take(slot)
            async with pool.api.post_permit():
                if pool.prepare is not None:
                    await pool.prepare(record)
                await governor.post_turn()
                with anyio.CancelScope(shield=True):
                    if governor.switch.stopped() or not _price_stands(pool):
                        governor.posts.turn_unused()
                        return None
                    try:
                        record = await apply_event(pool, record, Reserved(pool.clock(), _price(pool)))
                    except BudgetReachedError as reached:
                        governor.posts.turn_unused()
                        budget = reached
                    else:
                        return await _submit(pool, record, slot) if _price_stands(pool) else await _unsent(pool, record)
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


async def _unsent(pool: Pool, record: Record) -> Record:
    """PLANNED again. The cost that makes it dearer was written down together with the intention: nothing was sent."""
    pool.governor.posts.turn_unused()
    why = Problem(Kind.UNREACHABLE, "not sent: a picture turned out dearer than the price that was said yes to")
    return await apply_event(pool, record, Declined(pool.clock(), why))


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


def _price_stands(pool: Pool) -> bool:
    """Is a picture no dearer than the person was told? Else buying stops, until they have seen the new price."""
    price = _price(pool)
    if not pool.approval.covers(price):
        told, now = format_usd(pool.approval.price), format_usd(price)
        pool.governor.switch.halt(
            PriceRoseError(f"a picture was charged {now}, and the price that was said yes to is {told}")
        )
    return not pool.governor.switch.stopped()


def _price(pool: Pool) -> int:
    """What to put aside: the estimate, or more once the service has charged more."""
    return max(pool.price, pool.checkpoint.top_price)
