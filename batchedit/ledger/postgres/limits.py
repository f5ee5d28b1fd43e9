"""Limits of an account across all its runs. The owner of the store sets them; a worker's role may only read them."""

from __future__ import annotations

from typing import NamedTuple

from .schema import SCHEMA
from .store import open_store, open_transaction


class Limits(NamedTuple):
    """``max_cost`` in micro-dollars and ``in_flight`` in jobs, None for no limit."""

    max_cost: int | None = None
    in_flight: int | None = None


def read_limits(url: str, account: str) -> Limits:
    """The limits of the account with this digest."""
    with open_store(url) as connection:
        query = f"SELECT max_cost, in_flight FROM {SCHEMA}.account WHERE account = %s"
        row = connection.execute(query, (account,)).fetchone()
        return Limits(*row) if row else Limits()


def set_limits(url: str, account: str, new_limits: Limits) -> None:
    """Set the limits for every reservation from now on, of all workers. TokenError (77) for a user who is not the owner."""
    with open_transaction(url) as connection:
        connection.execute(
            f"INSERT INTO {SCHEMA}.account VALUES (%s, %s, %s) ON CONFLICT (account) DO UPDATE "
            "SET max_cost = excluded.max_cost, in_flight = excluded.in_flight",
            (account, *new_limits),
        )
        event = f"INSERT INTO {SCHEMA}.account_event (account, max_cost, in_flight) VALUES (%s, %s, %s)"
        connection.execute(event, (account, *new_limits))
