"""Keeps the token that a person gives once, where every command reads it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from ..core.errors import OutputError, TokenError
from ..disk import check_own, replace_atomically
from ..runcomfy import keyring_token
from ..runcomfy.token import VARIABLES, check_token, find_token, find_token_file, is_folder_named

_ONLY_MINE = 0o600


@dataclass(frozen=True, slots=True)
class KeptToken:
    """``where`` the token is kept, in words. ``hidden_by``: the variable that takes precedence, "" if none does. ``hint``:
    how to use a keyring, "" where one is used or can't be.
    """

    where: str
    hidden_by: str = ""
    hint: str = ""


def keep_token(text: str, environ: Mapping[str, str], *, in_file: bool = False) -> KeptToken:
    """Keep the token in this machine's keyring, or in the vendor's own file, readable by this person alone, where there is
    no keyring, where the person names the folder of tokens, or with ``in_file``.

    TokenError for what is none, OutputError where the disk refuses.
    """
    value = check_token(text)
    hidden_by = next((name for name in VARIABLES if environ.get(name, "").strip()), "")
    if not in_file and not is_folder_named(environ) and keyring_token.keep_token(value):
        return KeptToken(keyring_token.KEYRING_NAME, hidden_by)
    path = find_token_file(environ, Path.home())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_own(path)
        with replace_atomically(path, _ONLY_MINE) as part:
            part.chmod(_ONLY_MINE)
            part.write_bytes(orjson.dumps({"token": value}))
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    hint = "" if in_file or keyring_token.is_installed() else keyring_token.EXTRA
    return KeptToken(f"{path}, which only you can read", hidden_by, hint)


def forget_variables(environ: MutableMapping[str, str]) -> None:
    """Remove the terminal's token from a page's environment: it would take precedence over the kept one."""
    for name in VARIABLES:
        environ.pop(name, None)


def describe_token_source(environ: Mapping[str, str]) -> str:
    """Where the token comes from, in words; "" if there is none that can be used."""
    try:
        return find_token(environ, Path.home()).source
    except TokenError:
        return ""
