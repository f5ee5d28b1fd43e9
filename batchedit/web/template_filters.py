"""Format numbers, money and times for a person. Filters of the templates."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from ..core.money import format_usd
from ..core.plurals_and_durations import pluralize

_PLURALS = {"entry": "entries", "is": "are", "has": "have", "it": "them"}


def format_count(number: int, word: str) -> str:
    """``1 row``, ``1,234 rows``."""
    return pluralize(number, word, _PLURALS.get(word, ""))


def pick_verb(number: int, word: str) -> str:
    """``is`` or ``are``."""
    return word if number == 1 else _PLURALS.get(word, word)


def format_money(micro: int) -> str:
    """Micro-dollars as dollars."""
    return format_usd(micro)


def format_age(at: float) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0.0, time() - at)
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{format_count(int(seconds // size), word)} ago"
    return "just now"


def to_sentence(text: str) -> str:
    """A note of the command line as a sentence: a capital first, a full stop last."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?', ':')) else '.'}"


FILTERS: dict[str, Callable[..., Any]] = {
    "counted": format_count,
    "verb": pick_verb,
    "usd": format_money,
    "ago": format_age,
    "sentence": to_sentence,
}
