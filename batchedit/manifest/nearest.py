"""Suggestions: the name somebody probably meant, and lists that stay readable."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def plain(name: str) -> str:
    """A column's name for comparison: ``Variant SKU``, ``variant_sku`` and ``variant-sku`` are the same."""
    return re.sub(r"[\s_-]+", " ", name.strip().casefold())


def nearest(wanted: str, names: Iterable[str]) -> str:
    """The name most like ``wanted``, "" if none is: spelled alike, else the shortest that holds it as a word."""
    by_plain = {plain(name): name for name in reversed(list(names))}
    wanted = plain(wanted)
    if wanted in by_plain:
        return by_plain[wanted]
    holding = [name for key, name in by_plain.items() if wanted and re.search(rf"\b{re.escape(wanted)}", key)]
    if holding:
        return min(holding, key=len)
    close = difflib.get_close_matches(wanted, by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else ""


def listed(names: Iterable[str], last: str = "or", limit: int = 12) -> str:
    """``a, b or c``; with more than ``limit`` names the rest is counted."""
    shown = list(names)
    if len(shown) > limit:
        return ", ".join(shown[:limit]) + f" and {len(shown) - limit} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}" if shown else "none"
