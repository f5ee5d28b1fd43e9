"""The options by which a printed command names the store of its run: as the shell needs them, without the password."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..ledger.book import Book
from ..ledger.postgres.url import build_store_option


def build_store_words(checkpoint: Book, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The options to append to a command about this run: none without a store, or where the environment names it."""
    return build_store_option(checkpoint.get("store") or "", environ)
