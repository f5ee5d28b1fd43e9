"""Parsers of option values. Each raises click.BadParameter for a text that it cannot parse."""

from __future__ import annotations

import datetime as dt
import re

import click

from ..core.budget import NO_CAP, GivenCap
from ..core.money import parse_usd


def parse_pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dict. click.BadParameter for one of another form."""
    values_by_name: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE")
        values_by_name[name.strip()] = value
    return values_by_name


def parse_lists(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: split_commas(text) for name, text in parse_pairs(texts).items()}


def split_commas(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def parse_dollars(text: str | None) -> int | None:
    """US dollars as micro-dollars."""
    if text is None:
        return None
    try:
        return parse_usd(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parse_cap(text: str | None) -> GivenCap:
    return NO_CAP if text == NO_CAP else parse_dollars(text)


def parse_concurrency(text: str) -> int:
    if text == "auto":
        return 0
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise click.BadParameter(f"{text!r} is neither auto nor a number from 1 to 10000")
    return int(text)


def parse_concurrency_option(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """``-j`` of ``set``: None where it was not given."""
    return None if text is None else parse_concurrency(text)


def parse_cap_option(_ctx: click.Context, _param: click.Parameter, text: str | None) -> GivenCap:
    """``--max-cost`` of ``set``: None where it was not given."""
    return parse_cap(text)


def parse_rate(text: str | None) -> float | None:
    """``5/s``, ``100/m``, ``3000/h`` as POSTs a second."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)", text.strip())
    if not match or float(match[1]) <= 0:
        raise click.BadParameter(f"{text!r} is not a rate such as 5/s or 100/m")
    return float(match[1]) / {"s": 1, "m": 60, "h": 3600}[match[2]]


def parse_time_of_day(text: str | None) -> float | None:
    """``HH:MM`` local time as epoch seconds: today's, or tomorrow's where that is over."""
    if text is None:
        return None
    try:
        time_of_day = dt.time.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time of day such as 07:00") from None
    # Without a zone, so that each moment gets the UTC offset that holds then: daylight saving may change in between.
    now = dt.datetime.now()  # noqa: DTZ005 - as above
    moment = now.replace(hour=time_of_day.hour, minute=time_of_day.minute, second=time_of_day.second, microsecond=0)
    return (moment if moment > now else moment + dt.timedelta(days=1)).timestamp()


def parse_failure_limit(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[1-9]\d*|\d+(\.\d+)?%", text):
        raise click.BadParameter(f"{text!r} is neither a number such as 20 nor a share such as 50%")
    return text
