"""Blank text: spaces, invisible characters, and the placeholders that programs write for an empty cell."""

from __future__ import annotations

import unicodedata

PLACEHOLDERS = frozenset(
    {
        *(
            "nan",
            "NaN",
            "NAN",
            "<NA>",
            "NaT",
            "None",
            "none",
            "NONE",
            "null",
            "Null",
            "NULL",
            "undefined",
            "N/A",
            "n/a",
        ),
        *("Loading...", "Loading…", "-", "--", "---", "–", "—", "?", "??", "???", ".", "..", "...", "…"),
    }
)
"""Placeholders for an empty cell, as pandas, Python, SQL, JavaScript, Google Sheets and people write them."""
MAX_PLACEHOLDER_LENGTH = 15
"""Characters of the longest text that is taken for a placeholder, including the blanks around it."""

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Characters whose Unicode category is letter or mark, but which are invisible."""


def is_blank(text: str) -> bool:
    """True if ``text`` has no visible character: a zero-width space is no prompt."""
    if "!" <= text[:1] <= "~":  # fast path: nearly every text of a large sheet
        return False
    return not text or text.isspace() or (not text.isascii() and all(map(is_invisible, text)))


def is_invisible(letter: str) -> bool:
    """True for a blank, a control or format character, or a filler."""
    return letter.isspace() or letter in _FILLERS or unicodedata.category(letter) in {"Cc", "Cf"}


def is_placeholder(text: str) -> bool:
    """True if the whole text is ``nan``, ``None``, ``null`` or the like."""
    return len(text) <= MAX_PLACEHOLDER_LENGTH and text.strip() in PLACEHOLDERS


def strip_unseen_ends(text: str) -> str:
    """``text`` without blanks and invisible characters at its ends, such as the byte order mark between two joined files."""
    text = text.strip()
    while not text.isascii() and (is_invisible(text[0]) or is_invisible(text[-1])):
        text = text[is_invisible(text[0]) :]
        text = text[: len(text) - (text != "" and is_invisible(text[-1]))]
        if not text:
            break
    return text


def strip_invisible(name: str) -> str:
    """A column's name without invisible characters: byte order marks, zero-width and non-breaking spaces at its ends."""
    if name.isascii():
        return name.strip()
    visible = "".join(letter for letter in name if letter.isspace() or not is_invisible(letter))
    return visible.replace("\u00a0", " ").strip()
