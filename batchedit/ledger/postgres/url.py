"""The address of a shared ledger, and how it is shown: never with its password."""

from __future__ import annotations

import re

from ...core.errors import UsageError

SCHEMES = ("postgresql://", "postgres://")
_PASSWORD = re.compile(r"(?<=://)([^:/?#@]*):[^/?#]*@|(\bpassword=)[^&\s]*")


def blotted(url: str) -> str:
    """``url`` without the password in it, wherever it stands: for messages, logs and hints."""
    return _PASSWORD.sub(lambda found: f"{found[2]}***" if found[2] else f"{found[1]}:***@", url)


def check_url(url: str) -> str:
    """``url`` if it is the address of a PostgreSQL database. UsageError (64) else, without the password."""
    if not url.startswith(SCHEMES):
        raise UsageError(
            f"--store takes the address of a PostgreSQL database, not {blotted(url)!r}",
            hint="such as postgresql://user@host/database; the password in PGPASSWORD or ~/.pgpass",
        )
    return url
