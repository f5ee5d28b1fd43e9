"""Text that says nothing: blanks, characters that nobody sees, and what programs write for an empty cell."""

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
"""What stands for an empty cell: as pandas, Python, SQL, JavaScript and Google Sheets write it into a table, and people."""
PLACEHOLDER_MOST = 15
"""Characters of the longest text that is taken for one, blanks around it counted."""

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Letters and marks by their category, and yet invisible."""


def is_blank(text: str) -> bool:
    """Whether nothing of ``text`` is to be seen: a zero-width space is no prompt."""
    if "!" <= text[:1] <= "~":  # as nearly every text of a large sheet
        return False
    return not text or text.isspace() or (not text.isascii() and all(map(is_invisible, text)))


def is_invisible(letter: str) -> bool:
    """A blank, a control or format character, or a filler."""
    return letter.isspace() or letter in _FILLERS or unicodedata.category(letter) in {"Cc", "Cf"}


def is_placeholder(text: str) -> bool:
    """``nan``, ``None``, ``null`` and the like as the whole text."""
    return len(text) <= PLACEHOLDER_MOST and text.strip() in PLACEHOLDERS


def without_unseen_ends(text: str) -> str:
    """``text`` without blanks and what nobody sees at its ends, such as the byte order mark between two joined files."""
    text = text.strip()
    while not text.isascii() and (is_invisible(text[0]) or is_invisible(text[-1])):
        text = text[is_invisible(text[0]) :]
        text = text[: len(text) - (text != "" and is_invisible(text[-1]))]
        if not text:
            break
    return text


def visible(name: str) -> str:
    """A column's name without what nobody sees: byte order marks, zero-width and non-breaking spaces at its ends."""
    if name.isascii():
        return name.strip()
    kept = "".join(letter for letter in name if letter.isspace() or not is_invisible(letter))
    return kept.replace("\u00a0", " ").strip()
