"""The token that a person gives once: kept where every command looks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from ..core.errors import OutputError, TokenError
from ..disk import check_own, whole_file
from ..runcomfy.token import checked_token, find_token, token_file

_ONLY_MINE = 0o600


def keep_token(text: str, environ: Mapping[str, str]) -> Path:
    """Keep the token in the vendor's own file, readable by this person alone. TokenError for what is none, OutputError where
    the disk refuses. Returns the file.
    """
    value, path = checked_token(text), token_file(environ, Path.home())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_own(path)
        with whole_file(path, _ONLY_MINE) as part:
            part.chmod(_ONLY_MINE)
            part.write_bytes(orjson.dumps({"token": value}))
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    return path


def token_source(environ: Mapping[str, str]) -> str:
    """Where the token comes from, in words; "" if there is none that can be used."""
    try:
        return find_token(environ, Path.home()).source
    except TokenError:
        return ""
