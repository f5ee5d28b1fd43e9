"""Formats a workbook's cell as the sheet shows it, from its value and number format.

Excel stores ``007`` with the format ``000`` as the number 7, a price as a number with a currency in its format, and a day
as a count of days. A format that is not understood completely is not applied: the plain value is right, while a format
that is half applied shows a wrong price.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

_ISO_DATE = "mm-dd-yy"  # format 14, "the short date of the reader's locale"; ISO dates are unambiguous
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


class UnknownFormatError(ValueError):
    """The number format is not understood; the value is to be shown without it."""


def apply_number_format(value: Any, number_format: str | None) -> Any:
    """Text, bool, or None for an empty cell. UnknownFormatError if the format is not understood; then use ``as_general``."""
    if value is None or isinstance(value, str | bool):
        return value
    code = number_format or "General"
    if isinstance(value, dt.timedelta):
        return str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return _format_moment(value, _split_sections(code)[0])
    if code.lower() == "general" or not math.isfinite(value):
        return as_general(value)
    return _format_number(value, code)


def as_general(value: Any) -> Any:
    """The value as the format General shows it; a moment in ISO form."""
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else format(value, ".15g")
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float | dt.timedelta):
        return str(value)
    return value.isoformat().removesuffix("T00:00:00")


# --- numbers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Section:
    """One part of a number format. ``pattern`` holds placeholders (``0 # ?``), ``.`` and literals in their order."""

    pattern: tuple[tuple[str, str], ...]
    decimals: str
    thousands: bool
    scale: int
    """The power of ten that the value is multiplied by: 2 for percent, -3 for each comma behind the last digit."""


@lru_cache(maxsize=1 << 14)  # prices repeat; a hit spares 4 µs
def _format_number(value: float, code: str) -> str:
    sections = _parse_sections(code)
    exact = Decimal(repr(value))
    if len(sections) > 2 and not exact:
        return _apply_section(exact, sections[2])
    if len(sections) > 1 and exact < 0:
        return _apply_section(-exact, sections[1])
    text = _apply_section(abs(exact), sections[0])
    return f"-{text}" if exact < 0 and re.search(r"[1-9]", text) else text


def _split_sections(code: str) -> list[str]:
    """The sections of a format, separated by semicolons outside of quotes and brackets."""
    sections = re.findall(r'((?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[])+|(?=;))(?:;|$)', code)
    return sections[:4] or [""]


@lru_cache(maxsize=256)
def _parse_sections(code: str) -> tuple[_Section, ...]:
    """UnknownFormatError for anything that is not understood."""
    return tuple(_parse_section(part) for part in _split_sections(code)[:3])


_PIECE = re.compile(
    r'"([^"]*)"|\\(.)|\[\$([^\]-]*)(?:-[^\]]*)?\]|\[([^\]]*)\]|_(.)|\*(.)|([0#?]|\.|,|%)|(.)', re.DOTALL
)
_COLOUR = re.compile(r"black|blue|cyan|green|magenta|red|white|yellow|color\s*\d+|farbe\s*\d+", re.IGNORECASE).fullmatch
_LITERALS = frozenset(" $-+/():!^&'~{}<>=€£¥₹₽₺₩₫₪฿₴₦\u00a0\u202f")
"""Characters that stand for themselves without quotes (ECMA-376 part 1, 18.8.31), and signs of currency."""


def _parse_section(code: str) -> _Section:
    pieces: list[tuple[str, str]] = []
    for quoted, escaped, currency, bracket, _, _, mark, other in _PIECE.findall(code):
        if mark:
            pieces.append(("mark", mark))
        elif (bracket and not _COLOUR(bracket)) or (other and other not in _LITERALS):
            raise UnknownFormatError(code)
        elif literal := quoted or escaped or currency or other:
            pieces.append(("", literal))
    marks = "".join(text for kind, text in pieces if kind)
    # A slash between placeholders is a fraction, which is no literal.
    if re.search(r"[0#?]\s*/\s*[0-9#?]", code) or marks.count(".") > 1:
        raise UnknownFormatError(code)
    digits = marks.replace("%", "")
    whole, _, decimals = digits.partition(".")
    trailing_commas = re.search(r",*$", decimals or whole)
    comma_count = len(trailing_commas.group()) if trailing_commas else 0
    if "," in decimals.rstrip(","):
        raise UnknownFormatError(code)
    inner = whole.rstrip(",")
    if inner.startswith(","):
        raise UnknownFormatError(code)
    pattern = tuple((kind, text) for kind, text in pieces if text != "," or not kind)
    return _Section(pattern, decimals.rstrip(","), "," in inner, 2 * marks.count("%") - 3 * comma_count)


def _apply_section(value: Decimal, section: _Section) -> str:
    placeholders = [text for kind, text in section.pattern if kind and text in "0#?"]
    if not placeholders:
        return "".join(text for _, text in section.pattern)
    decimal_places = len(section.decimals)
    rounded = value.scaleb(section.scale).quantize(Decimal(1).scaleb(-decimal_places), ROUND_HALF_UP)
    whole, _, fraction = f"{rounded:f}".partition(".")
    fraction = _cut_fraction(fraction, section.decimals)
    whole_places = len(placeholders) - decimal_places
    needed = placeholders[:whole_places]
    whole = whole.lstrip("0")
    least = len(needed) - needed.index("0") if "0" in needed else 0
    whole = whole.rjust(least, "0") if least else whole
    return _fill_placeholders(section, whole, fraction, whole_places)


def _cut_fraction(fraction: str, decimals: str) -> str:
    """Zeros at the end that stand for ``#`` or ``?`` are not shown."""
    length = len(fraction)
    while length and decimals[length - 1] in "#?" and fraction[length - 1] == "0":
        length -= 1
    return fraction[:length]


def _fill_placeholders(section: _Section, whole: str, fraction: str, whole_places: int) -> str:
    """Put the digits in the places of the placeholders; surplus digits go to the first one."""
    pieces: list[str] = []
    place, fraction_index = 0, 0
    started = False
    has_inner_literal = whole_places > 1 and _has_literal_inside(section, whole_places)
    for kind, text in section.pattern:
        if not kind:
            # A literal between places that hold no digit yet is left out, as `###-####` shows 12 as "12".
            pieces.append(text if not has_inner_literal or started or place == 0 or place >= whole_places else "")
        elif text == ".":
            pieces.append(".")
        elif text == "%":
            pieces.append("%")
        elif place < whole_places:
            offset = len(whole) - (whole_places - place)
            digits = whole[: max(0, offset + 1)] if place == 0 else whole[offset : offset + 1] if offset >= 0 else ""
            started = started or bool(digits)
            pieces.append(digits)
            place += 1
        else:
            pieces.append(fraction[fraction_index : fraction_index + 1])
            fraction_index += 1
    text = "".join(pieces)
    return _group_thousands(text, whole) if section.thousands else text


def _has_literal_inside(section: _Section, whole_places: int) -> bool:
    placeholders_seen = 0
    for kind, text in section.pattern:
        if kind and text in "0#?":
            placeholders_seen += 1
        elif not kind and 0 < placeholders_seen < whole_places:
            return True
    return False


def _group_thousands(text: str, whole: str) -> str:
    grouped = f"{int(whole):,}" if whole and not whole.startswith("0") else whole
    return text.replace(whole, grouped, 1) if whole else text


# --- moments --------------------------------------------------------------------------------------


def _format_moment(value: dt.datetime | dt.date | dt.time, code: str) -> str:
    if (
        code.lower() == "general"
        or code in {_ISO_DATE, "m/d/yy", "m/d/yyyy"}
        or not re.search(r"[ymdhs]", code, re.IGNORECASE)
    ):
        return str(as_general(value))
    _check_moment(code)
    code = re.sub(r"\[[^\]]*\]", "", code)
    try:
        return "".join(_format_piece(value, kind, text) for kind, text in _parse_moment_format(code))
    except (KeyError, ValueError):
        raise UnknownFormatError(code) from None


def _check_moment(code: str) -> None:
    """UnknownFormatError for fractions of seconds, names of months in another language, and letters of other calendars."""
    bare = re.sub(r'"[^"]*"|\\.|_.|\*.', "", code)
    country = re.search(r"\[\$[^\]]*-([0-9A-F]+)", bare, re.IGNORECASE)
    has_names = re.search(r"mmm|ddd", bare, re.IGNORECASE)
    is_foreign = has_names and country and not country.group(1).upper().endswith("09")  # the language is the low byte
    bare = re.sub(r"\[\$[^\]]*\]|AM/PM", "", bare, flags=re.IGNORECASE)
    if is_foreign or re.search(r"mmmmm|[0#?\[]|[^\W\dymdhs年月日時分秒]", bare, re.IGNORECASE):
        raise UnknownFormatError(code)


@lru_cache(maxsize=64)
def _parse_moment_format(code: str) -> tuple[tuple[str, str], ...]:
    """The format as (strftime code, "") and ("", literal) in turn; ``m`` next to hours or seconds means minutes."""
    code = re.sub(r"_.|\*.", "", code)
    tokens = _TOKEN.findall(code)
    letters = [token.lower() for token in tokens if re.match(r"[ymdhs]|am/pm", token, re.IGNORECASE)]
    is_12_hour = "am/pm" in letters
    pieces: list[tuple[str, str]] = []
    place = -1
    for token in tokens:
        lowered = token.lower()
        if not re.match(r"[ymdhs]|am/pm", lowered):
            pieces.append(("", token.strip('"').removeprefix("\\")))
            continue
        place += 1
        neighbours = letters[max(0, place - 1) : place] + letters[place + 1 : place + 2]
        pieces.append((_to_strftime(lowered, neighbours, is_12_hour=is_12_hour), ""))
    return tuple(pieces)


def _to_strftime(word: str, neighbours: list[str], *, is_12_hour: bool) -> str:
    if word in {"m", "mm"}:
        minutes = any(neighbour in {"h", "hh", "s", "ss"} for neighbour in neighbours)
        return ("%M" if minutes else "%m") if word == "mm" else ("%-M" if minutes else "%-m")
    if word == "am/pm":
        return "%p"
    if word in {"h", "hh"}:
        hour = "I" if is_12_hour else "H"
        return f"%{hour}" if word == "hh" else f"%-{hour}"
    return _DATE.get(word) or {"d": "%-d", "s": "%-S"}[word]


def _format_piece(value: dt.datetime | dt.date | dt.time, kind: str, text: str) -> str:
    if not kind:
        return text
    formatted = value.strftime(kind.replace("-", ""))
    return (formatted.lstrip("0") or "0") if "-" in kind else formatted
