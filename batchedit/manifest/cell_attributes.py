"""What a worksheet tells about its cells beside their values: number formats, hidden rows, links, errors, pictures.

The part is read by blocks (a few megabytes are held, and 64 at most), and only those cells are looked at about which
there is something to tell. What is taken wrongly in a damaged file can only be a look, never a value.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape

_LONGEST_PREFIX = 32  # of an element's name: `x:row`
_MOST_HELD = 64  # blocks: a row that is longer is cut
_ONE_BLANK = bytes.maketrans(b"\t\r\n", b"   ")  # between attributes, so that what is looked for begins with one letter
_DULL = {"", "General", "GENERAL", "general", "@"}
_TAG = re.compile(rb"<(?:\w+:)?(row|c)\b([^>]*)>")
_ATTRIBUTE = re.compile(rb'\b(r|s|t|vm|hidden)\s*=\s*["\']([^"\']*)["\']')
_ROW = re.compile(rb"<(?:\w+:)?row\b([^>]*)>")
_PLAIN_TYPES = {b"s", b"inlineStr", b"str", b"b"}
_INSIDE = re.compile(
    rb"\s*(<(?:\w+:)?f\b[^>]*?(?:/>|>(.*?)</(?:\w+:)?f>))?\s*(?:<(?:\w+:)?v>(.*?)</(?:\w+:)?v>)?", re.DOTALL
)
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >/]")
_ADDRESS = re.compile(r'(?:HYPERLINK|IMAGE)(?:"{1,2})?\s*[,(]\s*"{1,2}(https?://[^"]+)"', re.IGNORECASE)


@dataclass(slots=True)
class LookOfRow:
    """What is worth telling about a row beside its values. Columns count from 0."""

    row: int
    hidden: bool = False
    formats: dict[int, str] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    links: dict[int, str] = field(default_factory=dict)
    rich: dict[int, int] = field(default_factory=dict)
    uncomputed: list[int] = field(default_factory=list)

    def tells(self) -> bool:
        return bool(self.hidden or self.formats or self.errors or self.links or self.rich or self.uncomputed)


def scan(blocks: Iterable[bytes], formats: list[str], linked: dict[int, dict[int, str]]) -> Iterator[LookOfRow]:
    """The rows of a worksheet about which there is something to tell, in order.

    ``blocks`` are the part's bytes, each block beginning at a row (see ``by_rows``); ``formats`` the number format of each
    style; ``linked`` row → column → address of the links that stand at the end of the part.
    """
    waiting = sorted(linked, reverse=True)
    for look in _told(blocks, formats):
        while waiting and waiting[-1] < look.row:
            yield LookOfRow(waiting[-1], links=linked[waiting.pop()])
        if waiting and waiting[-1] == look.row:
            look.links.update(linked[waiting.pop()])
        if look.tells():
            yield look
    while waiting:
        yield LookOfRow(waiting[-1], links=linked[waiting.pop()])


def _told(blocks: Iterable[bytes], formats: list[str]) -> Iterator[LookOfRow]:
    telling = {str(index).encode(): code for index, code in enumerate(formats) if code not in _DULL}
    mark = _mark(telling)
    counted = 0
    look = LookOfRow(-1)
    for block in (block.translate(_ONE_BLANK) for block in blocks):
        places = _Places(block, counted)
        for at, formula in _interesting(block, mark):
            tag = _TAG.match(block, at)
            if tag is None:
                continue
            told = dict(_ATTRIBUTE.findall(tag.group(2)))
            row, column = places.of(tag, told.get(b"r", b""))
            if row != look.row:
                yield look
                look = LookOfRow(row)
            if tag.group(1) == b"row":
                look.hidden = told.get(b"hidden") in {b"1", b"true"}
                continue
            inside = _INSIDE.match(block, tag.end()) if formula or told.get(b"t") == b"e" else None
            if formula:
                _take_formula(look, column, inside, told.get(b"t", b""))
            if formula or told.get(b"t") not in _PLAIN_TYPES:
                value = inside.group(3) if inside else None
                _take_cell(look, column, told, telling.get(told.get(b"s", b""), ""), value or b"")
        counted = places.last_row()
    yield look


def _mark(telling: Iterable[bytes]) -> re.Pattern[bytes]:
    """What is looked for: attributes that tell something. Beginning with a letter, not a class, it takes a third."""
    styles = b"|".join(telling)
    kinds = [rb"t\s*=\s*[\"']e[\"']", rb"vm\s*=", rb"hidden\s*=\s*[\"'](?:1|true)"]
    return re.compile(rb"[ ](?:" + b"|".join([rb"s\s*=\s*[\"'](?:%s)[\"']" % styles] * bool(styles) + kinds) + rb")")


def _interesting(block: bytes, mark: re.Pattern[bytes]) -> list[tuple[int, bool]]:
    """Where the tags stand that tell something, in order, each once; True for a cell with a formula in it."""
    found = {block.rfind(b"<", 0, one.start()): False for one in mark.finditer(block)}
    if b"<f" in block or b":f" in block:
        for one in _FORMULA.finditer(block):
            found[block.rfind(b"<", 0, one.start())] = True
        return sorted(found.items())
    return list(found.items())


class _Places:
    """Row and column of a block's tags. Those that do not say theirs are counted on from the tags before them."""

    def __init__(self, block: bytes, rows_before: int) -> None:
        """``rows_before`` is the number, from 1, of the last row of the block before."""
        self._block, self._walked, self._row, self._column = block, 0, rows_before, -1

    def of(self, tag: re.Match[bytes], ref: bytes) -> tuple[int, int]:
        """Both from 0; the column is -1 for the tag of a row."""
        letters = ref.rstrip(b"0123456789")
        if number := ref[len(letters) :]:
            return _number(number, 1) - 1, column_of(letters)
        self._walk(tag.end())
        return self._row - 1, self._column

    def last_row(self) -> int:
        """The number, from 1, of the block's last row."""
        last = max(self._block.rfind(b"<row"), self._block.rfind(b":row "))
        tag = _ROW.search(self._block, max(0, last - _LONGEST_PREFIX))
        told = dict(_ATTRIBUTE.findall(tag.group(1))).get(b"r", b"") if tag else b""
        if not told:
            self._walk(len(self._block))
        return _number(told, self._row)

    def _walk(self, end: int) -> None:
        for tag in _TAG.finditer(self._block, self._walked, end):
            told = dict(_ATTRIBUTE.findall(tag.group(2))).get(b"r", b"")
            if tag.group(1) == b"row":
                self._row, self._column = _number(told, self._row + 1), -1
            else:
                letters = told.rstrip(b"0123456789")
                self._column = column_of(letters) if letters else self._column + 1
        self._walked = end


