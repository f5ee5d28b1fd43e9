"""The settings that a run keeps, read back: JSON in its checkpoint, which may be damaged or somebody else's."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import orjson

from ..core.errors import KeptSettingsError
from ..core.visible import to_one_line

_LARGEST = 2**63 - 1
"""SQLite's integers, and micro-dollars among them, end there."""
_ORIGINS = "origins"
"""Is shown and decides nothing: what is no text in it is left out."""


def read_kept(text: str, types: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings in ``text``, JSON, that ``types`` knows, by name. Others are left out, and what is null is a default.
    ``facts`` says which values a setting may have: ``above_zero``, ``one_of``.

    KeptSettingsError (65) for a text that is no JSON object, and for a value that no setting of that name can have.
    """
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _damaged(f"they are no JSON ({error})") from error
    if not isinstance(told, dict):
        raise _damaged("they are no JSON object")
    known = {name: told[name] for name in types if told.get(name) is not None}
    if isinstance(root := known.get("image_root"), str):  # one folder, until it could be given again
        known["image_root"] = [root]
    known[_ORIGINS] = _texts(known.get(_ORIGINS))
    for name, value in known.items():
        if not may_be(value, types[name], facts[name]):
            raise _damaged(f"{name.replace('_', '-')} is {_shown(value)}")
    return {name: _as_tuples(value, types[name]) for name, value in known.items()}


def _as_tuples(value: Any, wanted: Any) -> Any:
    """An array where the setting is a tuple, also as the value of a table."""
    if get_origin(wanted) is tuple:
        return tuple(value)
    if get_origin(wanted) is dict:
        return {name: _as_tuples(inner, get_args(wanted)[1]) for name, inner in value.items()}
    return value


def may_be(value: Any, wanted: Any, facts: Mapping[str, Any]) -> bool:
    """May a setting of the type ``wanted`` and with these ``facts`` have ``value``, as JSON holds it?"""
    if not _is(value, wanted) or value not in facts.get("one_of", (value,)):
        return False
    return not isinstance(value, int | float) or value > 0 or (value == 0 and not facts.get("above_zero"))


def _texts(value: object) -> dict[str, str]:
    return {name: text for name, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def _is(value: object, wanted: Any) -> bool:
    """May a field of the type ``wanted`` hold this JSON value? A tuple is an array there."""
    kind, inner = get_origin(wanted), get_args(wanted)
    if kind in {Union, types.UnionType}:
        return any(_is(value, one) for one in inner)
    if kind is Literal:
        return value in inner
    if kind is tuple:
        return isinstance(value, list) and all(_is(item, inner[0]) for item in value)
    if kind is dict:
        return isinstance(value, dict) and all(_is(item, inner[1]) for item in value.values())
    if wanted in {int, float}:
        numbers = int if wanted is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and _is_finite(value)
    return isinstance(value, wanted)


def _is_finite(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= _LARGEST


def _shown(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"


def _damaged(why: str) -> KeptSettingsError:
    return KeptSettingsError(
        f"the settings that this run keeps are damaged: {to_one_line(why)}; nothing was sent",
        hint="put the run's checkpoint back from a backup; or type run with its sheet and another --out: what this run "
        "bought is reused there",
    )
