"""How a printed command names the store of its run: as this person's shell needs it, and without the password."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..ledger.book import Book
from ..ledger.postgres.url import words_for


def build_store_words(checkpoint: Book, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The words behind a command about this run: none where it is no run of a store, or the environment names its store."""
    return words_for(checkpoint.get("store") or "", environ)
