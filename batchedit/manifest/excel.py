"""A cell of a workbook as the sheet shows it, from its value and number format.

Excel stores ``007`` with the format ``000`` as the number 7, and a day as a count of days. This knows the formats
people use: zeros in front, decimals, thousands, percent, dates and times. Anything else is shown as General would.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Any

_ISO_DATE = "mm-dd-yy"  # what openpyxl calls format 14: "the short date of whoever looks"; ISO is what all can read
_TOKEN = re.compile(r"yyyy|yy|mmmm|mmm|mm|m|dddd|ddd|dd|d|hh|h|ss|s|AM/PM|\"[^\"]*\"|\\.|.", re.IGNORECASE)
_DATE = {
    "yyyy": "%Y",
    "yy": "%y",
    "mmmm": "%B",
    "mmm": "%b",
    "dddd": "%A",
    "ddd": "%a",
    "dd": "%d",
    "hh": "%H",
    "ss": "%S",
}


def as_shown(value: Any, number_format: str | None) -> Any:
    """Text, bool, or None for an empty cell."""
    if value is None or isinstance(value, str | bool):
        return value
    code = (number_format or "General").split(";")[0]
    if isinstance(value, dt.timedelta):
        return str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return _moment(value, code)
    return _number(value, code)


def _number(value: float, code: str) -> str:
    code = re.sub(r'\[[^\]]*\]|_.|\*.|\\(?=.)|"', "", code).strip()
    if re.fullmatch(r"0+", code):
        return f"{round(value):0{len(code)}d}"
    found = re.fullmatch(r"([^0#]*)(#,##)?0(\.0+)?(%?)([^0#]*)", code)
    if not found or "E" in code or "/" in code:
        return str(value) if isinstance(value, int) else format(value, ".15g")
    before, thousands, decimals, percent, behind = found.groups()
    amount = value * 100 if percent else value
    return f"{before}{amount:{',' if thousands else ''}.{len(decimals or '.') - 1}f}{percent}{behind}"


def _moment(value: dt.datetime | dt.date | dt.time, code: str) -> str:
    code = re.sub(r"\[[^\]]*\]", "", code)
    if code in {"General", _ISO_DATE, "m/d/yy", "m/d/yyyy"} or not re.search(r"[ymdhs]", code, re.IGNORECASE):
        return value.isoformat().removesuffix("T00:00:00")
    return "".join(_piece(value, kind, text) for kind, text in _pieces(code))


@lru_cache(maxsize=64)
def _pieces(code: str) -> tuple[tuple[str, str], ...]:
    """The format as (strftime code, "") and ("", literal) in turn; ``m`` next to hours or seconds means minutes."""
    tokens = _TOKEN.findall(code)
    letters = [token.lower() for token in tokens if re.match(r"[ymdhs]|am/pm", token, re.IGNORECASE)]
    twelve = "am/pm" in letters
    pieces: list[tuple[str, str]] = []
    place = -1
    for token in tokens:
        low = token.lower()
        if not re.match(r"[ymdhs]|am/pm", low):
            pieces.append(("", token.strip('"').removeprefix("\\")))
            continue
        place += 1
        around = letters[max(0, place - 1) : place] + letters[place + 1 : place + 2]
        pieces.append((_strftime(low, around, twelve=twelve), ""))
    return tuple(pieces)


def _strftime(word: str, around: list[str], *, twelve: bool) -> str:
    if word in {"m", "mm"}:
        minutes = any(near in {"h", "hh", "s", "ss"} for near in around)
        return ("%M" if minutes else "%m") if word == "mm" else ("%-M" if minutes else "%-m")
    if word == "am/pm":
        return "%p"
    if word in {"h", "hh"}:
        hour = "I" if twelve else "H"
        return f"%{hour}" if word == "hh" else f"%-{hour}"
    return _DATE.get(word) or {"d": "%-d", "s": "%-S"}[word]


def _piece(value: dt.datetime | dt.date | dt.time, kind: str, text: str) -> str:
    if not kind:
        return text
    shown = value.strftime(kind.replace("-", ""))
    return (shown.lstrip("0") or "0") if "-" in kind else shown
