"""Suggestions for a misspelled name, and lists of names in messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def normalize_name(name: str) -> str:
    """A column's name for comparison: ``Variant SKU``, ``variant_sku`` and ``variant-sku`` are equal."""
    return re.sub(r"[\s_-]+", " ", name.strip().casefold())


def find_nearest(name: str, names: Iterable[str]) -> str:
    """The one of ``names`` most like ``name``, "" if none is: spelled alike, else the shortest that holds it as a word."""
    by_normalized = {normalize_name(known): known for known in reversed(list(names))}
    wanted = normalize_name(name)
    if wanted in by_normalized:
        return by_normalized[wanted]
    containing = [known for key, known in by_normalized.items() if wanted and re.search(rf"\b{re.escape(wanted)}", key)]
    if containing:
        return min(containing, key=len)
    close = difflib.get_close_matches(wanted, by_normalized, n=1, cutoff=0.6)
    return by_normalized[close[0]] if close else ""


def join_names(names: Iterable[str], last: str = "or", limit: int = 12) -> str:
    """``a, b or c``; of more than ``limit`` names the rest is counted."""
    items = list(names)
    if len(items) > limit:
        return ", ".join(items[:limit]) + f" and {len(items) - limit} more"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else "none"
