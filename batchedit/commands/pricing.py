"""The price of a picture, as far as it is known, and the account's balance."""

from __future__ import annotations

from dataclasses import replace

import anyio

from ..core.budget import choose_cap
from ..core.errors import ServiceUnavailableError, UsageError
from ..core.steps import Steps
from ..ledger.register import Register
from ..planning.plan import Plan, build_cap_fields
from ..runcomfy.client import Client
from .session import Session, keep_first_cap
from .wiring import ASKING_SERVICE

LAST_KNOWN = "the last price known of this model, charged before"
"""The source of the price where no catalogue answers."""
BALANCE_SECONDS = 10.0
"""How long to wait for the account's balance: another host has it, and nothing depends on it."""


async def fetch_price(plan: Plan, run: Session, client: Client) -> Plan:
    """Add to ``plan`` the price of one job, which may give several pictures: ``--price``, else the higher one of the
    catalogue's and what the service charged in earlier runs; a higher charge in this run goes before any. Add the account's
    balance, where the service reports it.

    UsageError where the price is unknown and there is a cap, which then can't be kept; ServiceUnavailableError where the
    service that knows the price can't be reached.
    """
    settings, checkpoint, cap = run.settings, run.checkpoint, run.checkpoint.cap
    keep_first_cap(run)
    checkpoint.earlier_cost = Register.from_environ(run.host.environ).find_cost(settings.service, settings.model)
    price, price_source, charged_before, other_price = settings.price or 0, "--price", checkpoint.top_price, ""
    if settings.price is None:
        price, price_source, other_price = await fetch_catalogue_price(client, run.host.step)
        charged_before = max(charged_before, checkpoint.earlier_cost)
    price, price_source = choose_dearer(price * plan.outputs, price_source, charged_before)
    if not price and choose_cap(settings.max_cost, cap) is not None:
        if not client.has_answered:
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
    return replace(
        plan,
        price=price,
        price_source=price_source,
        other_price=other_price,
        balance=account_balance,
        **build_cap_fields(settings, cap),
    )


async def fetch_catalogue_price(client: Client, steps: Steps, *, patient: bool = True) -> tuple[int, str, str]:
    """Micro-dollars a picture (0 if unknown), the source of the price, and a price of something other than a picture, in
    words, which is shown and never summed. Without ``patient`` a service that can't be reached is asked once.
    """
    with steps(ASKING_SERVICE):
        entry = await client.ask_model_entry(patient=patient)
    return (entry.picture_price or 0, "the catalogue", entry.other_price) if entry is not None else (0, "", "")


def choose_dearer(price: int, price_source: str, charged_before: int) -> tuple[int, str]:
    """The higher one of ``price`` and ``charged_before``, in micro-dollars a job, and its source."""
    if charged_before > price:
        price, price_source = charged_before, "charged before" if price else LAST_KNOWN
    return price, price_source if price else ""


async def fetch_balance(client: Client, steps: Steps, *, patient: bool = True) -> int | None:
    """The account's balance in micro-dollars; None where the service does not report it in time."""
    with steps(ASKING_SERVICE), anyio.move_on_after(BALANCE_SECONDS):
        return await client.ask_balance(patient=patient)
    return None
