"""How the text of an option becomes its value. Each raises click.BadParameter for a text that is none."""

from __future__ import annotations

import datetime as dt
import re

import click

from ..core.money import parse_usd
from ..core.policy import NO_CAP, GivenCap


def pairs(values: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dict. click.BadParameter for one that is none."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE")
        found[name.strip()] = value
    return found


def lists(values: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: comma_list(text) for name, text in pairs(values).items()}


def comma_list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def usd(text: str | None) -> int | None:
    """US dollars as micro-dollars."""
    if text is None:
        return None
    try:
        return parse_usd(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def cap(text: str | None) -> GivenCap:
    return NO_CAP if text == NO_CAP else usd(text)


def concurrency(text: str) -> int:
    if text == "auto":
        return 0
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise click.BadParameter(f"{text!r} is neither auto nor a number from 1 to 10000")
    return int(text)


def wished_concurrency(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """``-j`` of ``set``: None where it was not given."""
    return None if text is None else concurrency(text)


def wished_cap(_ctx: click.Context, _param: click.Parameter, text: str | None) -> GivenCap:
    """``--max-cost`` of ``set``: None where it was not given."""
    return cap(text)


def rate(text: str | None) -> float | None:
    """``5/s``, ``100/m``, ``3000/h`` as POSTs a second."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)", text.strip())
    if not match or float(match[1]) <= 0:
        raise click.BadParameter(f"{text!r} is not a rate such as 5/s or 100/m")
    return float(match[1]) / {"s": 1, "m": 60, "h": 3600}[match[2]]


def moment(text: str | None) -> float | None:
    """``HH:MM`` of the wall's clock as epoch seconds: today's, or tomorrow's where that is over."""
    if text is None:
        return None
    try:
        hour = dt.time.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time of day such as 07:00") from None
    # Without a zone, so that each moment gets the offset that holds on the wall by then: clocks may change in between.
    now = dt.datetime.now()  # noqa: DTZ005 - as said
    then = now.replace(hour=hour.hour, minute=hour.minute, second=hour.second, microsecond=0)
    return (then if then > now else then + dt.timedelta(days=1)).timestamp()


def failures(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[1-9]\d*|\d+(\.\d+)?%", text):
        raise click.BadParameter(f"{text!r} is neither a number such as 20 nor a share such as 50%")
    return text
