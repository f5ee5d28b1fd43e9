"""Checks if a guessed encoding gives words: a wrong one gives typical sequences of letters."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

_HALF_WIDTH = re.compile("[\uff61-\uff9f]+")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_ACCENTED = re.compile("[\u00c0-\u024f]{4}")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_MIXED = re.compile("[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")
_WITHIN_WORDS = frozenset("’‘'-–—\u00ad")
"""Marks that may stand between two letters."""

_GARBLED = re.compile(
    r"Ã[\u0080-\u00bfŒœŠšŸŽžƒˆ˜–-›€™]|â€[\u0080-\u00bf™œ“”˜¦–—]|Â[\u00a0-\u00bf]|ðŸ|Ð[\u0080-\u00bf][ÐÑ]|Ñ[\u0080-\u00bf][ÐÑ]"
).search
_CONTEXT_LETTERS = 30  # letters of the word on each side


def find_garbled_word(text: str) -> str:
    """The first word of ``text`` that is UTF-8 read as windows-1252 and saved so, ``KÃ¼hlschrank``; ``""`` for none."""
    # The beginnings of a match: in a text of a hundred letters six plain searches take a fifth of the pattern's time.
    if not ("Ã" in text or "â€" in text or "Â" in text or "ðŸ" in text or "Ð" in text or "Ñ" in text):
        return ""
    match = _GARBLED(text)
    if match is None:
        return ""
    start, end = match.span()
    while start > max(0, match.start() - _CONTEXT_LETTERS) and not text[start - 1].isspace():
        start -= 1
    while end < min(len(text), match.end() + _CONTEXT_LETTERS) and not text[end].isspace():
        end += 1
    return text[start:end]


def is_wordlike(data: bytes, codec: str) -> bool:
    """True if ``data`` decoded as ``codec`` has no capital within a word of small letters, no sign within a word, no two
    capitals or four letters with accents in a row, no word of two scripts, no Cyrillic in capitals, no control character and
    no half-width kana by themselves.
    """
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return False
    if _HALF_WIDTH.search(text):
        return _JAPANESE.search(text) is not None
    cyrillic = _CYRILLIC.findall(text)
    if _ACCENTED.search(text) or _MIXED.search(text) or 2 * sum(map(str.isupper, cyrillic)) > max(1, len(cyrillic)):
        return False
    return not any(map(_is_odd, pairwise(text), (*text[2:], "\n")))


def _is_odd(pair: tuple[str, str], after: str) -> bool:
    before, letter = pair
    if letter.isascii() or letter in _WITHIN_WORDS:
        return False
    if unicodedata.category(letter) in {"Cc", "Cn", "Co"}:
        return True
    if letter.isalpha():
        accented = letter.isupper() and letter < "\u0250"
        if not letter.isupper() or not before.isalpha():
            return False
        return before.islower() or after.islower() or (accented and not before.isascii())
    continues = after.isalpha() or not (after.isascii() or after.isspace())
    return before.isalpha() and continues and not (letter == "·" and before in "lL" and after in "lL")
