"""Finding the API token, and keeping it out of sight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import TokenError

# In this order: the names of the vendor's own tools [seen], then the page's own [page].
VARIABLES = ("RUNCOMFY_API_TOKEN", "RUNCOMFY_TOKEN", "RUNCOMFY_API_KEY", "YOUR_API_TOKEN")
VENDOR_FILE = Path(".config/runcomfy/token.json")  # below the home folder; the vendor's command saves it there [seen]

_HINT = "export RUNCOMFY_API_TOKEN=…  (keys are in your RunComfy profile)"
_KEYS = ("token", "api_token", "access_token", "api_key", "key", "value", "default", "auth", "credentials")


@dataclass(frozen=True, slots=True)
class Token:
    """The token, where it came from, and what the user should know about that (``""`` if nothing)."""

    value: str = field(repr=False)
    source: str
    warning: str = ""

    def __str__(self) -> str:
        return f"token from {self.source}"


def find_token(environ: Mapping[str, str], home: Path) -> Token:
    """The first token of DESIGN §5's order. TokenError (77) if there is none or it can't stand in an HTTP header."""
    found = list(_candidates(environ, home))
    if not found:
        raise TokenError("no API token found", hint=_HINT)
    source, value = found[0]
    others = [name for name, other in found[1:] if other != value]
    warning = f"the token of {source} is used; {' and '.join(others)} has another one" if others else ""
    return Token(_check(value, source), source, warning)


def _candidates(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, str]]:
    for name in VARIABLES:
        if value := _bare(environ.get(name, "")):
            yield name, value
    if value := _bare(_from_file(home / VENDOR_FILE)):
        yield f"~/{VENDOR_FILE}", value


def _bare(text: str) -> str:
    """The token as people paste it: with spaces, quotes, a line's end, or "Bearer" before it."""
    text = text.strip().strip("\"'").strip()
    scheme, _, rest = text.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else text


def _check(value: str, source: str) -> str:
    if value.startswith("<") or value in VARIABLES:
        raise TokenError(f"{source} holds a placeholder, not a token", hint=_HINT)
    if not all("!" <= letter <= "~" for letter in value):
        raise TokenError(f"the token in {source} holds a space, a line break or a special character", hint=_HINT)
    return value


def _from_file(path: Path) -> str:
    """The token in the vendor's file, whose shape nobody promised; ``""`` if there is none to be read."""
    try:
        raw = path.read_bytes()
    except OSError:
        return ""
    try:
        return _dig(orjson.loads(raw))
    except orjson.JSONDecodeError:
        text = raw.decode("utf-8", "replace").strip()
        return text if text and not text.startswith(("{", "[")) and len(text.split()) == 1 else ""


def _dig(value: Any, depth: int = 3) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or depth == 0:
        return ""
    return next((text for key in _KEYS if (text := _dig(value.get(key), depth - 1))), "")
