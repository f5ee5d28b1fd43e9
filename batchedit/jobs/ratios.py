"""Other spellings of a ratio that the service spells ``2:3``: ``2x3``, ``2/3``, ``portrait``; Excel writes ``02:03:00``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_RATIO = re.compile(r"(\d{1,2}):(\d{1,2})").fullmatch


def spell_ratios(options: Mapping[str, Any]) -> dict[str, Any]:
    """Other spellings → the value in ``options`` (the service's spelling → its value), in lower case.

    ``square``, ``portrait`` and ``landscape`` stand for a ratio only where ``options`` has one of that kind and no more.
    """
    ratios = {text: (int(match[1]), int(match[2])) for text in options if (match := _RATIO(text))}
    spelled: dict[str, Any] = {}
    for text, (width, height) in ratios.items():
        for other in (*(f"{width}{sign}{height}" for sign in ("x", "×", "/", " : ")), *_to_times_of_day(width, height)):
            spelled.setdefault(other, options[text])
    kinds = {
        "square": [text for text, (width, height) in ratios.items() if width == height],
        "portrait": [text for text, (width, height) in ratios.items() if width < height],
        "landscape": [text for text, (width, height) in ratios.items() if width > height],
    }
    return spelled | {
        word: options[ratios_of_kind[0]] for word, ratios_of_kind in kinds.items() if len(ratios_of_kind) == 1
    }


def _to_times_of_day(hours: int, minutes: int) -> Sequence[str]:
    """Excel reads 3:2 as a time of day and shows 3:02, 03:02 or 03:02:00."""
    times = (f"{hours}:{minutes:02}", f"{hours:02}:{minutes:02}")
    return (*times, *(f"{time}:00" for time in times))
