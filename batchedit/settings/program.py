"""The options that a program gives, as ``Settings``."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any, Literal, TypedDict, get_origin, get_type_hints

import orjson

from ..core.budget import NO_CAP
from ..core.errors import UsageError
from ..core.money import parse_usd
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


def settings_from_options(options: Mapping[str, Any]) -> Settings:
    """``options`` as Settings; None stands for an option that is not given. UsageError, with the nearest name, for an unknown
    name or a value that is not allowed.
    """
    names = sorted(Options.__annotations__)
    for unknown in sorted(set(options) - set(names)):
        nearest = difflib.get_close_matches(unknown, names, 1)
        raise UsageError(
            f"there is no option {unknown!r}",
            hint=f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(names)}",
        )
    types, metadata = get_type_hints(Settings), {field.name: field.metadata for field in fields(Settings)}
    values = {}
    for name, value in options.items():
        if value is None:
            continue
        try:
            values[name] = _parse_value(name, value, types[name])
            is_valid = may_be(orjson.loads(orjson.dumps(values[name])), types[name], metadata[name])
        except (ValueError, TypeError):
            is_valid = False
        if not is_valid:
            choices = metadata[name].get("one_of", ())
            nearest = difflib.get_close_matches(str(value), choices, 1)
            raise UsageError(
                f"the option {name} can't be {value!r}",
                hint=f"did you mean {nearest[0]!r}?"
                if nearest
                else f"it is {' or '.join(map(repr, choices))}"
                if choices
                else "",
            )
    return Settings(**values)


def _parse_value(name: str, value: Any, expected: Any) -> Any:
    """The value of an option as ``Settings`` has it. ValueError or TypeError for what can't be one."""
    if name in _MONEY:
        return value if (name, value) == ("max_cost", NO_CAP) else parse_usd(str(value))
    if name == "concurrency" and value == "auto":
        return 0
    if get_origin(expected) is tuple:
        items = (value,) if isinstance(value, str | os.PathLike) else tuple(value)
        return tuple(map(os.fspath, items)) if name == "image_root" else items
    if get_origin(expected) is dict:
        return {key: _parse_inner(name, item) for key, item in dict(value).items()}
    return os.fspath(value) if name == "schema" else value


def _parse_inner(name: str, value: Any) -> Any:
    if name == "over":
        return (value,) if isinstance(value, str) else tuple(map(_to_text, value))
    return _to_text(value)


def _to_text(value: Any) -> Any:
    """A number as the text that the command line would give."""
    return str(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else value
