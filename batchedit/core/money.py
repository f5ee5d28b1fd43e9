"""US dollars and micro-dollars: the one place that converts money from and to text or a JSON number.

Inside, money is an integer of micro-dollars (``MICRO`` to a dollar), because sums of floats drift. The sandbox has its own
few lines on purpose: it is an independent service, and a fault here must not be repeated there.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

MICRO = 1_000_000
"""Micro-dollars to a dollar."""


def parse_usd(text: str) -> int:
    """``"0.04"`` to 40_000 micro-dollars; ValueError for anything that is not a plain, finite, non-negative amount."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount in US dollars, such as 0.04") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text!r} is not an amount in US dollars, such as 0.04")
    return _round_to_micros(amount)


def read_json_usd(value: Any, *, signed: bool = False) -> int | None:
    """An amount in US dollars from JSON (number or numeric text) to micro-dollars; None for what is no valid amount."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value).strip().removeprefix("$") if len(str(value)) <= 40 else "nan")
    except (InvalidOperation, ValueError):
        return None
    if not amount.is_finite() or abs(amount) > MICRO or (amount < 0 and not signed):
        return None
    return _round_to_micros(amount)


def label_play(play: bool) -> str:
    """The label to append to a sum of the sandbox's play money; empty for real money."""
    return " (play money)" if play else ""


def label_sums(text: str, *, play: bool) -> str:
    """``text`` with that label appended where it names a sum."""
    return text + label_play(play and "$" in text)


def format_usd(micros: int) -> str:
    """40_000 to ``"$0.04"``: two decimals, more only where the amount has them."""
    whole, decimals = _split_dollars(micros)
    return f"{'-' if micros < 0 else ''}${whole:,}.{decimals}"


def format_sums(spent: int, *others: tuple[int, str]) -> str:
    """``spent`` and those of ``others`` that are not zero, in micro-dollars: ``$0.40 spent, $0.04 in doubt``."""
    return ", ".join(
        [f"{format_usd(spent)} spent", *(f"{format_usd(micro)} {name}" for micro, name in others if micro)]
    )


def to_plain_usd(micros: int) -> str:
    """40_000 to ``"0.04"``, as a person types it and a cell holds it: no sign of currency, no thousands."""
    whole, decimals = _split_dollars(micros)
    return f"{'-' if micros < 0 else ''}{whole}.{decimals}"


def to_json_usd(micros: int) -> float:
    """40_000 to 0.04: a JSON number."""
    return micros / MICRO


def to_decimal_usd(micros: int) -> Decimal:
    """40_000 to ``Decimal("0.04")``."""
    return Decimal(micros) / MICRO


def _round_to_micros(amount: Decimal) -> int:
    return int((amount * MICRO).to_integral_value(ROUND_HALF_UP))


def _split_dollars(micros: int) -> tuple[int, str]:
    whole, remainder = divmod(abs(micros), MICRO)
    return whole, f"{remainder:06d}".rstrip("0").ljust(2, "0")
