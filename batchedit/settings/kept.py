"""Reads the settings that a run keeps: JSON in its checkpoint, which may be damaged or another person's."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import orjson

from ..core.errors import KeptSettingsError
from ..core.safe_text import to_one_line

_MAX_INTEGER = 2**63 - 1
"""The largest integer of SQLite, micro-dollars included."""
_ORIGINS = "origins"
"""Only shown, so what is no text in it is left out."""


def read_kept(text: str, types: Mapping[str, Any], metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings in ``text``, JSON, that are in ``types``, by name. Others are left out, and null stands for the default.
    ``metadata`` says which values a setting may have: ``above_zero``, ``one_of``.

    KeptSettingsError (65) for a text that is no JSON object, and for a value that no setting of that name can have.
    """
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _make_damaged_error(f"they are no JSON ({error})") from error
    if not isinstance(values, dict):
        raise _make_damaged_error("they are no JSON object")
    settings = {name: values[name] for name in types if values.get(name) is not None}
    if isinstance(root := settings.get("image_root"), str):  # one folder, until it could be given again
        settings["image_root"] = [root]
    settings[_ORIGINS] = _keep_texts(settings.get(_ORIGINS))
    for name, value in settings.items():
        if not may_be(value, types[name], metadata[name]):
            raise _make_damaged_error(f"{name.replace('_', '-')} is {_format_value(value)}")
    return {name: _as_tuples(value, types[name]) for name, value in settings.items()}


def _as_tuples(value: Any, expected: Any) -> Any:
    """Make a tuple of an array where the setting is one, also within a table."""
    if get_origin(expected) is tuple:
        return tuple(value)
    if get_origin(expected) is dict:
        return {name: _as_tuples(inner, get_args(expected)[1]) for name, inner in value.items()}
    return value


def may_be(value: Any, expected: Any, metadata: Mapping[str, Any]) -> bool:
    """True if a setting of the type ``expected`` with this ``metadata`` may have ``value``, as JSON holds it."""
    if not _is_of_type(value, expected) or value not in metadata.get("one_of", (value,)):
        return False
    return not isinstance(value, int | float) or value > 0 or (value == 0 and not metadata.get("above_zero"))


def _keep_texts(value: object) -> dict[str, str]:
    return {name: text for name, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}


def _is_of_type(value: object, expected: Any) -> bool:
    """True if a field of the type ``expected`` may hold this JSON value. A tuple is an array there."""
    kind, inner = get_origin(expected), get_args(expected)
    if kind in {Union, types.UnionType}:
        return any(_is_of_type(value, choice) for choice in inner)
    if kind is Literal:
        return value in inner
    if kind is tuple:
        return isinstance(value, list) and all(_is_of_type(item, inner[0]) for item in value)
    if kind is dict:
        return isinstance(value, dict) and all(_is_of_type(item, inner[1]) for item in value.values())
    if expected in {int, float}:
        numbers = int if expected is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and _is_finite(value)
    return isinstance(value, expected)


def _is_finite(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= _MAX_INTEGER


def _format_value(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"


def _make_damaged_error(why: str) -> KeptSettingsError:
    return KeptSettingsError(
        f"the settings that this run keeps are damaged: {to_one_line(why)}; nothing was sent",
        hint="put the run's checkpoint back from a backup; or type run with its sheet and another --out: what this run "
        "bought is reused there",
    )
