"""Numbers in words: the one place that decides between ``1 row`` and ``2,000 rows``, and that formats durations."""

from __future__ import annotations


def pluralize(count: int, singular: str, plural: str = "") -> str:
    """``1 row``, ``2,000 rows``. ``plural`` where it is not formed with an s: ``pluralize(n, "row is", "rows are")``."""
    return pluralize_text(f"{count:,}", singular, plural)


def pluralize_text(text: str, singular: str, plural: str = "") -> str:
    """The same for a formatted number, such as ``1.5``; ``1`` takes the singular."""
    return f"{text} {singular if text == '1' else plural or singular + 's'}"


def format_duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
