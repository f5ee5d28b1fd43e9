"""Numbers in words: the one place that decides between ``1 row`` and ``2,000 rows``, and how long a time is told."""

from __future__ import annotations


def pluralize(count: int, one: str, many: str = "") -> str:
    """``1 row``, ``2,000 rows``. ``many`` where an s at the end does not make it: ``number(n, "row is", "rows are")``."""
    return pluralize_text(f"{count:,}", one, many)


def pluralize_text(shown: str, one: str, many: str = "") -> str:
    """The same for a number as it is ``shown``, such as ``1.5``: what reads as 1 counts one."""
    return f"{shown} {one if shown == '1' else many or one + 's'}"


def format_duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
