r"""Text that comes from a sheet, a service or a file system, made safe to show.

A control character moves the cursor, clears the screen or names another command; a bidi mark changes the order of what is
read; a line break begins a line that looks like one of ours. All of them are shown as their numbers: ``\x1b``,
``\u202e``, ``\n``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable


def escape_controls(text: str, keep: str = "\n") -> str:
    """``text`` with everything but printable characters, blanks and the characters of ``keep`` written as its number.

    Printable is as in ``str.isprintable``: no control (C0, DEL, C1), no bidi or zero-width mark, no separator of lines or
    paragraphs, no lone surrogate.
    """
    if text.isprintable():
        return text
    return "".join(letter if _is_harmless(letter) or letter in keep else _escape_letter(letter) for letter in text)


def to_one_line(text: object) -> str:
    """``text`` as one line: its line breaks are escaped."""
    return escape_controls(str(text), keep="")


def as_lines(lines: Iterable[object]) -> str:
    """Exactly one line of output for each of ``lines``."""
    return "\n".join(map(to_one_line, lines))


def escape_json_controls(text: str) -> str:
    """JSON with the same characters as JSON escapes, so its meaning is the same. A line end in JSON is never data."""
    if text.isprintable():
        return text
    return "".join(letter if _is_harmless(letter) or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def _is_harmless(letter: str) -> bool:
    """Printable, or one of the wider blanks of French and Japanese texts."""
    return letter.isprintable() or letter in _WIDE_BLANKS


def _escape_letter(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


_WIDE_BLANKS = "\xa0\u2007\u202f\u3000"
