"""Odd texts and ids, counted row by row and reported once. A person decides whether they are meant."""

from __future__ import annotations

import re
from collections import Counter

from ..manifest.nearest import normalize_name
from ..manifest.rownames import RowExamples
from ..manifest.rows import truncate_text
from ..manifest.wordlike import find_garbled_word

_OTHER_BRACKETS = re.compile(
    r"\[\[?([^\[\]]{1,80})\]\]?|<<([^<>]{1,80})>>|«([^«»]{1,80})»|%([^%\s][^%]{0,79})%"
).finditer
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d{2,3}", re.IGNORECASE).fullmatch


class Oddities:
    """Counts. ``bracketed``: rows by word, such as ``[Title]``, where ``{Title}`` is probably meant. ``shortened``: rows
    whose id is a number that a spreadsheet has rounded. ``garbled``: rows with a word such as ``KÃ¼hlschrank``;
    ``garbled_word`` is the first.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.bracketed: Counter[str] = Counter()
        self.shortened, self.garbled, self.garbled_word = RowExamples(), RowExamples(), ""
        self._columns = {normalize_name(column) for column in columns}

    def note_text(self, text: str, row: int, id_: str) -> None:
        """Check a text that is sent."""
        if "[" in text or "%" in text or "<<" in text or "«" in text:
            self.bracketed.update(self.find_bracketed(text))
        if not text.isascii() and (word := find_garbled_word(text)):
            self.garbled_word = self.garbled_word or truncate_text(word, 40)
            self.garbled.add(row, id_)

    def note_id(self, id_: str, row: int) -> None:
        """Check the id of a row."""
        if ("E+" in id_ or "e+" in id_) and _SHORTENED(id_):
            self.shortened.add(row, id_)

    def find_bracketed(self, text: str) -> list[str]:
        """The words of ``text`` that name a column in brackets which are not filled."""
        matches = _OTHER_BRACKETS(text)
        return list(
            dict.fromkeys(
                match.group()
                for match in matches
                if normalize_name(next(filter(None, match.groups()))) in self._columns
            )
        )
