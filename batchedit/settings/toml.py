"""Settings as a person reads and writes them: ``settings.toml`` in the run's folder, and what changed since the last run."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, fields
from typing import Any

from ..core.budget import NO_CAP, GivenCap
from ..core.money import to_plain_usd
from .model import MANIFEST_SETTINGS, Settings

_FIELDS: Mapping[str, Field[Any]] = {field.name: field for field in fields(Settings)}


def to_option_name(field: str) -> str:
    """The name of a setting on the command line, without its dashes: ``max-cost``."""
    return str(_FIELDS[field].metadata.get("option", field.replace("_", "-")))


def to_settings_toml(settings: Settings) -> str:
    """TOML for ``--config``, with defaults as comments."""
    lines = [
        "# What this run was told. To use it again with any manifest: --config and this file's name",
        "# A line that begins with # is a default.",
        "",
    ]
    defaults = Settings()
    for field in _FIELDS.values():
        if not field.metadata.get("kept", True):
            continue
        value = getattr(settings, field.name)
        if value == getattr(defaults, field.name):
            text = "(not given)" if value is None else format_toml(to_typed_value(field.name, value))
            lines.append(f"# {to_option_name(field.name)} = {text}")
        else:
            origin = settings.origins.get(field.name, "")
            comment = f"  # {_join_lines(origin)}" if origin else ""
            lines.append(f"{to_option_name(field.name)} = {format_toml(to_typed_value(field.name, value))}{comment}")
    return "\n".join(lines) + "\n"


def to_typed_value(field: str, value: Any) -> Any:
    """A setting as a person writes it in TOML: dollars, ``5/s``, ``07:00``, lists."""
    if value is None:
        return ""
    if format_name := _FIELDS[field].metadata.get("written"):
        return _FORMATTERS[format_name](value)
    return list(value) if isinstance(value, tuple) else value


def _format_dollars(micros: GivenCap) -> str:
    if not isinstance(micros, int):
        return NO_CAP
    return to_plain_usd(micros)


def _format_rate(per_second: float) -> str:
    return f"{per_second:.9f}".rstrip("0").rstrip(".") + "/s"


_FORMATTERS: dict[str, Callable[[Any], Any]] = {
    "usd": _format_dollars,
    "rate": _format_rate,
    "concurrency": lambda count: count or "auto",
    "clock": lambda at: dt.datetime.fromtimestamp(at).astimezone().strftime("%H:%M"),
    "lists": lambda over: {column: list(values) for column, values in over.items()},
}


def format_toml(value: Any) -> str:
    """A TOML value: text, number, true or false, list or inline table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{format_toml(str(name))} = {format_toml(inner)}" for name, inner in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(format_toml, value)) + "]"
    return repr(value)


def _join_lines(text: str) -> str:
    return " ".join(text.split())


def describe_changed_settings(old: Settings | None, now: Settings, new: int, *, same_manifest: bool) -> Iterable[str]:
    """The settings that differ from last time's, and the effect: new pictures (``new`` of them), or only other names."""
    if old is None:
        return
    names = [name for name in MANIFEST_SETTINGS if getattr(old, name) != getattr(now, name)]
    if not names:
        return
    differences = "; ".join(_describe_difference(name, old, now) for name in names)
    if new:
        cause = "by that" if same_manifest else "by that and by the manifest's own changes"
        effect = f"{new:,} picture{'s are' if new > 1 else ' is'} new {cause}"
    elif any(_FIELDS[name].metadata.get("names_only") for name in names):
        effect = "that changes only names, of pictures still to come: those that the run knows keep theirs"
    else:
        effect = "no new picture comes of that"
    yield f"other settings than last time: {differences}. {effect[0].upper()}{effect[1:]}"


def _describe_difference(name: str, old: Settings, now: Settings) -> str:
    return f"--{to_option_name(name)} was {_format_value(name, old)}, now {_format_value(name, now)}"


def _format_value(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    if value in (None, (), {}, ""):
        return "not given"
    text = format_toml(to_typed_value(name, value))
    return text if len(text) <= 80 else f"{text[:79]}…"
