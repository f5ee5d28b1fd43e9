"""Finds the API token, and keeps it out of messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..core.errors import TokenError
from ..core.shell_commands import format_command
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
    candidates = list(_find_candidates(environ, home))
    if not candidates:
        folder = environ.get(CONFIG_VARIABLE, "").strip()
        place = f", neither in the environment nor in {CONFIG_VARIABLE}={folder}" if folder else ""
        raise TokenError(f"no API token found{place}", hint=f"{_HINT}, or once for all: {format_command('login')}")
    source, value = candidates[0]
    others = [name for name, other in candidates[1:] if other != value]
    warning = f"the token of {source} is used; {' and '.join(others)} has another one" if others else ""
    return Token(_check(value, source), source, warning)


def is_folder_named(environ: Mapping[str, str]) -> bool:
    """Does the person name the folder of the token? Then the account in it is meant, and no keyring is asked."""
    return bool(environ.get(CONFIG_VARIABLE, "").strip())


def find_token_file(environ: Mapping[str, str], home: Path) -> Path:
    """Where to store a token that a person gives: the first of the files that ``find_token`` reads."""
    return next(path for _, path in _list_files(environ, home))


def check_token(text: str) -> str:
    """A pasted token without quotes and the like. TokenError (77) for what can't be a token."""
    value = _strip_wrapping(text)
    if not value:
        raise TokenError("no token was given", hint="paste the API token of your RunComfy profile")
    return _check(value, "what was pasted")


def _find_candidates(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, str]]:
    in_environment = False  # a keyring may ask for a password: it is not read where the environment has a token
    for name in VARIABLES:
        if value := _strip_wrapping(environ.get(name, "")):
            yield name, value
            in_environment = True
    if not in_environment and not is_folder_named(environ) and (value := _strip_wrapping(keyring_token.read_token())):
        yield keyring_token.KEYRING_NAME, value
    for name, path in _list_files(environ, home):
        if value := _strip_wrapping(_read_token_file(path)):
            yield name, value


def _list_files(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    """The paths of the vendor's file, with their names for messages, each once.

    A person who names a folder of tokens means the account in it, so another folder's token never replaces one that is
    missing there. A relative ``XDG_CONFIG_HOME`` is ignored [its specification].
    """
    if folder := environ.get(CONFIG_VARIABLE, "").strip():
        path = _expand_home(folder, home) / VENDOR_FILE.name
        yield f"{CONFIG_VARIABLE} ({path})", path
        return
    default = home / VENDOR_FILE
    xdg_folder = _expand_home(environ.get("XDG_CONFIG_HOME", "").strip(), home)
    if xdg_folder.is_absolute() and (path := xdg_folder / "runcomfy" / VENDOR_FILE.name) != default:
        yield f"XDG_CONFIG_HOME ({path})", path
    yield f"~/{VENDOR_FILE}", default
    yield f"~/{MAC_FILE}", home / MAC_FILE


def _expand_home(text: str, home: Path) -> Path:
    return home / text[2:] if text.startswith("~/") else Path(text)


def _strip_wrapping(text: str) -> str:
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


def _read_token_file(path: Path) -> str:
    """The token in the vendor's file, whose format is not documented; ``""`` if it has none or can't be read."""
    try:
        raw = path.read_bytes()
    except OSError:
        return ""
    try:
        return _find_token(orjson.loads(raw))
    except orjson.JSONDecodeError:
        text = raw.decode("utf-8", "replace").strip()
        return text if text and not text.startswith(("{", "[")) and len(text.split()) == 1 else ""


def _find_token(value: Any, depth: int = 3) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or depth == 0:
        return ""
    return next((text for key in _KEYS if (text := _find_token(value.get(key), depth - 1))), "")
