"""Settings as a person reads and writes them: ``settings.toml`` in the run's folder, and what changed since last time."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, fields
from typing import Any

from ..core.money import to_plain_usd
from ..core.policy import NO_CAP, GivenCap
from .model import MANIFEST_SETTINGS, Settings

_FIELDS: Mapping[str, Field[Any]] = {field.name: field for field in fields(Settings)}


def key_of(field: str) -> str:
    """A setting as it is written on the command line, without its dashes: ``max-cost``."""
    return str(_FIELDS[field].metadata.get("option", field.replace("_", "-")))


def settings_text(settings: Settings) -> str:
    """TOML for ``--config``. What is a default stands there as a comment."""
    lines = [
        "# What this run was told. To use it again with any manifest: --config and this file's name",
        "# A line that begins with # is a default.",
        "",
    ]
    plain = Settings()
    for field in _FIELDS.values():
        if not field.metadata.get("kept", True):
            continue
        value = getattr(settings, field.name)
        if value == getattr(plain, field.name):
            told = "(not given)" if value is None else toml(as_typed(field.name, value))
            lines.append(f"# {key_of(field.name)} = {told}")
        else:
            origin = settings.origins.get(field.name, "")
            told = f"  # {_one_line(origin)}" if origin else ""
            lines.append(f"{key_of(field.name)} = {toml(as_typed(field.name, value))}{told}")
    return "\n".join(lines) + "\n"


def as_typed(field: str, value: Any) -> Any:
    """A setting as a person writes it in TOML: dollars, ``5/s``, ``07:00``, lists."""
    if value is None:
        return ""
    if written := _FIELDS[field].metadata.get("written"):
        return _WRITTEN[written](value)
    return list(value) if isinstance(value, tuple) else value


def _dollars(micros: GivenCap) -> str:
    if not isinstance(micros, int):
        return NO_CAP
    return to_plain_usd(micros)


def _rate(per_second: float) -> str:
    return f"{per_second:.9f}".rstrip("0").rstrip(".") + "/s"


_WRITTEN: dict[str, Callable[[Any], Any]] = {
    "usd": _dollars,
    "rate": _rate,
    "concurrency": lambda count: count or "auto",
    "clock": lambda at: dt.datetime.fromtimestamp(at).astimezone().strftime("%H:%M"),
    "lists": lambda over: {column: list(values) for column, values in over.items()},
}


def toml(value: Any) -> str:
    """A TOML value: text, number, true or false, list or inline table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(name))} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def what_changed(old: Settings | None, now: Settings, new: int, *, same_manifest: bool) -> Iterable[str]:
    """Settings other than last time's, and what comes of that: new pictures (``new`` of them), or only names."""
    if old is None:
        return
    names = [name for name in MANIFEST_SETTINGS if getattr(old, name) != getattr(now, name)]
    if not names:
        return
    told = "; ".join(_difference(name, old, now) for name in names)
    if new:
        cause = "by that" if same_manifest else "by that and by the manifest's own changes"
        effect = f"{new:,} picture{'s are' if new > 1 else ' is'} new {cause}"
    elif any(_FIELDS[name].metadata.get("names_only") for name in names):
        effect = "that changes only names, of pictures still to come: those that the run knows keep theirs"
    else:
        effect = "no new picture comes of that"
    yield f"other settings than last time: {told}. {effect[0].upper()}{effect[1:]}"


def _difference(name: str, old: Settings, now: Settings) -> str:
    return f"--{key_of(name)} was {_shown(name, old)}, now {_shown(name, now)}"


def _shown(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    if value in (None, (), {}, ""):
        return "not given"
    text = toml(as_typed(name, value))
    return text if len(text) <= 80 else f"{text[:79]}…"
