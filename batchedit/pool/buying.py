"""The one way to spend money: intention on disk, then the POST, then its answer on disk.

``buy`` keeps that order, and nothing comes in between. Everything that decides *whether* a job may be bought stands
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
from ..ports import Permit
from .pool import OTHERS_SECONDS, Pool, apply_event, describe_unforeseen
from .prices import wait_for_first_cost
from .slots import Slot

UNSENT = "not sent: "
"""Begins our own message about a reserved job that was not sent: it is not the service's."""


async def buy(pool: Pool, record: Record, slot: Slot) -> Record | None:
    """Reserve, submit, and note the answer: the only way to spend money. None if buying has stopped, or if this job is not
    approved. A price above the approved one stops the buying.

    Everything that may take time — a slot, a connection, a turn — is waited for before the intention is written. From
    there to the answer nothing inside the process can cancel it; what a crash cuts off there is in doubt.
    """
    governor, last_try = pool.governor, False
    with governor.switch.open_buying_scope():
        while not governor.switch.is_stopped() and pool.approval.may_buy_job(record.id):
            await governor.slots.take(slot)
            async with pool.api.post_permit() as permit:
                if pool.prepare is not None:
                    await pool.prepare(record)
                turn = await governor.await_post_turn()
                with anyio.CancelScope(shield=True):
                    if _find_reason_not_to_send(pool):
                        governor.posts.return_turn(turn)
                        return None
                    try:
                        record = await apply_event(
                            pool, record, Reserved(pool.clock(), _compute_price_to_reserve(pool))
                        )
                    except BudgetReachedError as error:
                        governor.posts.return_turn(turn)
                        refusal = error
                    else:
                        reason = _find_reason_not_to_send(pool)
                        return await (
                            _return_unsent(pool, record, reason, turn)
                            if reason
                            else _submit(pool, record, slot, permit, turn)
                        )
            slot.free(quietly=True)
            settled = (
                governor.slots.settled.next
            )  # taken before the sums are read: a job that ends meanwhile counts too
            money = (await pool.checkpoint.totals()).money
            if money.in_flight:
                with anyio.move_on_after(OTHERS_SECONDS if pool.checkpoint.shared else math.inf):
                    await governor.slots.wait_for_money(settled)
            elif money.awaits_cost:
                await wait_for_first_cost(pool)
            elif isinstance(refusal, PlacesTakenError):
                await anyio.sleep(OTHERS_SECONDS)  # other runs of the account have the slots
            elif last_try:
                governor.switch.halt(refusal)
            last_try = not money.in_flight  # once more: the last job in flight may have ended since the refusal
    return None


async def _return_unsent(pool: Pool, record: Record, reason: str, turn: float) -> Record:
    """PLANNED again: the job is not sent for a reason that came up while the intention was written."""
    pool.governor.posts.return_turn(turn)
    return await apply_event(pool, record, Declined(pool.clock(), Problem(Kind.UNREACHABLE, f"{UNSENT}{reason}")))


async def _submit(pool: Pool, record: Record, slot: Slot, permit: Permit, turn: float) -> Record:
    pool.approval.take(record.id)
    try:
        event = await pool.api.submit(record, permit)
    except Exception as error:  # noqa: BLE001 - any error: the POST may have gone out, and the other jobs go on
        event = Lost(pool.clock(), replace(describe_unforeseen(error), kind=Kind.LOST))
    pool.governor.posts.note_answer(event, turn, slot)
    if isinstance(event, Declined):
        pool.approval.give_back(record.id)
    try:
        record = await apply_event(pool, record, event)
    except KnownRequestError as known:  # bought or not: the id of another purchase does not tell
        problem = Problem(Kind.LOST, f"the service answered with a request id that it gave before: {known}")
        record = await apply_event(pool, record, Lost(event.at, problem))
    if record.state is State.WAITING:
        now = pool.clock()
        return record._replace(due_at=now + pool.governor.gets.schedule_first_poll(slot, now))
    return record


def _find_reason_not_to_send(pool: Pool) -> str:
    """Why nothing may be sent now; "" if it may. A picture dearer than the approved price stops buying, until a person has
    seen the new price.
    """
    if pool.governor.switch.is_stopped():
        return "buying stopped meanwhile"
    price = _compute_price_to_reserve(pool)
    if pool.approval.may_cost(price):
        return ""
    approved, charged = format_usd(pool.approval.price), format_usd(price)
    pool.governor.switch.halt(
        PriceRoseError(f"a picture was charged {charged}, and the price that was said yes to is {approved}")
    )
    return "a picture turned out dearer than the price that was said yes to"


def _compute_price_to_reserve(pool: Pool) -> int:
    """Micro-dollars to reserve: the estimate, or more once the service has charged more."""
    return max(pool.price, pool.checkpoint.top_price)
