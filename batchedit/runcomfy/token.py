"""Finding the API token, and keeping it out of sight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import TokenError
from ..core.typed import format_command
from . import keyring_token

# In this order: the names of the vendor's own tools [seen], then the page's own [page].
VARIABLES = ("RUNCOMFY_API_TOKEN", "RUNCOMFY_TOKEN", "RUNCOMFY_API_KEY", "YOUR_API_TOKEN")
VENDOR_FILE = Path(".config/runcomfy/token.json")  # below the home folder; the vendor's command saves it there [seen]
MAC_FILE = Path("Library/Application Support/runcomfy/token.json")
CONFIG_VARIABLE = "RUNCOMFY_CONFIG_DIR"

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
    """The first token of the environment, the keyring and the vendor's file. TokenError (77) if there is none or it can't
    stand in an HTTP header.
    """
    found = list(_candidates(environ, home))
    if not found:
        named = environ.get(CONFIG_VARIABLE, "").strip()
        where = f", neither in the environment nor in {CONFIG_VARIABLE}={named}" if named else ""
        raise TokenError(f"no API token found{where}", hint=f"{_HINT}, or once for all: {format_command('login')}")
    source, value = found[0]
    others = [name for name, other in found[1:] if other != value]
    warning = f"the token of {source} is used; {' and '.join(others)} has another one" if others else ""
    return Token(_check(value, source), source, warning)


def names_folder(environ: Mapping[str, str]) -> bool:
    """Does the person name the folder of the token? Then the account in it is meant, and no keyring is asked."""
    return bool(environ.get(CONFIG_VARIABLE, "").strip())


def token_file(environ: Mapping[str, str], home: Path) -> Path:
    """Where a token that a person gives is to be kept: the first of the places that ``find_token`` looks at."""
    return next(path for _, path in _files(environ, home))


def checked_token(text: str) -> str:
    """A token as it was pasted, bare. TokenError (77) for what can't be one."""
    value = _bare(text)
    if not value:
        raise TokenError("no token was given", hint="paste the API token of your RunComfy profile")
    return _check(value, "what was pasted")


def _candidates(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, str]]:
    told = False  # a keyring may ask its person for a password: not where the environment has a token
    for name in VARIABLES:
        if value := _bare(environ.get(name, "")):
            yield name, value
            told = True
    if not told and not names_folder(environ) and (value := _bare(keyring_token.read_token())):
        yield keyring_token.SHOWN, value
    for shown, path in _files(environ, home):
        if value := _bare(_from_file(path)):
            yield shown, value


def _files(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    """The places of the vendor's file, with their names for messages, each once.

    A person who names a folder of tokens means the account in it, so another folder's token never stands in for one that
    is missing there. A relative ``XDG_CONFIG_HOME`` is no place [its specification].
    """
    if named := environ.get(CONFIG_VARIABLE, "").strip():
        path = _from_home(named, home) / VENDOR_FILE.name
        yield f"{CONFIG_VARIABLE} ({path})", path
        return
    usual = home / VENDOR_FILE
    moved = _from_home(environ.get("XDG_CONFIG_HOME", "").strip(), home)
    if moved.is_absolute() and (path := moved / "runcomfy" / VENDOR_FILE.name) != usual:
        yield f"XDG_CONFIG_HOME ({path})", path
    yield f"~/{VENDOR_FILE}", usual
    yield f"~/{MAC_FILE}", home / MAC_FILE


def _from_home(text: str, home: Path) -> Path:
    return home / text[2:] if text.startswith("~/") else Path(text)


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