def _take_cell(look: LookOfRow, column: int, told: dict[bytes, bytes], code: str, value: bytes) -> None:
    if told.get(b"t") == b"e":
        look.errors[column] = text_of(value)
    if b"vm" in told:
        look.rich[column] = _number(told[b"vm"], 0)
    if code:
        look.formats[column] = code


def _take_formula(look: LookOfRow, column: int, inside: re.Match[bytes] | None, kind: bytes) -> None:
    if inside is None or inside.group(1) is None:
        return
    if not inside.group(3) and not (kind == b"str" and inside.group(3) is not None):  # a text may be computed and empty
        look.uncomputed.append(column)
    if address := _ADDRESS.search(text_of(inside.group(2) or b"")):
        look.links[column] = address.group(1)


def by_rows(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut anew so that each block but the first begins at a row; UTF-8 where they are UTF-16."""
    held: list[bytes] = []
    start = b""
    for block in _as_utf8(blocks):
        if not start and (found := _ROW.search(block)):
            start = found.group().partition(b"row")[0] + b"row"
        cut = block.rfind(start) if start else -1
        if cut < 0 and len(held) < _MOST_HELD:
            held.append(block)
            continue
        yield b"".join([*held, block[: max(0, cut)]])
        held = [block[max(0, cut) :]]
    yield b"".join(held)


def _as_utf8(blocks: Iterable[bytes]) -> Iterator[bytes]:
    decode: Callable[[bytes], str] | None = None
    for number, block in enumerate(blocks):
        if not number and block[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            decode = codecs.getincrementaldecoder("utf-16")(errors="replace").decode
        yield decode(block).encode(errors="replace") if decode else block


def column_of(letters: bytes) -> int:
    """``C`` → 2; -1 for none."""
    number = 0
    for letter in letters:
        number = number * 26 + (letter & 0x1F)
    return number - 1


def text_of(data: bytes) -> str:
    """The bytes of a part as text, its entities undone."""
    return unescape(data.decode(errors="replace"))


def _number(text: bytes, otherwise: int) -> int:
    return int(text) if text.isdigit() and len(text) < 9 else otherwise
