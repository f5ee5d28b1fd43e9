"""What a program gives for options, as ``Settings`` has it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any, Literal, TypedDict, get_origin, get_type_hints

import orjson

from ..core.errors import UsageError
from ..core.money import parse_usd
from ..core.policy import NO_CAP
from .kept import may_be
from .model import Settings

Dollars = str | int | float | Decimal
"""US dollars as a caller gives them: ``"0.04"``, ``Decimal("0.04")``, ``50``."""
_MONEY = frozenset({"price", "max_cost"})


class Options(TypedDict, total=False):
    """What ``run``, ``arun`` and ``plan`` take: the command line's options with ``_`` for ``-``; the defaults are its own."""

    model: str
    schema: str | os.PathLike[str]
    prompt: str
    map: Mapping[str, str]
    set: Mapping[str, str]
    sizes: Sequence[str]
    variants: int
    over: Mapping[str, Sequence[str]]
    fill_down: Sequence[str]
    id: str
    name: str
    limit: int
    encoding: str
    delimiter: str
    sheet: str
    header_row: int
    visible_only: bool
    image_root: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    no_shrink: bool
    skip_invalid: bool
    check_images: bool
    no_check_images: bool
    format: Literal["csv", "jsonl", "parquet", "xlsx"]
    no_thumbnails: bool
    price: Dollars
    concurrency: int | Literal["auto"]
    rate: float
    max_cost: Dollars | Literal["none"]
    on_doubt: Literal["hold", "buy-again"]
    fresh: bool
    another_account: bool
    stop_after_failures: str
    stuck_after: float
    until: float
    poll_seconds: float
    sandbox: bool
    base_url: str
    allow_hosts: Sequence[str]


def settings_of_program(options: Mapping[str, Any]) -> Settings:
    """``options``, of which None stands for what is not given. UsageError, with the nearest name, for what is none."""
    known = sorted(Options.__annotations__)
    for wrong in sorted(set(options) - set(known)):
        near = difflib.get_close_matches(wrong, known, 1)
        raise UsageError(
            f"there is no option {wrong!r}",
            hint=f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}",
        )
    types, facts = get_type_hints(Settings), {field.name: field.metadata for field in fields(Settings)}
    values = {}
    for name, given in options.items():
        if given is None:
            continue
        try:
            values[name] = _value(name, given, types[name])
            is_one = may_be(orjson.loads(orjson.dumps(values[name])), types[name], facts[name])
        except (ValueError, TypeError):
            is_one = False
        if not is_one:
            one_of = facts[name].get("one_of", ())
            near = difflib.get_close_matches(str(given), one_of, 1)
            raise UsageError(
                f"the option {name} can't be {given!r}",
                hint=f"did you mean {near[0]!r}?"
                if near
                else f"it is {' or '.join(map(repr, one_of))}"
                if one_of
                else "",
            )
    return Settings(**values)


def _value(name: str, given: Any, wanted: Any) -> Any:
    """What a program gave for an option, as ``Settings`` has it. ValueError or TypeError for what can't be one."""
    if name in _MONEY:
        return given if (name, given) == ("max_cost", NO_CAP) else parse_usd(str(given))
    if name == "concurrency" and given == "auto":
        return 0
    if get_origin(wanted) is tuple:
        every = (given,) if isinstance(given, str | os.PathLike) else tuple(given)
        return tuple(map(os.fspath, every)) if name == "image_root" else every
    if get_origin(wanted) is dict:
        return {key: _inner(name, inner) for key, inner in dict(given).items()}
    return os.fspath(given) if name == "schema" else given


def _inner(name: str, value: Any) -> Any:
    if name == "over":
        return (value,) if isinstance(value, str) else tuple(map(_inner_text, value))
    return _inner_text(value)


def _inner_text(value: Any) -> Any:
    """A number is what a text of the command line would be."""
    return str(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else value
