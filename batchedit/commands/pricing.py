"""What a picture costs, as far as anybody says it, and what the account holds."""

from __future__ import annotations

from dataclasses import replace

import anyio

from ..core.errors import ServiceUnavailableError, UsageError
from ..core.policy import choose_cap
from ..core.steps import Steps
from ..ledger.register import Register
from ..planning.plan import Plan, capped
from ..runcomfy.client import Client
from .session import Session, keep_first_cap
from .wiring import ASKING

LAST_KNOWN = "the last price known of this model, charged before"
"""Where no catalogue answers."""
BALANCE_SECONDS = 10.0
"""How long the account's balance is waited for: it is told on another host, and nothing depends on it."""


async def fetch_price(plan: Plan, run: Session, client: Client) -> Plan:
    """The price of one job, which may give several pictures: ``--price``, else the catalogue's or what the service charged
    in earlier runs, whichever is dearer; what this run was charged is believed rather than any. And the account's balance,
    where the service tells it.

    UsageError where nobody knows the price and there is a cap, which then can't be kept; ServiceUnavailableError where the
    one who knows can't be reached.
    """
    settings, checkpoint, cap = run.settings, run.checkpoint, run.checkpoint.cap
    keep_first_cap(run)
    checkpoint.earlier_cost = Register.of(run.host.environ).cost(settings.service, settings.model)
    price, price_source, charged_before, other_price = settings.price or 0, "--price", checkpoint.top_price, ""
    if settings.price is None:
        price, price_source, other_price = await fetch_catalogue_price(client, run.host.step)
        charged_before = max(charged_before, checkpoint.earlier_cost)
    price, price_source = choose_dearer(price * plan.outputs, price_source, charged_before)
    if not price and choose_cap(settings.max_cost, cap) is not None:
        if not client.heard:
            raise ServiceUnavailableError(
                "the service can't be reached, and --max-cost needs to know what a picture costs; nothing was sent",
                hint="check the network, HTTPS_PROXY and --base-url, or say the price with --price",
            )
        raise UsageError(
            "--max-cost needs to know what a picture costs, and the service's catalogue "
            + (f"tells {other_price} only" if other_price else "does not tell"),
            hint="say it with --price 0.04 (US dollars a picture, from your account's pricing page), or lift the run's cap "
            "with --max-cost none",
        )
    account_balance = await fetch_balance(client, run.host.step)
    return replace(plan, price=price, price_source=price_source, other_price=other_price, balance=account_balance, **capped(settings, cap))


async def fetch_catalogue_price(client: Client, steps: Steps, *, patient: bool = True) -> tuple[int, str, str]:
    """Micro-dollars a picture (0 if not told), who says so, and a price of something that is no picture, in words: that one
    is shown and never summed. Without ``patient`` a service that can't be reached is asked once.
    """
    with steps(ASKING):
        entry = await client.model_entry(patient=patient)
    return (entry.picture_price or 0, "the catalogue", entry.other_price) if entry is not None else (0, "", "")


def choose_dearer(price: int, price_source: str, charged_before: int) -> tuple[int, str]:
    """``price``, which ``price_source`` says, or what was ``charged_before`` before: micro-dollars a job, and who says so."""
    if charged_before > price:
        price, price_source = charged_before, "charged before" if price else LAST_KNOWN
    return price, price_source if price else ""


async def fetch_balance(client: Client, steps: Steps, *, patient: bool = True) -> int | None:
    """The account's balance in micro-dollars; None where it is not told in time."""
    with steps(ASKING), anyio.move_on_after(BALANCE_SECONDS):
        return await client.balance(patient=patient)
    return None
