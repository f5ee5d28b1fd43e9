"""The address of a shared ledger, which is never shown with its password."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...core.errors import UsageError

SCHEMES = ("postgresql://", "postgres://")
VARIABLE = "BATCHEDIT_STORE"
_PASSWORD = re.compile(r"(?<=://)([^:/?#@]*):[^/?#]*@|(\bpassword=)[^&\s]*")


def hide_password(url: str) -> str:
    """``url`` without its password, wherever it is in it: for messages, logs and hints."""
    return _PASSWORD.sub(lambda match: f"{match[2]}***" if match[2] else f"{match[1]}:***@", url)


def build_store_option(shown_url: str, environ: Mapping[str, str]) -> list[str]:
    """The option that a command for a run of the store ``shown_url`` (without its password) needs in this environment.

    Empty where the environment names that store, with its password or without.
    """
    return [] if not shown_url or hide_password(environ.get(VARIABLE, "")) == shown_url else ["--store", shown_url]


def check_url(url: str) -> str:
    """``url`` if it is the address of a PostgreSQL database. UsageError (64) else, without the password."""
    if not url.startswith(SCHEMES):
        raise UsageError(
            f"--store takes the address of a PostgreSQL database, not {hide_password(url)!r}",
            hint="such as postgresql://user@host/database; the password in PGPASSWORD or ~/.pgpass",
        )
    if (match := _PASSWORD.search(url)) and match[0].endswith((":***@", "=***")):
        raise UsageError(
            f"the address {url} has its password blotted out, as it is shown in messages",
            hint="type the password in the place of ***, or leave it out and give it as PGPASSWORD or in ~/.pgpass",
        )
    return url
