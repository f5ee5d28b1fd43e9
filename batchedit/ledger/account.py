"""Which account a run was bought with: a digest of its token, never the token.

Jobs can be collected with the account that bought them and with no other: for another one they don't exist. So a run
that has bought something refuses a token that it does not know, before anything is sent. A token that was renewed for the
same account looks like another one; a person who confirms it once (``--another-account``) is not asked again.
"""

from __future__ import annotations

from hashlib import blake2b

from ..core.errors import TokenError
from .book import Book

META = "accounts"


def hash_token(token: str) -> str:
    """The digest of a token, 32 hex digits. Tokens are long and random, so they can't be guessed from it."""
    return blake2b(token.encode(), key=b"batchedit account", digest_size=16).hexdigest()


def read_accounts(checkpoint: Book) -> tuple[str, ...]:
    """The accounts that the run was bought with; none if it has bought nothing, or an older batchedit did not keep them."""
    return tuple((checkpoint.get(META) or "").split())


def is_account(checkpoint: Book, account: str) -> bool:
    """Was the run bought with ``account``, as far as is known? True for "", which means any account."""
    known_accounts = read_accounts(checkpoint)
    return not account or not known_accounts or account in known_accounts


def check_account(checkpoint: Book, account: str) -> None:
    """TokenError (77) for an account that the run was not bought with."""
    if is_account(checkpoint, account) or not checkpoint.has_bought():
        return
    raise TokenError(
        "this run was bought with another token than the one that is set now; nothing was sent",
        hint="was the token renewed for the same account? Say so once: the same command with --another-account; "
        "else set the token that it was bought with",
    )


def keep_account(checkpoint: Book, account: str) -> None:
    """Write the account into the run: as the only one while nothing is bought, else in addition to those that bought."""
    known_accounts = read_accounts(checkpoint) if checkpoint.has_bought() else ()
    if account not in known_accounts:
        checkpoint.put(META, " ".join((*known_accounts, account)))
